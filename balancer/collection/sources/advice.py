"""What is said where a reading looks wrong: what was taken for classes, why not, and what to type instead."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from balancer.collection.guard import Doubt, are_grades, doubts, is_mask_name
from balancer.collection.presets import recognised
from balancer.collection.sources.folders import tops_of
from balancer.collection.sources.reading import Reading
from balancer.collection.walk import Listing, as_unicode, canonical_part
from balancer.errors import CollectionError
from balancer.imaging.dicom import starts_as_dicom

_NAMED = 4
_MOST_CLASSES = 20
_TABLES = (".csv", ".tsv", ".xlsx", ".parquet", ".csv.gz", ".tsv.gz", ".txt.gz")
_DICOM = (".dcm", ".dicom")
_KINDS = {**{suffix: f"DICOM ({suffix})" for suffix in _DICOM}, "": "without a suffix"}


def require_sound(listing: Listing, reading: Reading) -> None:
    """Refuse folders that look like anything but classes.

    Raises:
        CollectionError: with what they look like, and the commands that may read them rightly.
    """
    if not reading.by_folder:
        return
    counts = Counter(reading.labels.first().tolist())
    found = list(doubts(counts, _below(reading))) or list(_by_known_tables(listing, counts))
    if found:
        raise CollectionError(
            needed="a folder for each class, named after a finding or diagnosis",
            found=f"{as_unicode(listing.root.name)}: {_taken(counts)}; {'; '.join(map(_words, found))}",
            next_step=_lines([*ways_out(listing), f"if they are the classes: {_scan(listing.root)} --as-is"]),
        )


def _by_known_tables(listing: Listing, counts: Counter[str]) -> Iterator[Doubt]:
    preset = recognised(listing)
    if preset and preset.by_table:
        yield Doubt(tuple(counts), f"this looks like {preset.title}, whose labels are in tables")
    elif are_grades(list(counts)) and any("/" not in path and _is_table(path) for path in listing.others):
        yield Doubt(tuple(counts), "they are numbers, and a table beside them may contain the labels")


def too_few_classes(
    root: Path, known: Sequence[str], listing: Listing, faults: Sequence[tuple[str, str]] = ()
) -> CollectionError:
    """The error for a reading of one class or none: what there is, and the commands that may find classes."""
    what = f"only the class {as_unicode(known[0])!r}" if known else "no class folder with a readable image"
    return CollectionError(
        needed="at least two class folders with readable images, as in FOLDER/CLASS/image.png "
        "(PNG, JPEG, TIFF, BMP, WebP or DICOM)",
        found=f"{root}: {what}{_unread(faults)}{_there(listing)}",
        next_step=_lines(ways_out(listing)),
    )


def _unread(faults: Sequence[tuple[str, str]]) -> str:
    """Files that cannot be read, where they may be what was meant."""
    if not faults:
        return ""
    path, why = faults[0]
    return f"; {len(faults)} files cannot be read, for example {as_unicode(path)}: {why}"


def ways_out(listing: Listing) -> list[str]:
    """Commands that may read a folder rightly, the likeliest first."""
    found = [*_by_preset(listing), *_folder_within(listing), *_without_masks(listing)]
    found += [*_by_table(listing), *_by_pattern(listing)]
    return [*found, "or point to the folder above the class folders: balance scan FOLDER"]


def _by_preset(listing: Listing) -> Iterator[str]:
    preset = recognised(listing)
    if preset:
        yield f"this looks like {preset.title}: {_scan(listing.root)} --preset {preset.name}"


def _scan(root: Path) -> str:
    return f"balance scan {shlex.quote(as_unicode(str(root)))}"


def _lines(commands: Sequence[str]) -> str:
    return "\n        ".join(commands)


def _taken(counts: Counter[str]) -> str:
    some = ", ".join(f"{as_unicode(name)} ({count})" for name, count in list(counts.items())[:_NAMED])
    more = f" and {len(counts) - _NAMED} more" if len(counts) > _NAMED else ""
    return f"these folders would be the classes (images): {some}{more}"


def _words(doubt: Doubt) -> str:
    some = ", ".join(map(as_unicode, doubt.classes[:_NAMED])) + (", ..." if len(doubt.classes) > _NAMED else "")
    return f"{some}: {doubt.what}"


def _there(listing: Listing) -> str:
    """What else lies there, where it may be what was meant."""
    kinds = Counter(map(_kind, listing.others))
    if not kinds:
        return ""
    some = ", ".join(f"{count} {_KINDS.get(kind, kind)}" for kind, count in kinds.most_common(_NAMED))
    return f"; files that are not read as images: {some}"


def _kind(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _below(reading: Reading) -> dict[str, list[str]]:
    """The names of all folders inside each class folder."""
    found: dict[str, set[str]] = defaultdict(set)
    labels = reading.labels.first().tolist()
    for folder, start, _ in reading.listing.placed():
        depth = 2 if reading.parts[start] else 1
        found[labels[start]].update(folder.split("/")[depth:])
    return {label: sorted(names) for label, names in found.items()}


def _folder_within(listing: Listing) -> Iterator[str]:
    """The one folder that holds all folders of images."""
    tops = {top: subs for top, subs in tops_of(listing).items() if any(subs.values())}
    for top, subs in tops.items():
        holding = [name for name, count in subs.items() if count and name]
        if len(tops) == 1 and len(holding) > 1:
            yield f"if the classes are the folders in it: {_scan(listing.root / top)}"


def _without_masks(listing: Listing) -> Iterator[str]:
    names = {piece for folder, _ in listing.runs for piece in folder.split("/") if is_mask_name(piece)}
    if names:
        ignored = " ".join(f"--ignore {shlex.quote(name)}" for name in sorted(names)[:_NAMED])
        yield f"without the masks: {_scan(listing.root)} {ignored}"


def _by_table(listing: Listing) -> Iterator[str]:
    tables = [path for path in listing.others if _is_table(path)]
    tables += [f"../{path.name}" for path in _beside(listing.root)]
    name = shlex.quote(as_unicode(str(listing.root / tables[0]))) if tables else "TABLE"
    yield f"if a table contains the labels: {_scan(listing.root)} --labels {name} --columns 'file=COLUMN label=COLUMN'"
    if any(starts_as_dicom(listing.root / path) for path in listing.paths[:1]):
        columns = "file=dicom:AccessionNumber label=COLUMN"
        how = f"--labels {name} --columns '{columns}'"
        yield f"if it names studies by a number of the DICOM headers: {_scan(listing.root)} {how}"


def _is_table(name: str) -> bool:
    return name.lower().endswith(_TABLES)


def _beside(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.resolve().parent.iterdir() if _is_table(path.name))[:_NAMED]
    except OSError:
        return []


def _by_pattern(listing: Listing) -> Iterator[str]:
    if not listing.paths:
        return
    path = listing.paths[0]
    depth = _depth_of_classes(listing)
    pattern = r"(?P<label>[^/]+)/"
    if depth is not None:
        start = "".join("(?P<split>[^/]+)/" if canonical_part(piece) else "[^/]+/" for piece in path.split("/")[:depth])
        yield f"if the paths contain the class: {_scan(listing.root)} --pattern '^{start}{pattern}'"
    else:
        yield (
            f"if the paths contain the class, as in {as_unicode(path)}: {_scan(listing.root)} "
            "--pattern REGEX, with the groups (?P<label>...) and, if known, (?P<patient>...), (?P<split>...)"
        )


def _depth_of_classes(listing: Listing) -> int | None:
    """How many folders lie above those that could be classes: few, and without doubt."""
    levels: list[Counter[str]] = []
    for folder, count in listing.runs:
        for depth, name in enumerate(folder.split("/") if folder else ()):
            if len(levels) == depth:
                levels.append(Counter())
            levels[depth][name] += count
    for depth, names in enumerate(levels):
        whole = sum(names.values()) == len(listing.paths)
        numbered = all(re.search(r"\d", name) for name in names)
        if depth and whole and 2 <= len(names) <= _MOST_CLASSES and not numbered and not list(doubts(names)):
            return depth
    return None
