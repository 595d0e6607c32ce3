"""How many folds a class is large enough for: the one place that decides it."""

from __future__ import annotations

FOLDS = 5
"""Folds where a class is large enough for them."""

PATIENTS_A_FOLD = 5
"""Patients of the rare class in a fold; with fewer, fewer folds. A stratum of one has no variance, and an average
precision of two or three images moves by a third with one of them."""


def folds_that_fit(patients: int, most: int = FOLDS) -> int:
    """The largest number of folds, up to `most`, that each test five of so many patients; 0 where not even two fit.

    >>> folds_that_fit(60), folds_that_fit(12), folds_that_fit(9)
    (5, 2, 0)
    """
    fit = min(most, patients // PATIENTS_A_FOLD)
    return fit if fit > 1 else 0
