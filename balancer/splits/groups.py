"""What must stay together in a split, and the order in which it is drawn."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from balancer.collection.findings import SAME_IMAGE
from balancer.collection.scan import Collection

STRATA = ("sex", "view")
"""Columns of the collection by which each class is stratified further, where they are known."""


@dataclass(frozen=True, slots=True)
class Groups:
    """What a split is drawn from: the label and the group of each image, and the stratum of each group.

    `names` are those of `stay_together`, `strata` those of `strata_of`. Both are found once for all draws of a split.
    `has` tells which image has which finding, where images may have several: then the split is drawn by findings.
    """

    labels: pd.Series
    names: pd.Series
    strata: Mapping[str, str]
    has: pd.DataFrame | None = None

    @classmethod
    def of(cls, collection: Collection) -> Groups:
        """The groups of a collection."""
        names = stay_together(collection)
        sets = collection.label_sets
        has = None if sets is None else sets.only(collection.images.index).has()[collection.labels]
        return cls(collection.images["label"], names, strata_of(collection, names), has)

    def findings_of_each(self) -> dict[str, tuple[str, ...]]:
        """The findings of each group: those that any of its images has."""
        if self.has is None:
            return {}
        found: dict[str, set[str]] = {name: set() for name in self.names.unique()}
        for finding in self.has:
            for name in self.names[self.has[finding]].unique():
                found[name].add(str(finding))
        return {name: tuple(sorted(some)) for name, some in found.items()}

    def counts(self, among: pd.Series | None = None) -> dict[str, int]:
        """Groups of each class or finding, `among` these images (a mask) or all.

        An image of an unknown patient is a group of its own.
        """
        if self.has is not None:
            chosen = True if among is None else among.to_numpy()
            return {str(each): int(self.names[self.has[each] & chosen].nunique()) for each in self.has}
        labels, names = (self.labels, self.names) if among is None else (self.labels[among], self.names[among])
        members = groups_by_class(labels, names)
        return {label: len(members.get(label, ())) for label in sorted(self.labels.unique())}

    def in_training_alone(self, parts: pd.Series) -> dict[str, int]:
        """Findings that are in no other split than training, with the number of their groups."""
        if self.has is None or set(parts) <= {"train", "holdout"}:
            return {}
        beyond = self.counts(parts.reindex(self.names.index).isin(["val", "test"]))
        return {finding: count for finding, count in self.counts().items() if not beyond[finding]}


def stay_together(collection: Collection) -> pd.Series:
    """A name for what must stay together: the patient, else the content, else the file itself.

    Exact copies, and files that a finding calls the same image, join the groups that they are in.
    """
    images = collection.images
    texts = zip(images["patient"].tolist(), images.index.tolist(), strict=True)
    same: dict[str, str] = {}  # one text for all images of a patient
    named = [same.setdefault(who, f"patient {who}") if isinstance(who, str) else f"image {path}" for who, path in texts]
    names = pd.Series(named, images.index, dtype=object)
    copies = images["sha256"].notna() & images["sha256"].duplicated(keep=False)
    contents = images["sha256"][copies]
    bundles = [list(paths) for paths in contents.groupby(contents).groups.values()]
    known = set(images.index)
    found = ([str(path) for path in each.paths] for each in collection.findings if each.kind in SAME_IMAGE)
    bundles += [there for paths in found if len(there := [path for path in paths if path in known]) > 1]
    return _joined(names, bundles)


def _joined(names: pd.Series, bundles: Iterable[Sequence[str]]) -> pd.Series:
    """Join the groups that share a bundle of paths; the joined group has the first of their names."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while name in root:
            name = root[name]
        return name

    bundles = list(bundles)
    name_of = names.to_dict() if bundles else {}
    for paths in bundles:
        first, *others = sorted({find(name_of[path]) for path in paths})
        root.update(dict.fromkeys(others, first))
    if not root:
        return names
    return pd.Series([find(name) for name in names.tolist()], names.index, dtype=object)


def groups_by_class(labels: pd.Series, groups: pd.Series) -> dict[str, list[str]]:
    """The groups of each class, rarest class first; a group with images of several classes counts for its rarest."""
    order = [label for label, _ in sorted(Counter(labels).items(), key=lambda item: (item[1], item[0]))]
    members: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for label in order:
        members[label] = [group for group in groups[labels == label].unique() if group not in seen]
        seen.update(members[label])
    return members


def strata_of(collection: Collection, groups: pd.Series) -> dict[str, str]:
    """The sex and view of each group, as one text: the most frequent where it has several; empty where none is known.

    Nothing of it is known without a table of patients: then no group is in the mapping.
    """
    known = [name for name in STRATA if collection.images[name].notna().any()]
    found: dict[str, str] = {}
    for name in known:
        values = collection.images[name].dropna()
        counted = pd.DataFrame({"group": groups[values.index], "value": values}).value_counts().reset_index()
        ordered = counted.sort_values(["count", "value"], ascending=[False, True]).drop_duplicates("group")
        usual = dict(zip(ordered["group"], ordered["value"], strict=True))
        found = {group: f"{found.get(group, '')}\x00{usual.get(group, '')}" for group in groups.unique()}
    return found


def seeded_order(names: Iterable[str], seed: int) -> list[str]:
    """A shuffle that depends on each name and the seed alone, not on the others."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\x00{name}".encode()).digest())


def stratified(members: Iterable[str], strata: Mapping[str, str]) -> list[list[str]]:
    """The members of each stratum in the order given, the rarest stratum first."""
    found: dict[str, list[str]] = defaultdict(list)
    for member in members:
        found[strata.get(member, "")].append(member)
    return [group for _, group in sorted(found.items(), key=lambda item: (len(item[1]), item[0]))]


def largest_remainder(exact: Sequence[float], free: Sequence[int], count: int) -> list[int]:
    """How many of `count` each stratum gives: its exact share, rounded by largest remainders, at most what is `free`.

    Among equal remainders the first stratum gives (Hamilton's method).

    >>> largest_remainder([0.4, 1.6, 2.0], [2, 8, 10], 4)
    [0, 2, 2]
    """
    if sum(map(int, exact)) > count:
        exact = [count * share / sum(exact) for share in exact]
    given = [min(int(share), most) for share, most in zip(exact, free, strict=True)]
    while sum(given) < min(count, sum(free)):
        open_to = [at for at, most in enumerate(free) if given[at] < most]
        given[max(open_to, key=lambda at: (round(exact[at] - given[at], 9), -at))] += 1
    return given
