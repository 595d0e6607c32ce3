"""Properties of the files that go with one class: a network learns them in place of the disease."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.findings import Finding
from balancer.collection.image_stats import Contents

STRONG, CHANCE = 0.2, 0.001
"""Cramér's V from which an association is told, and the probability below which it is no chance."""
_FEWEST = 5  # images of a class, or with a value, below which nothing can be said
_SIZES = 12  # different sizes up to which each is taken for itself
_BINS = 4
_ALIKE = "store all classes in one format, mode and bit depth before training"
_RESIZE = "resize all classes in the same way, so that no class is sharper or more distorted than another"
_FIXES = {
    "format": _ALIKE,
    "mode": _ALIKE,
    "bits": _ALIKE,
    "size": _RESIZE,
    "area": _RESIZE,
    "shape": "crop or pad all classes to one shape in the same way",
    "border": "crop the borders of all images",
    "letters": "crop or cover the letters in all classes",
    "sex": "balance within each sex, or choose the other classes in the same proportion",
    "view": "use only one view, or balance within each view",
    "body_part": "use only one part of the body, or balance within each",
    "laterality": "balance within each side",
    "manufacturer": "balance within each manufacturer, or match the intensities of their images",
    "modality": "use only one modality",
    "burned_in": "cover the letters in all classes",
}
_TOLD = {
    "body_part": "of the body part {}",
    "laterality": "of the side {}",
    "manufacturer": "of the manufacturer {}",
    "modality": "of the modality {}",
    "burned_in": "declared with burnt-in letters: {}",
}
"""What headers or a source tell beside, and how it is said."""


SEEN_INSIDE = (_FIXES["border"], _FIXES["letters"])
"""The fixes of those that only a look inside the files finds."""


def shortcuts(images: pd.DataFrame, contents: Mapping[str, Contents] | None = None) -> Iterator[Finding]:
    """A finding for each property that tells one class from the others far better than chance.

    `images` is a `Collection`'s table; border and letters need the `contents` of its files. Of several images of one
    patient in a class one is counted, since they are no independent evidence; the shares in the message are of all.
    """
    told: dict[tuple[str, tuple[str, ...]], str] = {}
    properties = _properties(images, contents or {})
    for name, values in properties.items():
        found = _strongest(images, values.dropna(), len(properties))
        if found is None:
            continue
        label, value, strength = found
        paths = tuple(values.index[(values == value) & (images["label"] == label)])
        if (label, paths) not in told:  # PNG, 16 bits and mode I;16 are one thing
            told[label, paths] = name
            message = _words(images["label"], values, label, value, strength)
            yield Finding("shortcut", tuple(map(PurePosixPath, paths)), message, _FIXES[name])


