"""Every image once to train, holdout, val or test, by patient; decided before anything learns."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from balancer.errors import SplitError
from balancer.folders import canonical_part
from balancer.scan import Collection

TEST_SHARE, VAL_SHARE, HOLDOUT_SHARE = 0.2, 0.15, 0.1
SPARED = 20
"""A class with fewer training patients than this gives none to the holdout part: it cannot spare them."""


@dataclass(frozen=True, slots=True)
class Split:
    """Where each image belongs.

    `parts` maps an image's path to train, holdout, val or test. Holdout images are training images in the balanced
    folder, but nothing that makes synthetic images learns from them: they are what it can be measured by. `origin`
    is "collection" (its own folders), "drawn" (here, by `seed`) or "none" (all is train); `sha256` is over all of it.
    """

    parts: pd.Series
    origin: str
    seed: int

    @property
    def sha256(self) -> str:
        """Hash over every path and its part."""
        lines = (f"{path}\x00{part}\n" for path, part in sorted(self.parts.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def paths(self, *parts: str) -> pd.Index:
        """The images of one or more parts, in the collection's order."""
        return self.parts.index[self.parts.isin(parts)]


def draw_split(collection: Collection, seed: int = 0, earlier: Split | None = None) -> Split:
    """Draw train, holdout, val and test by patient, class by class; a collection's own folders are kept.

    Images without a known patient count as patients of their own; exact duplicates stay together. What `earlier`
    decided stays as it is: new patients go to train.

    Raises:
        SplitError: a class has no training images left.
    """
    groups = _groups(collection)
    fixed = {} if earlier is None else _parts_of_groups(groups, earlier, ("train", "holdout", "val", "test"))
    if collection.has_parts:
        parts = collection.images["part"].map(lambda part: canonical_part(part) or "train").astype(object)
    else:
        parts = _assign(collection, groups, {"test": TEST_SHARE, "val": VAL_SHARE}, seed, fixed)
    train = parts == "train"
    trained = {} if earlier is None else _parts_of_groups(groups, earlier, ("train", "holdout"))
    held = _hold_out(collection, groups, train, seed, trained)
    parts = parts.where(~train, held)
    _require_training(collection, parts)
    return Split(parts, "collection" if collection.has_parts else "drawn", seed)


def no_split(collection: Collection) -> Split:
    """Everything is training data: nothing is left to show whether the synthetic images help."""
    return Split(pd.Series("train", index=collection.images.index, dtype=object), "none", 0)


def training_counts(collection: Collection, split: Split) -> dict[str, int]:
    """Images of each class that the balanced training folder begins with (train and holdout)."""
    labels = collection.images.loc[split.paths("train", "holdout"), "label"]
    found = Counter(labels)
    return {label: found[label] for label in collection.labels}


def _groups(collection: Collection) -> pd.Series:
    """A name for what must stay together: the patient, else the content, else the file itself."""
    images = collection.images
    own = pd.Series(images.index, index=images.index)
    names = ("patient " + images["patient"]).fillna("image " + own)
    copies = images["sha256"].notna() & images["sha256"].duplicated(keep=False)
    return _joined(names, images["sha256"][copies])


def _joined(names: pd.Series, contents: pd.Series) -> pd.Series:
    """Join groups that share an exact duplicate."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while name in root:
            name = root[name]
        return name

    for _, paths in contents.groupby(contents).groups.items():
        first, *others = sorted({find(names[path]) for path in paths})
        root.update(dict.fromkeys(others, first))
    return names.map(find) if root else names


def _parts_of_groups(groups: pd.Series, earlier: Split, parts: Sequence[str]) -> dict[str, str]:
    """The part that each group had; of several, the last one named in `parts`, so that test images stay unseen."""
    found: dict[str, str] = {}
    for part in parts:
        known = earlier.paths(part)
        found.update(dict.fromkeys(groups.loc[known[known.isin(groups.index)]], part))
    return found


def _assign(
    collection: Collection,
    groups: pd.Series,
    shares: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> pd.Series:
    """Give each group of images a part: whole groups, in an order drawn by `seed`, class by class."""
    part_of = {group: ("train" if part == "holdout" else part) for group, part in fixed.items()}
    for members in _groups_by_class(collection.images["label"], groups).values():
        fresh = [group for group in _drawn_order(members, seed) if group not in part_of]
        if fixed:
            part_of.update(dict.fromkeys(fresh, "train"))
            continue
        start = 0
        for part, share in shares.items():
            count = max(1, round(share * len(members))) if len(members) > len(shares) else 0
            part_of.update(dict.fromkeys(fresh[start : start + count], part))
            start += count
        part_of.update(dict.fromkeys(fresh[start:], "train"))
    return groups.map(part_of).astype(object)


def _hold_out(
    collection: Collection, groups: pd.Series, train: pd.Series, seed: int, fixed: Mapping[str, str]
) -> pd.Series:
    part_of = dict(fixed)
    labels = collection.images["label"][train]
    for members in _groups_by_class(labels, groups[train]).values():
        fresh = [group for group in _drawn_order(members, seed + 1) if group not in part_of]
        count = round(HOLDOUT_SHARE * len(members)) if len(members) >= SPARED and not fixed else 0
        part_of.update(dict.fromkeys(fresh[:count], "holdout"))
        part_of.update(dict.fromkeys(fresh[count:], "train"))
    return groups.map(part_of).astype(object)


def _groups_by_class(labels: pd.Series, groups: pd.Series) -> dict[str, list[str]]:
    """The groups of each class, rarest class first; a group with images of several classes counts for its rarest."""
    order = [label for label, _ in sorted(Counter(labels).items(), key=lambda item: (item[1], item[0]))]
    members: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for label in order:
        members[label] = [group for group in groups[labels == label].unique() if group not in seen]
        seen.update(members[label])
    return members


def _drawn_order(names: Iterable[str], seed: int) -> list[str]:
    """A shuffle that depends on each name and the seed alone, not on the others."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\x00{name}".encode()).digest())


def _require_training(collection: Collection, parts: pd.Series) -> None:
    training = set(collection.images["label"][parts.isin(["train", "holdout"])])
    if training:
        return
    raise SplitError(
        needed="images in the training part",
        found="none",
        next_step="put class folders with images into train/, then run: balance scan FOLDER",
    )
