"""All labels of images that have several: as text in a table of images, and a row for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd


def to_text(labels: Sequence[str]) -> str:
    """Labels as they stand in the column `labels`.

    >>> to_text(("Edema", "Mass"))
    '["Edema", "Mass"]'
    """
    return json.dumps(list(labels), ensure_ascii=False)


def labels_of(images: pd.DataFrame) -> list[tuple[str, ...]]:
    """All labels of each image: those of the column `labels`, else its class."""
    known: dict[str, tuple[str, ...]] = {}
    found = []
    for label, text in zip(images["label"].tolist(), images["labels"].tolist(), strict=True):
        if not isinstance(text, str):
            found.append((label,))
            continue
        if text not in known:
            known[text] = tuple(json.loads(text))
        found.append(known[text])  # type: ignore[arg-type]
    return found  # type: ignore[return-value]


def label_counts(images: pd.DataFrame) -> dict[str, int]:
    """How many images have each label, in the order of the alphabet."""
    counts = Counter(label for labels in labels_of(images) for label in labels)
    return dict(sorted(counts.items()))


def a_row_for_each_label(images: pd.DataFrame) -> pd.DataFrame:
    """The table with an image as often as it has labels, each time as of that class."""
    labels = labels_of(images)
    places = [place for place, each in enumerate(labels) for _ in each]
    return images.iloc[places].assign(label=[label for each in labels for label in each])


def names_of(images: pd.DataFrame) -> list[str]:
    """All labels that any image has."""
    texts: Iterable[tuple[str, ...]] = set(labels_of(images))
    return sorted({label for labels in texts for label in labels})
