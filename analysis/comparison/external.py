"""Another hospital's collection on which the arms are tested too: found, told apart from our own, and decoded.

It chooses nothing and changes no verdict. Public collections hold images of each other, so what is also in the
collection that is compared is looked for first, and left out together with its patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.comparison.inputs.study import ATTRIBUTES, Numbers, Part, Study
from analysis.comparison.integrity.same_picture import same_pictures
from analysis.data.images import decode_readable
from analysis.screening.reference_images import Watch
from analysis.statistics.intervals import Flags, group_numbers
from balancer.collection.attributes import attributes_of
from balancer.collection.class_names import words_of
from balancer.collection.scan import Collection, with_hashes
from balancer.errors import CollectionError, ComparisonError
from balancer.splits.groups import stay_together
from balancer.text import many
from balancer.workspace.workspace import Session

_NAMED = 6


@dataclass(frozen=True, slots=True)
class ExternalImages:
    """Images of another collection as a part of a study; `left_out` counts those that are not used, by reason.

    `patients` are known by the path of an image.
    """

    name: str
    part: Part
    classes: tuple[str, ...]
    left_out: Mapping[str, int]
    patients: Mapping[str, str]

    @property
    def note(self) -> str:
        """What is tested, and what was left out."""
        out = "; ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        used = f"External collection {self.name}: {many(len(self.part), 'image')} of {', '.join(self.classes)}"
        return f"{used}. Left out: {out}." if out else f"{used}."


def find_external(session: Session, where: str, classes: Sequence[str], rare: str) -> Collection:
    """The collection of that name or folder, which was scanned here; it must have `rare` and another of `classes`.

    Raises:
        CollectionError: there is none, it is the one that is compared, or its images have several labels.
        ComparisonError: its classes are others.
    """
    own, roots = session.collection.root.resolve(), session.ledger.roots()
    named = {Path(where).resolve(), (session.home / where).resolve()}
    places = [root for root in roots if root.resolve() in named or root.name == where]
    others = [root for root in places if root.resolve() != own]
    found = session.ledger.load_collection(others[-1]) if others else None
    if found is None or not found.root.is_dir():
        known = ", ".join(root.name for root in roots if root.resolve() != own)
        raise CollectionError(
            needed="another collection that was scanned here, for --external",
            found=f"{where!r}, which is compared itself" if places and not others else f"{where!r}",
            next_step=(f"one of these: {known}; or " if known else "")
            + "balance scan OTHER, then balance scan FOLDER with the one that is compared, then this again",
        )
    if found.is_multi_label or (found.source is not None and found.source.is_undecided):
        raise CollectionError(
            needed=f"one class for each image of {found.root.name}",
            found="several labels",
            next_step="balance scan OTHER --target-label LABEL, then balance scan FOLDER, then this again",
        )
    _require_classes(found, classes, rare)
    return found


def gather_external(session: Session, other: Collection, study: Study, cache: Path, watch: Watch) -> ExternalImages:
    """The images of `other` in the classes of the study, without what is also in the collection that is compared.

    Left out are identical files, patients of the same name, images that show the same picture, and the other images of
    these patients. Nothing but the cache and known hashes is written.

    Raises:
        CollectionError: an image is gone or changed since the scan.
        ComparisonError: no image is left of the rare class, or none of another.
    """
    names = _in_common(other.labels, study.classes)
    images = other.images[other.images["label"].isin(list(names))]
    other = with_hashes(other, images.index, watch("Hashing external images"))
    session.ledger.save_hashes(other)
    images, groups = other.images.loc[images.index], stay_together(other)
    out: Counter[str] = Counter()
    if others := len(other.images) - len(images):
        out["of other classes"] = others
    mine = session.ledger.load_collection(session.collection.root) or session.collection
    mine = with_hashes(mine, mine.images.index, watch("Hashing"))
    for reason, same in (
        ("identical to images of the compared collection, or of their patients", _hashes),
        ("of patients with the same name as one of the compared collection", _named_alike),
    ):
        images = _without(images, same(images, mine), groups, out, reason)
    files, side = [other.root / path for path in images.index], study.train.images.shape[1]
    greys, readable = decode_readable(files, side, cache, list(images["sha256"]), watch("Decoding external images"))
    if broken := len(files) - len(readable):
        out["that cannot be decoded"] = broken
    images = images.iloc[readable]
    alike = same_pictures(study, list(images.index), greys)
    rows = pd.Series(range(len(images)), images.index)
    images = _without(images, images.index.isin(list(alike)), groups, out, "near-duplicates, or of their patients")
    classes = tuple(each for each in study.classes if each in {names[label] for label in images["label"]})
    targets = np.array([study.classes.index(names[label]) for label in images["label"]], np.int64)
    _require_left(other.root.name, targets, study, out)
    known = attributes_of(images)
    told = pd.DataFrame([known[path] for path in images.index], columns=list(ATTRIBUTES), dtype=object)
    numbers = group_numbers(groups.loc[images.index].tolist())
    part = Part(greys[rows.loc[images.index].to_numpy()], targets, numbers, tuple(images.index), told)
    patients = {str(path): str(name) for path, name in images["patient"].dropna().items()}
    return ExternalImages(other.root.name, part, classes, dict(out), patients)


def _in_common(labels: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """The class that each of the other's labels means: the same name, but for case and separators.

    >>> _in_common(["normal", "Pleural-Effusion", "mass"], ["NORMAL", "pleural_effusion"])
    {'normal': 'NORMAL', 'Pleural-Effusion': 'pleural_effusion'}
    """
    by_words = {words_of(each): each for each in classes}
    meant = {label: label if label in classes else by_words.get(words_of(label)) for label in labels}
    return {label: name for label, name in meant.items() if name is not None}


def _require_classes(other: Collection, classes: Sequence[str], rare: str) -> None:
    common = sorted(set(_in_common(other.labels, classes).values()))
    if rare in common and len(common) > 1:
        return
    has = ", ".join(other.labels[:_NAMED]) + (" and more" if len(other.labels) > _NAMED else "")
    raise ComparisonError(
        needed=f"a collection with {rare}, the class of the primary endpoint, and another of the classes "
        f"{', '.join(classes)}",
        found=f"{other.root.name} with {has}; in common: {', '.join(common) or 'none'}",
        next_step="give its labels these names: balance scan OTHER --map 'OLD=NEW', then balance scan FOLDER, then "
        "this again; without --external the comparison is the same",
    )


def _require_left(name: str, targets: Numbers, study: Study, out: Mapping[str, int]) -> None:
    rare = int((targets == study.classes.index(study.rare)).sum())
    if rare and rare < len(targets):
        return
    why = "; ".join(f"{count} {reason}" for reason, count in out.items()) or "none was there"
    raise ComparisonError(
        needed=f"images of {study.rare} and of another class in {name} that are not in the compared collection too",
        found=f"{rare} of {study.rare}, {len(targets) - rare} of others. Left out: {why}",
        next_step="if patients of the same name are other people, scan it with a --patient that finds other names; "
        "without --external the comparison is the same",
    )


def _hashes(images: pd.DataFrame, mine: Collection) -> Flags:
    return images["sha256"].isin(mine.images["sha256"].dropna()).to_numpy(bool)


def _named_alike(images: pd.DataFrame, mine: Collection) -> Flags:
    known = images["patient"].notna() & images["patient"].isin(mine.images["patient"].dropna())
    return known.to_numpy(bool)


def _without(images: pd.DataFrame, which: Flags, groups: pd.Series, out: Counter[str], reason: str) -> pd.DataFrame:
    """The images without the flagged ones and all others of their patients, which are counted."""
    names = groups.loc[images.index]
    gone = names.isin(names[which]).to_numpy(bool)
    if gone.any():
        out[reason] = int(gone.sum())
    return images[~gone]
