"""Confident learning: which labels contradict what classifiers say of images that they have not seen.

Northcutt, Jiang, Chuang 2021, Confident learning, J. Artif. Intell. Res. 70:1373, by the package cleanlab.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Suspect:
    """An image by its place, the class that classifiers prefer, and the quality of its label: 0 is worst, 1 best."""

    place: int
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
    [Suspect(place=9, suggested='normal', quality=0.1)]
    """
    from cleanlab.filter import find_label_issues

    listed = find_label_issues(targets, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    quality, preferred = label_quality(targets, probabilities), probabilities.argmax(axis=1)
    return [
        Suspect(int(place), classes[preferred[place]], float(quality[place]))
        for place in listed
        if preferred[place] != targets[place]
    ]


def label_quality(targets: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The quality of every label, from 0 (worst) to 1: the probability of the given class, out of fold."""
    from cleanlab.rank import get_label_quality_scores

    found: npt.NDArray[np.float64] = get_label_quality_scores(targets, probabilities, method="self_confidence")
    return found
