"""Labels from folders: one for each class, or train, val and test above them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from balancer.collection.findings import Finding, empty_class, ignored_files
from balancer.collection.sources.reading import Labels, Reading
from balancer.collection.walk import Listing, as_unicode, canonical_part, list_files
from balancer.errors import CollectionError

_WEAK = ("tr", "trn", "dev", "tst", "eval", "evaluation")
"""Names of splits that may as well be classes: tricuspid regurgitation, deviation, evaluation."""
Tops = Mapping[str, Mapping[str, int]]
"""The folders in the root, the images below each folder in them; those that lie in a folder itself under ""."""


@dataclass(frozen=True, slots=True)
class Folders:
    """A folder for each class; `parts`: or folders called train, val and test that hold these."""

    parts: bool = True

    def read(self, listing: Listing) -> Reading:
        """The folder in which each image lies as its label.

        Raises:
            CollectionError: several folders may be the training split, or none.
        """
        tops = tops_of(listing)
        parts = _part_folders(listing.root, tops) if self.parts else []
        kept, names, of_run = [], [], []
        for folder, count in listing.runs:
            part, label = _part_and_label(folder, parts)
            kept.append(bool(label))
            names.append(label)
            of_run.append((part, count))
        counts = np.array([count for (_, count), stays in zip(of_run, kept, strict=True) if stays], np.int64)
        labels = Labels.single([name for name in names if name])
        which = np.repeat(labels.which, counts)
        found = Labels(labels.names, np.arange(len(which)), which)
        splits = [part for (part, count), stays in zip(of_run, kept, strict=True) if stays for _ in range(count)]
        findings = tuple(_findings(listing, tops, parts))
        return Reading(listing.of_runs(kept), found, splits, findings, ignored=_ignored(listing, tops, parts))


def labelled_files(folder: Path, findings: list[Finding]) -> tuple[list[str], list[str]]:
    """The images below a folder and the class folder of each, whatever it is called; the rest goes to `findings`.

    Raises:
        CollectionError: the folder may not be read.
    """
    reading = Folders(parts=False).read(list_files(folder))
    findings += reading.findings
    return reading.listing.paths, reading.labels.first().tolist()


def tops_of(listing: Listing) -> dict[str, dict[str, int]]:
    """How many images there are in and below each folder of the root, and each folder in it."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path in listing.folders:
        top, _, rest = path.partition("/")
        found[top][rest.partition("/")[0]] += 0
    for path, count in listing.runs:
        top, _, rest = path.partition("/")
        found[top][rest.partition("/")[0]] += count
    return {top: dict(subs) for top, subs in sorted(found.items()) if top}


def without_copies(listing: Listing) -> tuple[Listing, dict[str, int]]:
    """The listing without folders that hold the root's files once more, and how many files each of them has.

    Archives are often packed so: `chest_xray/chest_xray/train` beside `chest_xray/train`.
    """
    tops = {folder.partition("/")[0] for folder, _ in listing.runs} - {""}
    copies = {top: count for top in sorted(tops) if (count := _copied(listing, f"{top}/"))}
    if not copies:
        return listing, {}
    kept = [folder.partition("/")[0] not in copies for folder, _ in listing.runs]
    return listing.of_runs(kept), copies


def _copied(listing: Listing, top: str) -> int:
    """How many files a folder has, if all of them are those of the root; else 0."""
    paths, sizes = listing.paths, listing.sizes
    start, end = bisect_left(paths, top), bisect_left(paths, f"{top}\U0010ffff")
    for place in range(start, end):
        other = paths[place][len(top) :]
        at = bisect_left(paths, other)
        if at == len(paths) or paths[at] != other or sizes[at] != sizes[place]:
            return 0
    return end - start


def _part_and_label(folder: str, parts: Iterable[str]) -> tuple[str, str]:
    top, _, rest = folder.partition("/")
    if not parts:
        return "", top
    return (top, rest.partition("/")[0]) if top in parts else ("", "")


def _part_folders(root: Path, tops: Tops) -> list[str]:
    """The folders that are splits; none where they are classes."""
    parts = [name for name, subs in tops.items() if canonical_part(name) and set(subs) - {""}]
    if not parts or (all(name.casefold() in _WEAK for name in parts) and not _hold_the_same(tops, parts)):
        return []
    kinds = Counter(canonical_part(name) for name in parts)
    if kinds["train"] != 1 or max(kinds.values()) > 1:
        raise CollectionError(
            needed="one training folder, and at most one each for validation and test",
            found=f"{root}: {', '.join(parts)}",
            next_step="say which folders are classes and which are splits: balance scan FOLDER "
            "--pattern '^(?P<split>train|test)/(?P<label>[^/]+)/'",
        )
    return parts


def _hold_the_same(tops: Tops, parts: list[str]) -> bool:
    """Whether folders that may be splits hold folders of the same names, and no other folder holds other ones."""
    classes = {name for part in parts for name, count in tops[part].items() if name and count}
    held = [{name for name, count in subs.items() if count} for subs in tops.values()]
    alone = len(parts) == 1 and len(tops) > 1
    shared = [len(names & classes) > 0 for names in held if names]
    each = [{name for name in tops[part] if name} for part in parts]
    return all(shared) and not alone and (len(each) < 2 or bool(set.intersection(*each)))


def _ignored(listing: Listing, tops: Tops, parts: list[str]) -> dict[str, int]:
    beside = {name: sum(subs.values()) for name, subs in tops.items() if parts and name not in parts}
    loose = sum(count for folder, count in listing.runs if folder in ("", *parts))
    return {**{name: count for name, count in beside.items() if count}, **({"unlabelled": loose} if loose else {})}


def _findings(listing: Listing, tops: Tops, parts: list[str]) -> Iterator[Finding]:
    levels = {"", *parts}
    hidden = [path for path in listing.hidden if path.rpartition("/")[0] in levels]
    if hidden:
        message = "hidden folders are not read, but torchvision's ImageFolder reads each as a class"
        yield Finding("hidden-folder", _paths(hidden), message, "remove them from the collection")
    if listing.unnamed:
        message = "folders whose names are not valid Unicode are not read"
        yield Finding("ignored-folder", _paths(listing.unnamed), message, "rename them")
    others = [name for name in tops if parts and name not in parts]
    if others:
        message = f"these folders beside {', '.join(parts)} are not read"
        fix = "move their images into a class folder of a split, or use a pattern: balance scan FOLDER --pattern REGEX"
        yield Finding("ignored-folder", _paths(others), message, fix)
    loose = [path for folder, start, end in listing.placed() if folder in levels for path in listing.paths[start:end]]
    if loose:
        message = f"{len(loose)} images are in no class folder and are not read"
        fix = "if a table contains their labels: balance scan FOLDER --labels TABLE"
        yield Finding("unlabelled", _paths(loose), message, fix)
    yield from _of_classes(listing, tops, parts)


def _of_classes(listing: Listing, tops: Tops, parts: list[str]) -> Iterator[Finding]:
    """Class folders without images, and files in class folders that are not read."""
    if parts:
        classes = {f"{part}/{name}": count for part in parts for name, count in tops[part].items() if name}
    else:
        classes = {name: sum(subs.values()) for name, subs in tops.items()}
    depth = 2 if parts else 1
    inside = [path for path in listing.others if "/".join(path.split("/")[:depth]) in classes]
    not_read = Counter("/".join(path.split("/")[:depth]) for path in inside)
    for name, count in classes.items():
        if not count:
            yield empty_class(Path(name), not_read[name])
    if inside:
        yield ignored_files([as_unicode(path) for path in inside])


def _paths(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))
