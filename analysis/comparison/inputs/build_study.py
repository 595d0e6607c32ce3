"""What a comparison is made of, gathered and decoded once: real images by the stored split, and what may be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.comparison.inputs.pools import Pool, extra_pool, findings_of, synthetic_pool, unscreened_pool
from analysis.comparison.inputs.sample_size import Counts, require_sufficient
from analysis.comparison.inputs.study import EXTRA, Added, Numbers, Part, Study, attributes_table
from analysis.comparison.inputs.transplants import transplant, transplants_like
from analysis.data.balanced_folder import BalancedFolder, read_balanced
from analysis.data.endpoint import fitting_folds, known_labels, rarest_class
from analysis.data.images import Greys, decode_readable
from analysis.data.targets import Targets, having
from analysis.screening.reference_images import Watch
from analysis.statistics.intervals import group_numbers
from balancer.collection.regions import Regions
from balancer.collection.scan import Collection, with_hashes
from balancer.errors import CollectionError, ComparisonError
from balancer.files import sha256_if_there
from balancer.splits.groups import stay_together
from balancer.splits.split import Split
from balancer.store.database import Ledger

Reconstruct = Callable[[Sequence[Path], int], Greys]
"""Real images pushed through the generator's autoencoder: files and a side to (N, side, side)."""
_NAMED = 3
_PARTS = ("train", "holdout", "val", "test")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to gather: images of `side` pixels, and what else than real images.

    `needs` name what is added: "synthetic", "unscreened", "reconstructed", "transplanted"; `extras` are folders of the
    user's own, by name. `regions` say where findings are in real images. `rare` is the class of the primary
    endpoint, by default the one with the fewest training images. `insist`: go on where nothing can be concluded of that
    class, and say so. `pooled`: this is one fold among several.
    """

    side: int
    needs: Sequence[str] = ("synthetic",)
    extras: Mapping[str, Path] = field(default_factory=dict)
    rare: str | None = None
    insist: bool = False
    pooled: bool = False
    regions: Regions | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """A study and where it comes from.

    `collection` has the hashes of all images. `pools` are the files behind `study.added`, in the same order. `notes`
    are for the user: what was set aside, and how the parts are used.
    """

    study: Study
    collection: Collection
    split: Split
    balanced: BalancedFolder | None
    pools: Mapping[str, Pool]
    notes: tuple[str, ...]


def gather(
    collection: Collection,
    split: Split,
    folder: Path | None,
    wanted: Wanted,
    *,
    ledger: Ledger,
    cache: Path,
    reconstruct: Reconstruct | None = None,
    watch: Watch = lambda what: lambda done, total: None,
) -> Material:
    """Decode what a comparison needs, once: the source collection by its split, and what may be added to it.

    Where the validation part lacks the rarest class, the holdout part, from which no generator learned, serves as
    validation too and is taken from the classifiers' training. Nothing but the cache is written.

    Raises:
        CollectionError: an image is gone or changed since the scan.
        OutputError: `folder` is not a balanced folder, or its tables were changed.
        ComparisonError: too little is there for any conclusion, or `folder` belongs to another collection.
    """
    collection = _hashed(collection, split, ledger, watch)
    balanced = None if folder is None else read_balanced(folder)
    if balanced is not None:
        balanced.require_unchanged()
        _require_same_collection(balanced, collection)
    rare = wanted.rare or rarest_class(collection, split) or collection.labels[0]
    greys, places, notes = _real(collection, split, wanted.side, cache, watch)
    parts, more = _assigned(collection, split, rare)
    parts = parts.loc[[path for path in parts.index if path in places]]
    counts = replace(_counts(collection, parts, rare), folds=fitting_folds(collection, split, rare))
    stamps = require_sufficient(counts, rare, insist=wanted.insist, pooled=wanted.pooled)
    groups = pd.Series(group_numbers(stay_together(collection).tolist()), collection.images.index)
    whole = _Whole(collection, greys, places, groups)
    made = {name: whole.part(parts.index[parts == name]) for name in ("train", "validation", "test")}
    pools, added, also = _added(collection, balanced, made["train"], wanted, ledger, cache, reconstruct, watch)
    stamps = (*stamps, *_none_made(added, rare, collection.labels.index(rare)))
    study = Study(tuple(collection.labels), rare, made["train"], made["validation"], made["test"], added, stamps)
    return Material(study, collection, split, balanced, pools, (*notes, *more, *also))


def _none_made(added: Mapping[str, Added], rare: str, number: int) -> Iterable[str]:
    """A stamp where synthetic images are there, but none of the class or finding that decides."""
    synthetic = added.get("synthetic")
    if synthetic is not None and len(synthetic) and not having(synthetic.targets, number).any():
        yield f"no synthetic image has {rare}, which decides: choose another with --label"


def _counts(collection: Collection, parts: pd.Series, rare: str) -> Counts:
    """Real images of each class or finding in each part, and of findings those known not to have the rare one."""
    sets, paths = collection.label_sets, {name: parts.index[parts == name] for name in set(parts)}
    if sets is None:
        labels = collection.images["label"]
        return Counts.of(collection.labels, {name: labels[some] for name, some in paths.items()})
    others = known_labels(collection, rare)
    lacking = {name: int((others.reindex(some) == "").sum()) for name, some in paths.items()}
    counts = {name: sets.only(some).counts() for name, some in paths.items()}
    train, validation, test = (counts.get(name, {}) for name in ("train", "validation", "test"))
    return Counts(tuple(collection.labels), train, validation, test, lacking=lacking)


def _require_same_collection(balanced: BalancedFolder, collection: Collection) -> None:
    hashes, originals = set(collection.images["sha256"].dropna()), balanced.originals
    known = sum(row.collection_sha256 in hashes for row in originals)
    same = collection.is_multi_label or list(balanced.manifest.labels) == collection.labels
    if same and known * 2 > len(originals):
        return
    raise ComparisonError(
        needed=f"a balanced folder made from the scanned collection, {collection.root}",
        found=f"{balanced.folder}: {known} of its {len(originals)} real images are in that collection, so "
        "nothing can be concluded about it",
        next_step="name the folder that belongs to it, or scan the collection it was made from: balance scan FOLDER",
    )


def _hashed(collection: Collection, split: Split, ledger: Ledger, watch: Watch) -> Collection:
    """With the hashes of all images; a file whose time changed is read again."""
    paths = split.paths(*_PARTS).intersection(collection.images.index, sort=False)
    hashed = with_hashes(collection, paths, watch("Hashing"))
    if hashed.images["sha256"].isna().sum() < collection.images["sha256"].isna().sum():
        ledger.save_hashes(hashed)
    images = hashed.images.loc[paths]
    for path, time, sha256 in zip(paths, images["mtime_ns"].tolist(), images["sha256"], strict=True):
        file = collection.root / path
        if file.stat().st_mtime_ns != time and sha256_if_there(file) != sha256:
            raise CollectionError(
                needed="the collection as it was scanned",
                found=f"{path!r} has changed",
                next_step="scan it again: balance scan FOLDER",
            )
    return hashed


def _real(
    collection: Collection, split: Split, side: int, cache: Path, watch: Watch
) -> tuple[Greys, dict[str, int], list[str]]:
    """All real images that the split knows: the array, the row of each path in it, and what could not be decoded."""
    paths = split.paths(*_PARTS).intersection(collection.images.index, sort=False)
    images = collection.images.loc[paths]
    files = tuple(collection.root / path for path in paths)
    greys, readable = decode_readable(files, side, cache, list(images["sha256"]), watch("Decoding real images"))
    return greys, {paths[place]: row for row, place in enumerate(readable)}, _set_aside("real", list(paths), readable)


def _assigned(collection: Collection, split: Split, rare: str) -> tuple[pd.Series, list[str]]:
    """train, validation or test of each path, and how the holdout part is used."""
    known = split.parts[split.parts.isin(_PARTS) & split.parts.index.isin(collection.images.index)]
    parts = known.replace({"val": "validation"})
    held = parts == "holdout"
    has_rare = (known_labels(collection, rare).reindex(parts.index[parts == "validation"]) == rare).any()
    if has_rare or not held.any():
        return parts.mask(held, "train"), []
    what = "has no validation split" if not (parts == "validation").any() else f"has no {rare} in its validation split"
    note = (
        f"The collection {what}: the {int(held.sum())} images of the generator holdout are used for validation, "
        "not for training."
    )
    return parts.mask(held, "validation"), [note]


@dataclass(frozen=True, slots=True)
class _Whole:
    """All real images, decoded: `places` are the rows of `greys` by path, `groups` the patients' numbers by path."""

    collection: Collection
    greys: Greys
    places: Mapping[str, int]
    groups: pd.Series

    def part(self, paths: pd.Index) -> Part:
        """The images at these paths, as one part of the study."""
        images = self.collection.images.loc[paths]
        rows = np.array([self.places[path] for path in paths], np.int64)
        sets, labels = self.collection.label_sets, self.collection.labels
        if sets is None:
            targets: Targets = _targets(images["label"], labels)
        else:
            targets = np.array(sets.only(paths).marks[labels], np.int8)
        groups = self.groups.loc[paths].to_numpy(np.int64)
        return Part(self.greys[rows], targets, groups, tuple(paths), attributes_table(images))


