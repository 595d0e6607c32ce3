"""Images that a user's list leaves out of all learning; a test part that exists already keeps its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, Self

from balancer.collection.findings import Finding
from balancer.collection.scan import Collection
from balancer.errors import CollectionError
from balancer.imaging.tables import read_list
from balancer.splits.split import Split
from balancer.text import many, printable

FINDING = "excluded"
_SUSPECTED = "suspected-label"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Excluded:
    """The paths of a list, relative to the collection, and the name of its file.

    `untested` are those that leave the test part too: they were listed before there was a split. To take images out of
    a test part that exists already would be to choose what is tested.

    >>> Excluded("wrong.csv", ("nodule/a.png",)).paths
    ('nodule/a.png',)
    """

    file: str = ""
    paths: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any] | None) -> Self:
        """What `fields` gave, after JSON; nothing is left out where nothing is stored."""
        return cls() if fields is None else cls(fields["file"], tuple(fields["paths"]), tuple(fields["untested"]))

    def among(self, paths: Iterable[str]) -> Excluded:
        """Only those that are among the files of the collection."""
        there = {*paths}
        kept = [tuple(path for path in some if path in there) for some in (self.paths, self.untested)]
        return Excluded(self.file, *kept)

    def fields(self) -> dict[str, Any]:
        """The fields as JSON-compatible values."""
        return {"file": self.file, "paths": list(self.paths), "untested": list(self.untested)}


def read_excluded(file: Path, collection: Collection, earlier: Excluded, *, first: bool) -> Excluded:
    """The images that the first column of a table, or the lines of a list, name by path or by a unique file name.

    `first` says that there is no split yet; otherwise those that `earlier` left untested stay so.

    Raises:
        TableError: no such file, or no table.
        CollectionError: a name that is not in the collection, or that several of its files have.
    """
    paths = collection.images.index.tolist()
    known, by_name = set(paths), dict[str, list[str]]()
    for path in paths:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    found = dict[str, None]()
    for name in filter(None, read_list(file)):
        below = name.replace("\\", "/").removeprefix("./").removeprefix(f"{collection.root.name}/")
        fitting = [below] if below in known else by_name.get(below, [])
        if len(fitting) != 1:
            raise _unknown(name, fitting, paths)
        found[fitting[0]] = None
    untested = found if first else [path for path in earlier.untested if path in found]
    return Excluded(file.name, tuple(found), tuple(untested))


def leave_out(excluded: Excluded, collection: Collection, split: Split) -> tuple[Collection, Split]:
    """The collection and its split without what the list takes away; what is suspected of it is no longer said.

    The split keeps its hash: who tests whom has not changed.
    """
    gone = _gone(excluded, collection, split)
    if not gone:
        return collection, split
    images = collection.images.drop(gone)
    findings = tuple(_rest(each, gone) for each in collection.findings)
    left = [each for each in findings if each.paths or each.kind != _SUSPECTED]
    parts, there = split.parts, split.parts.index.isin(gone)
    sets = None if collection.label_sets is None else collection.label_sets.only(images.index)
    rest = replace(collection, images=images, findings=tuple(left), label_sets=sets)
    return rest, replace(split, parts=parts[~there], left_out=parts[there])


def about_excluded(excluded: Excluded, collection: Collection, split: Split) -> list[Finding]:
    """What a scan says of the list.

    Raises:
        CollectionError: the list leaves a class without training images.
    """
    listed = [path for path in excluded.paths if path in collection.images.index]
    if not listed:
        return []
    rest, parts = leave_out(excluded, collection, split)
    lacking = sorted({*collection.labels} - {*rest.images.loc[parts.paths("train", "holdout"), "label"]})
    had = {*collection.images.loc[split.paths("train", "holdout"), "label"]}
    if not collection.is_multi_label and (empty := [label for label in lacking if label in had]):
        raise CollectionError(
            needed="a training image of each class that is not in the list of --exclude",
            found=f"none of {printable(empty[0])}",
            next_step="take some of its images out of the list, then: balance scan DATA --exclude FILE",
        )
    kept = len(listed) - (len(collection.images) - len(rest.images))
    message = f"left out of training and validation: {many(len(listed), 'image')} of {excluded.file}"
    if kept:
        message += f"; {kept} of them are in the test split and stay there"
    fix = "this is your list; --exclude '' takes all of them back"
    return [Finding(FINDING, tuple(map(PurePosixPath, listed)), message, fix)]


def _gone(excluded: Excluded, collection: Collection, split: Split) -> list[str]:
    """What leaves: all but the test images that were listed after the split."""
    tested = {*split.paths("test")} - {*excluded.untested}
    there = {*excluded.paths} - tested
    return [path for path in collection.images.index if path in there] if there else []


def _rest(finding: Finding, gone: Sequence[str]) -> Finding:
    if finding.kind != _SUSPECTED:
        return finding
    away = {*gone}
    return replace(finding, paths=tuple(path for path in finding.paths if str(path) not in away))


def _unknown(name: str, fitting: Sequence[str], paths: Sequence[str]) -> CollectionError:
    if fitting:
        several = ", ".join(map(printable, fitting[:_NAMED]))
        return CollectionError(
            needed="names in the list of --exclude that belong to one file each",
            found=f"{printable(name)}, which may be {several}",
            next_step="write its path below the collection, then: balance scan DATA --exclude FILE",
        )
    near = get_close_matches(name, paths, 1, 0.5) or get_close_matches(name, [*map(_name, paths)], 1, 0.5)
    advice = f"did you mean {printable(near[0])}? Correct it" if near else "write paths below the collection"
    return CollectionError(
        needed="names of the collection's images in the list of --exclude",
        found=printable(name),
        next_step=f"{advice}, then: balance scan DATA --exclude FILE",
    )


def _name(path: str) -> str:
    return PurePosixPath(path).name
