"""The figures of images with several findings: each finding by itself, on the images of which it is known."""

from __future__ import annotations

import numpy as np

from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.data.targets import Flags, Targets, having, lacking
from analysis.statistics.average_precision import RankedFolds
from analysis.statistics.intervals import Values

OVERALL_FINDINGS = ("macro_auprc", "macro_auroc", "macro_f1", "brier", "calibration_error")
"""Means over the findings that are measured."""
CUT = 0.5
"""A finding is called present from this probability on."""
_BINS = 15


def measure_findings(
    probabilities: Probabilities,
    targets: Targets,
    weights: Values,
    folds: Numbers | None = None,
    measured: Flags | None = None,
) -> Values:
    """(K, B) figures of (N, F) probabilities against (N, F) marks, for (N, B) weights of the images.

    K are AUPRC, AUROC, recall and prevalence of each finding, then `OVERALL_FINDINGS`. Unknown marks have no part in
    any of them. What is not `measured`, (F,), is not a number: by default a finding without an image that has it, or
    without one that has not.

    >>> marks = np.array([[1, -1], [0, -1], [1, -2]])
    >>> measure_findings(np.array([[0.9, 0.1], [0.2, 0.1], [0.6, 0.1]], np.float32), marks, np.ones((3, 1)))[:2, 0]
    array([1., 1.])
    """
    n_findings = probabilities.shape[1]
    own = np.full((n_findings, 4, weights.shape[1]), np.nan)
    overall: list[Values] = []
    for number in range(n_findings):
        has, lacks = having(targets, number), lacking(targets, number)
        if has.any() and lacks.any() and (measured is None or measured[number]):
            rows = np.flatnonzero(has | lacks)
            some = np.ascontiguousarray(weights[rows])
            own[number], others = _of_one(
                probabilities[rows, number], has[rows], some, None if folds is None else folds[rows]
            )
            overall.append(np.concatenate((own[number, :2], others)))
    means = np.mean(overall, axis=0) if overall else np.full((len(OVERALL_FINDINGS), weights.shape[1]), np.nan)
    return np.concatenate((own.reshape(-1, weights.shape[1]), means))


def _of_one(scores: Values, has: Flags, weights: Values, folds: Numbers | None) -> tuple[Values, Values]:
    """Of one finding: its (4, B) figures, and (3, B) F1, Brier score and calibration error."""
    total, positive = weights.sum(axis=0, dtype=np.float64), has.astype(weights.dtype) @ weights
    called = scores >= CUT
    found, flagged = ((flags.astype(weights.dtype) @ weights) for flags in (called & has, called))
    scores = scores.astype(np.float64)
    gaps = np.square(scores - has).astype(weights.dtype) @ weights / total
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = RankedFolds.of(scores, has, folds).areas(weights)
        recall = found / positive
        f1 = np.where(flagged + positive > 0, 2 * found / (flagged + positive), 0)
    return (
        np.stack([*areas, recall, positive / total]),
        np.stack([f1, gaps, binned_gap(scores, has, weights)]),
    )


def binned_gap(chances: Values, right: Flags, weights: Values) -> Values:
    """(B,) the mean gap between (N,) chances and how often they are right, in 15 bins of equal mass (Naeini 2015)."""
    bins = np.empty(len(chances), np.int64)
    for number, some in enumerate(np.array_split(np.argsort(chances, kind="stable"), _BINS)):
        bins[some] = number
    sums = (np.eye(_BINS)[bins] * (chances - right)[:, None]).T.astype(weights.dtype) @ weights
    found: Values = np.abs(sums).sum(axis=0) / weights.sum(axis=0)
    return found
