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

from analysis.comparison.inputs.study import Part, Study, attributes_table
from analysis.comparison.integrity.same_picture import same_pictures
from analysis.data.images import decode_readable
from analysis.data.targets import Targets, count_each, has_several, having, lacking
from analysis.screening.reference_images import Watch
from analysis.statistics.intervals import Flags, group_numbers
from balancer.collection.class_names import words_of
from balancer.collection.label_sets import DENIED, GIVEN, UNKNOWN
from balancer.collection.scan import Collection, with_hashes
from balancer.errors import CollectionError, ComparisonError
from balancer.splits.groups import stay_together
from balancer.text import many
from balancer.workspace.workspace import Session

_NAMED = 6
_OTHERS, _NOT_TOLD = "of other classes", "of which none of these findings is known"


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
        what = "with some or none of" if has_several(self.part.targets) else "of"
        used = f"External collection {self.name}: {many(len(self.part), 'image')} {what} {', '.join(self.classes)}"
        return f"{used}. Left out: {out}." if out else f"{used}."


def find_external(session: Session, where: str, classes: Sequence[str], rare: str) -> Collection:
    """The collection of that name or folder, which was scanned here; it must have `rare` and another of `classes`.

    Where images of the compared collection have several findings, these are its `classes`, and the other's images must
    have several too.

    Raises:
        CollectionError: there is none, it is the one that is compared, or only one of both has several findings.
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
    _require_alike(found, several=session.collection.is_multi_label)
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
    targets, known = _targets_of(other, study)
    images = other.images[known]
    other = with_hashes(other, images.index, watch("Hashing external images"))
    session.ledger.save_hashes(other)
    images, groups = other.images.loc[images.index], stay_together(other)
    out: Counter[str] = Counter()
    if others := len(other.images) - len(images):
        out[_OTHERS if other.label_sets is None else _NOT_TOLD] = others
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
    targets = targets[other.images.index.get_indexer(images.index)]
    _require_left(other.root.name, targets, study, out)
    classes = tuple(np.array(study.classes)[count_each(targets, len(study.classes)) > 0].tolist())
    numbers = group_numbers(groups.loc[images.index].tolist())
    part = Part(
        greys[rows.loc[images.index].to_numpy()], targets, numbers, tuple(images.index), attributes_table(images)
    )
    patients = {str(path): str(name) for path, name in images["patient"].dropna().items()}
    return ExternalImages(other.root.name, part, classes, dict(out), patients)


def _targets_of(other: Collection, study: Study) -> tuple[Targets, Flags]:
    """What each image of the other collection is, in classes or findings of the study, and whether that is known."""
    number = {name: place for place, name in enumerate(study.classes)}
    if other.label_sets is None:
        names = _in_common(other.labels, study.classes)
        found = other.images["label"].map({label: number[name] for label, name in names.items()}).fillna(-1)
        targets = found.to_numpy(np.int64)
        return targets, targets >= 0
    sets = other.label_sets.only(other.images.index)
    marks = np.full((len(sets.marks), len(number)), UNKNOWN, np.int8)
    for label, name in _in_common(sets.findings, study.classes).items():
        marks[:, number[name]] = sets.marks[label]
    return marks, ((marks == GIVEN) | (marks == DENIED)).any(axis=1)


def _in_common(labels: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """The class that each of the other's labels means: the same name, but for case and separators.

    >>> _in_common(["normal", "Pleural-Effusion", "mass"], ["NORMAL", "pleural_effusion"])
    {'normal': 'NORMAL', 'Pleural-Effusion': 'pleural_effusion'}
    """
    by_words = {words_of(each): each for each in classes}
    meant = {label: label if label in classes else by_words.get(words_of(label)) for label in labels}
    return {label: name for label, name in meant.items() if name is not None}


def _require_alike(other: Collection, *, several: bool) -> None:
    """One class for each image in both collections, or several findings in both."""
    name = other.root.name
    undecided = other.source is not None and other.source.is_undecided
    if several and not other.is_multi_label:
        raise CollectionError(
            needed=f"several findings on an image in {name}, as in the collection that is compared",
            found="one class for each image, or no image with two findings",
            next_step="give each finding a column of 1 and 0: balance scan OTHER --labels TABLE --labels-in-columns "
            "NAMES; then balance scan FOLDER, then this again",
        )
    if not several and (other.is_multi_label or undecided):
        raise CollectionError(
            needed=f"one class for each image of {name}",
            found="several labels",
            next_step="balance scan OTHER --target-label LABEL, then balance scan FOLDER, then this again",
        )


def _require_classes(other: Collection, classes: Sequence[str], rare: str) -> None:
    common = sorted(set(_in_common(other.labels, classes).values()))
    if rare in common and (other.is_multi_label or len(common) > 1):
        return
    has = ", ".join(other.labels[:_NAMED]) + (" and more" if len(other.labels) > _NAMED else "")
    needed = f"a collection with {rare}, the {'finding' if other.is_multi_label else 'class'} of the primary endpoint"
    raise ComparisonError(
        needed=needed if other.is_multi_label else f"{needed}, and another of the classes {', '.join(classes)}",
        found=f"{other.root.name} with {has}; in common: {', '.join(common) or 'none'}",
        next_step="give its labels these names: balance scan OTHER --map 'OLD=NEW', then balance scan FOLDER, then "
        "this again; without --external the comparison is the same",
    )


def _require_left(name: str, targets: Targets, study: Study, out: Mapping[str, int]) -> None:
    number = study.classes.index(study.rare)
    rare, others = (int(each(targets, number).sum()) for each in (having, lacking))
    if rare and others:
        return
    why = "; ".join(f"{count} {reason}" for reason, count in out.items()) or "none was there"
    raise ComparisonError(
        needed=f"images of {study.rare} and of another class in {name} that are not in the compared collection too",
        found=f"{rare} of {study.rare}, {others} of others. Left out: {why}",
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
