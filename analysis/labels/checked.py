"""Which images and labels have enough patients to be checked, and how far classifiers agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.minimums import CHECKED_PATIENTS
from analysis.data.targets import Targets, has_several, having, lacking
from balancer.collection.label_sets import DENIED, GIVEN, LabelSets
from balancer.errors import CollectionError
from balancer.splits.groups import stay_together
from balancer.text import printable
from balancer.workspace.workspace import Session

_TOLD = 0.65  # the area under the ROC curve of a class that classifiers recognise somewhat


@dataclass(frozen=True, slots=True)
class Checked:
    """The images that are checked, what is asked of them, and which patient is whose, by number.

    `names` are the classes or the findings of `targets`.
    """

    images: pd.DataFrame
    targets: Targets
    names: Sequence[str]
    groups: npt.NDArray[np.int64]
    notes: list[str]


def what_to_check(session: Session) -> Checked:
    """What has enough patients to be checked.

    Raises:
        CollectionError: fewer than two classes have enough, or no finding has enough with and without it.
    """
    images, patients = session.collection.images, stay_together(session.collection)
    sets = session.collection.label_sets
    if sets is None:
        names, notes = _classes(images["label"], patients)
        images = images[images["label"].isin(names)]
        targets: Targets = np.array([names.index(label) for label in images["label"]], np.int64)
    else:
        names, notes = _findings(sets.only(images.index), patients)
        targets = sets.only(images.index).marks[names].to_numpy()
    if images["patient"].isna().any():
        notes.append("patients are unknown: a classifier may have seen another image of the same patient")
    return Checked(images, targets, names, pd.factorize(patients[images.index])[0].astype(np.int64), notes)


def _classes(labels: pd.Series, patients: pd.Series) -> tuple[list[str], list[str]]:
    """The classes with enough patients, and a note on each other one."""
    counts = {str(label): int(count) for label, count in patients.groupby(labels).nunique().items()}
    enough = sorted(label for label, count in counts.items() if count >= CHECKED_PATIENTS)
    if len(enough) < 2:
        raise _too_few(
            f"two classes of at least {CHECKED_PATIENTS} patients",
            [f"{printable(label)} ({count})" for label, count in sorted(counts.items())],
        )
    few = sorted(counts.keys() - set(enough))
    return enough, [
        f"not checked: {printable(each)}, with {counts[each]} of {CHECKED_PATIENTS} patients" for each in few
    ]


def _findings(sets: LabelSets, patients: pd.Series) -> tuple[list[str], list[str]]:
    """The findings that enough patients have, and enough are known not to have; a note on each other one."""
    counts = {
        finding: [patients[sets.marks.index[sets.marks[finding] == mark]].nunique() for mark in (GIVEN, DENIED)]
        for finding in sets.findings
    }
    enough = [finding for finding, each in counts.items() if min(each) >= CHECKED_PATIENTS]
    told = {finding: f"{has} patients with it, {lacks} without" for finding, (has, lacks) in counts.items()}
    if not enough:
        raise _too_few(
            f"a finding that at least {CHECKED_PATIENTS} patients have, and as many are known not to have",
            [f"{printable(finding)} ({said})" for finding, said in sorted(told.items())],
        )
    few = sorted(counts.keys() - set(enough))
    return enough, [f"not checked: {printable(each)}, {told[each]}; {CHECKED_PATIENTS} are needed" for each in few]


def _too_few(needed: str, found: Sequence[str]) -> CollectionError:
    return CollectionError(
        needed=f"{needed}, to check labels",
        found=", ".join(found),
        next_step="look at all images of these classes; leave wrong ones out: balance scan DATA --exclude FILE",
    )


def hardly_told(targets: Targets, said: npt.NDArray[np.float64], names: Sequence[str]) -> list[str]:
    """A note on each class or finding that the classifiers hardly recognise: what they suspect of it means little.

    >>> hardly_told(np.array([0, 1] * 20), np.array([[0.5, 0.5]] * 40), ["mass", "normal"])[0]
    'mass is hardly recognised (AUROC 0.50), so what is suspected of it means little: balance labels --steps 1000'
    """
    from sklearn.metrics import roc_auc_score

    notes = []
    for number, name in enumerate(names):
        has, lacks = having(targets, number), lacking(targets, number)
        known = has | lacks
        area = float(roc_auc_score(has[known], said[known, number]))
        if area < _TOLD:
            weak = f"{printable(name)} is hardly recognised (AUROC {area:.2f})"
            notes.append(f"{weak}, so what is suspected of it means little: balance labels --steps 1000")
    return notes


def agreement(targets: Targets, said: npt.NDArray[np.float64]) -> float:
    """The share of labels that the classifiers prefer too; of findings, of those that are known."""
    if not has_several(targets):
        return float((said.argmax(axis=1) == targets).mean())
    known = (targets == GIVEN) | (targets == DENIED)
    return float(((said > 0.5) == (targets == GIVEN))[known].mean())
