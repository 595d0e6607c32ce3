"""Confident learning: which labels contradict what classifiers say of images that they have not seen.

Northcutt, Jiang, Chuang 2021, Confident learning, J. Artif. Intell. Res. 70:1373, by the package cleanlab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from balancer.collection.label_sets import DENIED, GIVEN, without


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image by its place, its label and the one that classifiers prefer, and the quality: 0 is worst, 1 best.

    A label is a class; of several findings it is "nodule", or "no nodule".
    """

    place: int
    given: str
    suggested: str
    quality: float


def suspects(
    targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64], classes: Sequence[str]
) -> list[Suspect]:
    """The images whose labels are probably wrong, the worst first.

    `probabilities` (N, C) are out of fold: of classifiers that have not seen the image's patient. The quality is the
    probability of the given class. As many are listed as the counts of confident contradictions of each class say.

    >>> sure = np.repeat([[0.9, 0.1], [0.1, 0.9]], 10, axis=0)
    >>> suspects(np.array([0] * 9 + [1] + [1] * 10), sure, ["normal", "nodule"])
    [Suspect(place=9, given='nodule', suggested='normal', quality=0.1)]
    """
    from cleanlab.filter import find_label_issues

    listed = find_label_issues(targets, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    quality, preferred = label_quality(targets, probabilities), probabilities.argmax(axis=1)
    return [
        Suspect(int(place), classes[targets[place]], classes[preferred[place]], float(quality[place]))
        for place in listed
        if preferred[place] != targets[place]
    ]


def suspected_marks(
    marks: npt.NDArray[np.integer], probabilities: npt.NDArray[np.float64], findings: Sequence[str]
) -> list[Suspect]:
    """Marks of several findings that are probably wrong, the worst first: each finding is a question of its own.

    `marks` (N, F) are given (1), denied (0) or below 0; what is uncertain or not told cannot be wrong.
    `probabilities` (N, F) are out of fold, that an image has each finding.

    >>> marks = np.array([[1]] * 9 + [[0]] * 10 + [[1], [-1]])
    >>> suspected_marks(marks, np.array([[0.9]] * 9 + [[0.1]] * 12), ["nodule"])
    [Suspect(place=19, given='nodule', suggested='no nodule', quality=0.1)]
    """
    found: list[Suspect] = []
    for number, finding in enumerate(findings):
        known = np.flatnonzero((marks[:, number] == GIVEN) | (marks[:, number] == DENIED))
        has = probabilities[known, number]
        both = np.stack([1 - has, has], axis=1)
        targets = marks[known, number].astype(np.int64)
        found += [
            replace(each, place=int(known[each.place])) for each in suspects(targets, both, [without(finding), finding])
        ]
    return sorted(found, key=lambda each: each.quality)


def label_quality(targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The quality of every label, from 0 (worst) to 1: the probability of the given class, out of fold."""
    from cleanlab.rank import get_label_quality_scores

    found: npt.NDArray[np.float64] = get_label_quality_scores(targets, probabilities, method="self_confidence")
    return found
