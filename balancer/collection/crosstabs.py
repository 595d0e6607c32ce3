"""Classes by what is known of their patients and views: where a sex, an age or a view goes with a class."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from balancer.collection.attributes import AGE_GROUPS, SEXES, VIEWS, age_group

UNKNOWN = "unknown"
_ORDER = {"sex": SEXES, "age": AGE_GROUPS, "view": VIEWS}

Crosstab = Mapping[str, Mapping[str, tuple[int, int]]]
"""For each class and value, how many images and how many known patients."""


def crosstabs(images: pd.DataFrame) -> dict[str, Crosstab]:
    """Class by sex, by age group and by view, those of which anything is known, from a `Collection`'s images.

    >>> images = pd.DataFrame({"label": ["a", "a", "b"], "patient": ["p", "p", None], "sex": ["male"] * 2 + [None],
    ...                        "age": [float("nan")] * 3, "view": [None] * 3})
    >>> crosstabs(images)["sex"]["a"]
    {'male': (2, 1), 'unknown': (0, 0)}
    """
    return {name: _crosstab(images, name) for name in _ORDER if images[name].notna().any()}


def _crosstab(images: pd.DataFrame, name: str) -> Crosstab:
    values = images[name].map(age_group) if name == "age" else images[name]
    values = values.astype(object).where(values.notna(), UNKNOWN)
    keys = [images["label"], values.rename("value")]
    counts, patients = images.groupby(keys).size().to_dict(), images.groupby(keys)["patient"].nunique().to_dict()
    columns = _in_order(set(values), _ORDER[name])
    return {
        str(label): {value: (counts.get((label, value), 0), patients.get((label, value), 0)) for value in columns}
        for label in sorted(images["label"].unique())
    }


def _in_order(found: set[str], usual: tuple[str, ...]) -> list[str]:
    others = sorted(found - {*usual, UNKNOWN})
    return [*(value for value in usual if value in found), *others, *([UNKNOWN] if UNKNOWN in found else [])]