def cramers_v(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Bias-corrected Cramér's V of a table of counts, and the p-value of the chi-squared test.

    W. Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", Journal of the Korean Statistical Society 42
    (2013), 323-328.

    >>> strength, chance = cramers_v(np.array([[50, 0], [0, 50]]))
    >>> round(strength, 3), chance < 1e-20
    (1.0, True)
    """
    from scipy.special import chdtrc  # scipy.stats takes half a second to import

    total = int(counts.sum())
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / total
    statistic = float(((counts - expected) ** 2 / expected).sum())
    rows, columns = counts.shape
    squared = max(0.0, statistic / total - (rows - 1) * (columns - 1) / (total - 1))
    least = min(side - (side - 1) ** 2 / (total - 1) for side in (rows, columns))
    return float(np.sqrt(squared / (least - 1))) if least > 1 else 0.0, float(
        chdtrc((rows - 1) * (columns - 1), statistic)
    )


def _properties(images: pd.DataFrame, contents: Mapping[str, Contents]) -> dict[str, pd.Series]:
    """Each property as words, missing where it is not known."""
    area, shape = images["width"] * images["height"] / 1e6, images["width"] / images["height"]
    size = images["width"].astype(str) + " x " + images["height"].astype(str) + " px"
    found = {
        "format": images["format"],
        "mode": "of mode " + images["mode"],
        "bits": "of " + images["bits"].astype(str) + " bits",
        **({"size": size} if size.nunique() <= _SIZES else {"area": _binned(area, "of {} megapixels")}),
        "shape": _binned(shape, "{} times as wide as high"),
        "sex": images["sex"],
        "view": images["view"] + " views",
    }
    found |= _of_told(images)
    if contents:
        seen = images.index.to_series().map(contents.get)
        found["border"] = seen.map(_border, na_action="ignore")
        found["letters"] = seen.map(
            lambda each: "with letters near the edge" if each.marked else "without letters", na_action="ignore"
        )
    return found


def _of_told(images: pd.DataFrame) -> dict[str, pd.Series]:
    """What a source or the headers tell of the devices, as far as it is told of any image."""
    known = {text: json.loads(text) for text in images["told"].dropna().unique()}
    facts = [known[text] if isinstance(text, str) else {} for text in images["told"]]
    found = {}
    for name, words in _TOLD.items():
        values = [words.format(each[name]) if name in each else None for each in facts]
        if any(values):
            found[name] = pd.Series(values, images.index, dtype=object)
    return found


def _border(contents: Contents) -> str:
    if contents.border_grey < 0:
        return "without a border"
    return (
        f"inside a {'black' if contents.border_grey < 64 else 'white' if contents.border_grey > 191 else 'grey'} border"
    )


def _binned(values: pd.Series, words: str) -> pd.Series:
    """Each value as the words of its bin: quarters of all images, or fewer where many values are the same."""
    edges = np.unique([float(f"{edge:.3g}") for edge in np.quantile(values, np.linspace(0, 1, _BINS + 1))])
    names = [words.format(f"{low:g} to {high:g}") for low, high in pairwise(edges)]
    if not names:
        return pd.Series(words.format(f"{edges[0]:g}"), index=values.index)
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(names) - 1)
    return pd.Series([names[place] for place in places], index=values.index, dtype=object)


def _strongest(images: pd.DataFrame, values: pd.Series, tried: int) -> tuple[str, str, float] | None:
    """The class and the value that go together most, and Cramér's V of that class against all others.

    The p-value is multiplied by the classes and the properties `tried` (Bonferroni).
    """
    known = images.loc[values.index]
    once = ~(known.duplicated(["patient", "label"]) & known["patient"].notna()).to_numpy()
    rows, labels = pd.factorize(known["label"].to_numpy()[once], sort=True)
    columns, kinds = pd.factorize(values.to_numpy()[once], sort=True)
    cells = np.bincount(rows * len(kinds) + columns, minlength=len(labels) * len(kinds))  # pd.crosstab is slow
    counts = _pooled(cells.reshape(len(labels), len(kinds)))
    if counts.shape[1] < 2 or len(labels) < 2:
        return None
    best: tuple[str, str, float] | None = None
    for place, label in enumerate(labels):
        pair = np.stack([counts[place], counts.sum(axis=0) - counts[place]])
        if pair.sum(axis=1).min() < _FEWEST:
            continue
        strength, chance = cramers_v(pair)
        if strength >= STRONG and chance * len(labels) * tried < CHANCE and (best is None or strength > best[2]):
            best = label, _telling(known["label"], values, label), strength
    return best


def _pooled(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rare values as one, since a chi-squared test needs several of each."""
    rare = counts.sum(axis=0) < _FEWEST
    rest = counts[:, rare].sum(axis=1, keepdims=True)
    kept = counts[:, ~rare]
    return np.hstack([kept, rest]) if rest.sum() >= _FEWEST else kept


def _telling(labels: pd.Series, values: pd.Series, label: str) -> str:
    """The value whose share in the class is furthest above its share in the others."""
    inside = values[labels == label].value_counts(normalize=True)
    outside = values[labels != label].value_counts(normalize=True)
    return str((inside - outside.reindex(inside.index).fillna(0)).idxmax())


def _words(labels: pd.Series, values: pd.Series, label: str, value: str, strength: float) -> str:
    known = values.notna()
    inside = (values[known & (labels == label)] == value).mean()
    outside = (values[known & (labels != label)] == value).mean()
    return f"{inside:.0%} of {label} are {value}, {outside:.0%} of the others (Cramér's V {strength:.2f})"