def _added(
    collection: Collection,
    balanced: BalancedFolder | None,
    train: Part,
    wanted: Wanted,
    ledger: Ledger,
    cache: Path,
    reconstruct: Reconstruct | None,
    watch: Watch,
) -> tuple[dict[str, Pool], dict[str, Added], list[str]]:
    """What may be added to the real training images, by name, and what is to be said of it."""
    several = findings_of(collection)
    synthetic, notes = synthetic_pool(balanced, several)
    wishes: dict[str, Pool] = {}
    if "synthetic" in wanted.needs:
        wishes["synthetic"] = synthetic
    if "unscreened" in wanted.needs and len(synthetic):
        wishes["unscreened"] = unscreened_pool(collection, ledger, Counter(synthetic.labels))
    for name, folder in wanted.extras.items():
        wishes[f"{EXTRA}{name}"] = extra_pool(name, folder, collection.labels, several=bool(several))
    pools: dict[str, Pool] = {}
    added: dict[str, Added] = {}
    for name, pool in wishes.items():
        if not len(pool):
            continue
        greys, readable = decode_readable(pool.files, wanted.side, cache, pool.hashes, watch(f"Decoding {name} images"))
        notes += _set_aside(name, pool.names, readable)
        pools[name] = pool.some(readable)
        marks = pools[name].marks
        added[name] = Added(
            greys, np.array(marks, np.int8) if several else _targets(pools[name].labels, collection.labels)
        )
    if "reconstructed" in wanted.needs and reconstruct is not None and len(synthetic):
        rows = _rows_like(train, added["synthetic"], len(collection.labels))
        files = [collection.root / train.paths[row] for row in rows.tolist()]
        added["reconstructed"] = Added(reconstruct(files, wanted.side), train.targets[rows])
    if "transplanted" in wanted.needs and balanced is not None and "synthetic" in pools:
        made = _transplanted(collection, balanced, train, pools["synthetic"], wanted.regions)
        added |= {"transplanted": made} if len(made) else {}
    return pools, added, notes


def _transplanted(
    collection: Collection, balanced: BalancedFolder, train: Part, synthetic: Pool, regions: Regions | None
) -> Added:
    """As many real lesions in images of other patients as there are synthetic ones; of each class that can be had."""
    wishes = transplants_like(synthetic, balanced, collection.labels, train)
    return transplant(train, collection.labels, wishes, regions)


def _targets(labels: Iterable[str], classes: Sequence[str]) -> Numbers:
    return np.array([classes.index(label) for label in labels], np.int64)


def _rows_like(train: Part, made: Added, size: int) -> Numbers:
    """The real images that have a class or a finding which some synthetic image has."""
    filled = [number for number in range(size) if having(made.targets, number).any()]
    return np.flatnonzero(np.any([having(train.targets, number) for number in filled], axis=0))


def _set_aside(what: str, names: Sequence[str], readable: Sequence[int]) -> list[str]:
    there = set(readable)
    broken = [name for place, name in enumerate(names) if place not in there]
    if not broken:
        return []
    some = ", ".join(broken[:_NAMED]) + (f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else "")
    return [f"Left out because they cannot be decoded: {len(broken)} {what} images ({some})."]
