"""Every image once to train, holdout, val or test, by patient; decided before anything learns."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from balancer.collection.scan import Collection
from balancer.collection.walk import canonical_part
from balancer.errors import SplitError
from balancer.splits.folds import NO_FOLDS, default_folds, draw_folds
from balancer.splits.groups import Groups, groups_by_class, largest_remainder, seeded_order, stratified
from balancer.splits.iterative import Dealt, deal, held_out

TEST_SHARE, VAL_SHARE, HOLDOUT_SHARE = 0.2, 0.15, 0.1
SPARED = 20
"""A class with fewer training patients than this gives none to the holdout part: it cannot spare them."""
PARTS = ("train", "holdout", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """The split of each image, and where it comes from.

    `parts` maps an image's path to train, holdout, val or test. Holdout images are training images in the balanced
    folder, but nothing that makes synthetic images learns from them: they are what it can be measured by. `origin`
    is "collection" (its own folders), "drawn" (here, by `seed`), "file" (the user's table) or "none" (all is train).
    `folds` maps a path to its fold for cross-fitting, 0 to K - 1, and is empty where there are none. `left_out` are the
    images that a list takes out of all parts, with the part that they had. `sha256` is over all of it, so that it does
    not change when images are left out.
    """

    parts: pd.Series
    origin: str
    seed: int
    folds: pd.Series = field(default_factory=NO_FOLDS.copy)
    left_out: pd.Series = field(default_factory=lambda: pd.Series(dtype=object))

    @property
    def sha256(self) -> str:
        """Hash over every path and its part, and over the folds where there are any."""
        lines = [f"{path}\x00{part}\n" for path, part in sorted((*self.parts.items(), *self.left_out.items()))]
        lines += [f"{path}\x00fold {fold}\n" for path, fold in sorted(self.folds.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def alone(self) -> Split:
        """The split of the images that are in it, as if there were no others."""
        return Split(self.parts, self.origin, self.seed, self.folds)

    @property
    def fold_count(self) -> int:
        """How many folds there are: 0 for none."""
        return 0 if self.folds.empty else int(self.folds.max()) + 1

    def paths(self, *parts: str) -> pd.Index:
        """The images of one or more parts, in the collection's order."""
        return self.parts.index[self.parts.isin(parts)]


@dataclass(frozen=True, slots=True)
class SplitShares:
    """What is asked of a split: the shares of test and val (0: none) and the folds (`None`: as the classes need)."""

    test: float = TEST_SHARE
    val: float = VAL_SHARE
    folds: int | None = None

    def __post_init__(self) -> None:
        if not (self.test >= 0 and self.val >= 0 and math.isfinite(total := self.test + self.val) and total <= 0.9):
            raise SplitError(
                needed="shares of 0 or more for test and validation, and at most 0.9 together",
                found=f"--test {self.test:g} --val {self.val:g}",
                next_step="use, for example: balance split --test 0.2 --val 0.15",
            )


USUAL = SplitShares()


def draw_split(
    collection: Collection, seed: int = 0, earlier: Split | None = None, shares: SplitShares = USUAL
) -> Split:
    """Draw train, holdout, val and test by patient, class by class; a collection's own folders are kept.

    Where images have several findings, each finding is stratified (`iterative`), and one of fewer patients than there
    are splits stays in training. Where sex and view are known, each class is stratified by them too. Images without a
    known patient count as patients of their own; copies of an image stay together. What `earlier` decided stays as it
    is: new patients go to train, and there are as many folds as there were. A collection with parts of its own but none
    for validation keeps the one that was drawn by `draw_validation`.

    Raises:
        SplitError: there are no training images.
    """
    groups = Groups.of(collection)
    fixed = {} if earlier is None else _parts_of_groups(groups.names, earlier, PARTS)
    if collection.has_parts:
        parts = _own_parts(collection)
        if earlier is not None and not (parts == "val").any():
            drawn = earlier.parts.reindex(parts.index) == "val"
            parts = parts.mask((parts == "train") & groups.names.isin(groups.names[drawn]), "val")
    else:
        asked = {part: share for part, share in (("test", shares.test), ("val", shares.val)) if share}
        parts = _assign(groups, asked, seed, fixed)
    return complete_split(groups, parts, _origin(collection, earlier), seed, earlier, shares.folds)


def complete_split(
    groups: Groups, parts: pd.Series, origin: str, seed: int, earlier: Split | None, folds: int | None
) -> Split:
    """Add the holdout part and the folds to train, val and test.

    Raises:
        SplitError: there are no training images.
    """
    train = parts == "train"
    trained = {} if earlier is None else _parts_of_groups(groups.names, earlier, ("train", "holdout"))
    parts = parts.where(~train, _hold_out(groups, train, seed, trained))
    _require_training(parts)
    wanted = folds if folds is not None else default_folds(groups, parts) if earlier is None else earlier.fold_count
    known = earlier.folds if earlier is not None and earlier.fold_count == wanted else NO_FOLDS
    return Split(parts, origin, seed, draw_folds(groups, wanted, seed, known))


def draw_validation(collection: Collection, share: float, seed: int = 0, folds: int | None = None) -> Split:
    """Draw a validation part from the training part of a collection that has parts of its own, but none for it.

    Raises:
        SplitError: it has no parts, or one for validation.
    """
    own = _own_parts(collection)
    if not collection.has_parts or (own == "val").any():
        raise SplitError(
            needed="a collection with splits of its own, but none for validation",
            found="a collection with validation images" if collection.has_parts else "a collection without splits",
            next_step="leave --val out",
        )
    groups, train = Groups.of(collection), own == "train"
    beyond = dict.fromkeys(groups.names[~train], "train")  # who is in the test part too is no one to validate by
    drawn = _assign(groups, {"val": share} if share else {}, seed, beyond, keep=True)
    return complete_split(groups, own.mask(train & (drawn == "val"), "val"), "collection", seed, None, folds)


def draw_fold(collection: Collection, split: Split, fold: int, share: float = VAL_SHARE) -> Split:
    """The split of one fold: that fold is the test part, and of the others a validation part is drawn by patient.

    Raises:
        SplitError: there is no such fold, or nothing is left to train on.
    """
    if not 0 <= fold < split.fold_count:
        raise SplitError(
            needed=f"fold {fold} of the stored split",
            found=f"{split.fold_count} folds",
            next_step="balance split --folds 5",
        )
    groups = Groups.of(collection)
    tested = split.folds.reindex(collection.images.index) == fold
    parts = _assign(groups, {"val": share}, split.seed, dict.fromkeys(groups.names[tested], "test"), keep=True)
    return complete_split(groups, parts, "drawn", split.seed, None, 0)


def _own_parts(collection: Collection) -> pd.Series:
    return collection.images["part"].map(lambda part: canonical_part(part) or "train").astype(object)


def _origin(collection: Collection, earlier: Split | None) -> str:
    if collection.has_parts:
        return "collection"
    return "file" if earlier is not None and earlier.origin == "file" else "drawn"


def no_split(collection: Collection) -> Split:
    """Everything is training data: nothing is left to show whether the synthetic images help."""
    return Split(pd.Series("train", index=collection.images.index, dtype=object), "none", 0)


def training_counts(collection: Collection, split: Split) -> dict[str, int]:
    """Images of each class, or finding, that the balanced training folder begins with (train and holdout)."""
    paths = split.paths("train", "holdout")
    sets = collection.label_sets
    found = Counter(collection.images.loc[paths, "label"]) if sets is None else sets.only(paths).counts()
    return {label: found.get(label, 0) for label in collection.labels}


def _parts_of_groups(groups: pd.Series, earlier: Split, parts: Sequence[str]) -> dict[str, str]:
    """The part that each group had; of several, the last one named in `parts`, so that test images stay unseen."""
    found: dict[str, str] = {}
    for part in parts:
        there = groups.index.get_indexer(earlier.paths(part))
        found.update(dict.fromkeys(groups.to_numpy()[there[there >= 0]].tolist(), part))
    return found


def _assign(
    groups: Groups,
    shares: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
    *,
    keep: bool = False,
) -> pd.Series:
    """Give each group of images a part: whole groups, in an order drawn by `seed`, class by class.

    Beside `fixed` groups new ones go to train, unless `keep` says that they are to be drawn all the same.
    """
    part_of = {group: ("train" if part == "holdout" else part) for group, part in fixed.items()}
    if groups.has is not None:
        fresh = [group for group in groups.names.unique() if group not in part_of]
        drawn = _draw_by_findings(groups, fresh, shares, seed) if not fixed or keep else dict.fromkeys(fresh, "train")
        return _by_group(groups, part_of | drawn)
    for members in groups_by_class(groups.labels, groups.names).values():
        fresh = seeded_order((group for group in members if group not in part_of), seed)
        if not fixed or keep:
            part_of.update(_draw(fresh, shares, groups.strata))
        part_of.update({group: "train" for group in fresh if group not in part_of})
    return _by_group(groups, part_of)


def _by_group(groups: Groups, part_of: Mapping[str, str]) -> pd.Series:
    """The part of each image, by the part of its group; missing where that has none."""
    return pd.Series([part_of.get(name) for name in groups.names.tolist()], groups.names.index, dtype=object)


def _draw_by_findings(
    groups: Groups, members: Sequence[str], shares: Mapping[str, float], seed: int, spared: int = 0
) -> dict[str, str]:
    """Draw the parts of groups of several findings; those with a finding of too few groups stay in training."""
    dealt = Dealt.of(groups, members, seed)
    few = dealt.counts() < max(spared, len(shares) + 1)
    kept = {name: 0 for name, some in zip(dealt.names, dealt.findings, strict=True) if few[some].any()}
    parts = ["train", *shares]
    dealt_to = deal(dealt, [1 - sum(shares.values()), *shares.values()], held_out(dealt, shares, spared), kept)
    return {name: parts[part] for name, part in dealt_to.items()}


def _draw(members: Sequence[str], shares: Mapping[str, float], strata: Mapping[str, str]) -> dict[str, str]:
    """Draw the parts of one class; one group at least is left for training."""
    part_of: dict[str, str] = {}
    if len(members) <= len(shares):
        return part_of
    ordered = stratified(members, strata)
    sizes, start = [len(stratum) for stratum in ordered], [0] * len(ordered)
    for part, share in shares.items():
        count = min(max(1, round(share * len(members))), len(members) - len(part_of) - 1)
        free = [size - begin for size, begin in zip(sizes, start, strict=True)]
        for at, taken in enumerate(largest_remainder([share * size for size in sizes], free, count)):
            part_of.update(dict.fromkeys(ordered[at][start[at] : start[at] + taken], part))
            start[at] += taken
    return part_of


def _hold_out(groups: Groups, train: pd.Series, seed: int, fixed: Mapping[str, str]) -> pd.Series:
    part_of = dict(fixed)
    if groups.has is not None:
        fresh = [group for group in groups.names[train].unique() if group not in part_of]
        drawn = _draw_by_findings(groups, fresh, {"holdout": HOLDOUT_SHARE}, seed + 1, SPARED)
        return _by_group(groups, part_of | (dict.fromkeys(fresh, "train") if fixed else drawn))
    for members in groups_by_class(groups.labels[train], groups.names[train]).values():
        fresh = seeded_order((group for group in members if group not in part_of), seed + 1)
        if len(members) >= SPARED and not fixed:
            part_of.update(_draw(fresh, {"holdout": HOLDOUT_SHARE}, groups.strata))
        part_of.update({group: "train" for group in fresh if group not in part_of})
    return _by_group(groups, part_of)


def _require_training(parts: pd.Series) -> None:
    if parts.isin(["train", "holdout"]).any():
        return
    raise SplitError(
        needed="images in the training split",
        found="none",
        next_step="put class folders with images into train/, then run: balance scan FOLDER",
    )
