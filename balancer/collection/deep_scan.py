"""What a look inside the images adds to a scan: damaged files, near-duplicates, borders and burnt-in letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from balancer.collection.findings import (
    INSIDE,
    Finding,
    blank,
    near_duplicates,
    negatives,
    several_frames,
    unreadable,
)
from balancer.collection.image_stats import Contents
from balancer.collection.near_duplicates import is_blank, near_duplicate_groups
from balancer.collection.polarity import inverted
from balancer.collection.scan import Collection, about_classes, require_two_classes
from balancer.collection.shortcuts import SEEN_INSIDE, shortcuts

_COUNTED_AGAIN = (
    *("shortcut", "few-images", "few-patients", "alike-class-names", "numbered-classes"),
    *("contradicting-labels", "not-in-training", "never-alone"),
)


def look_inside(collection: Collection, contents: Mapping[str, Contents]) -> Collection:
    """The collection without the files that cannot be decoded, and with the findings that their contents give.

    `contents` are those of all its files, from `read_contents`.

    Raises:
        CollectionError: fewer than two classes are left.
    """
    sound = without_broken(collection, contents)
    images = sound.images
    seen = {path: contents[path] for path in images.index}
    found = [
        *near_duplicates(images, near_duplicate_groups(seen)),
        *blank([path for path, each in seen.items() if is_blank(each)]),
    ]
    found += negatives(inverted(seen))
    found += several_frames([path for path, each in seen.items() if each.frames > 1])
    kept = [finding for finding in sound.findings if finding.kind != "shortcut"]
    hidden = () if collection.is_multi_label else shortcuts(images, seen)
    return replace(sound, findings=(*kept, *found, *hidden))


def without_broken(collection: Collection, contents: Mapping[str, Contents]) -> Collection:
    """The collection without the files of which `contents` tell a fault, which become findings.

    Raises:
        CollectionError: fewer than two classes are left.
    """
    paths = collection.images.index
    faults = [(path, contents[path].fault or "") for path in paths if path in contents and contents[path].fault]
    if not faults:
        return collection
    broken = [path for path, _ in faults]
    images = collection.images.drop(broken)
    require_two_classes(collection.root, images)
    others = (finding for finding in collection.findings if finding.kind not in _COUNTED_AGAIN)
    kept = [left for finding in others if (left := _left(finding, broken)).paths or not finding.paths]
    sets = None if collection.label_sets is None else collection.label_sets.only(images.index)
    again = (*unreadable(collection.root, faults), *about_classes(images, sets))
    return replace(collection, images=images, findings=(*kept, *again), label_sets=sets)


def remembered(collection: Collection, earlier: Collection) -> Collection:
    """The collection with those findings of an earlier look inside whose files did not change since."""
    now, before = (
        dict(zip(each.images.index, zip(each.images["size"], each.images["mtime_ns"], strict=True), strict=True))
        for each in (collection, earlier)
    )
    kept = [
        finding
        for finding in earlier.findings
        if (finding.kind in INSIDE or finding.fix in SEEN_INSIDE)
        and all(now.get(str(path), 0) == before.get(str(path)) for path in finding.paths)
    ]
    return replace(collection, findings=tuple(dict.fromkeys((*collection.findings, *kept))))


def _left(finding: Finding, broken: list[str]) -> Finding:
    gone = set(broken)
    return replace(finding, paths=tuple(path for path in finding.paths if str(path) not in gone))
