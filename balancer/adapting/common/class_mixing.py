"""How often each class is shown in training: by the square root of its size.

Memorising grows with how often an image is repeated; the square root repeats a rare class less than even shares would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def class_weight(images: int) -> float:
    """How often a class of so many images is shown, against the others.

    >>> class_weight(900) / class_weight(100)
    3.0
    """
    return float(images**0.5)


def common_classes(sizes: Mapping[str, int]) -> list[str]:
    """The classes with more images than the mean class; none where all have as many.

    >>> common_classes({"normal": 90, "mass": 20, "nodule": 10})
    ['normal']
    """
    return [name for name, images in sizes.items() if images * len(sizes) > sum(sizes.values())]


def class_shares(sizes: Mapping[str, int], common: Sequence[str] = (), prior: float | None = None) -> dict[str, float]:
    """How often each class is shown, adding up to 1: by `class_weight`.

    With `prior` the `common` classes have that share together and the others the rest, as long as there are both.

    >>> class_shares({"normal": 900, "nodule": 100})
    {'normal': 0.75, 'nodule': 0.25}
    >>> class_shares({"normal": 900, "nodule": 100}, ["normal"], prior=0.5)
    {'normal': 0.5, 'nodule': 0.5}
    """
    groups = [[name for name in sizes if (name in common) is first] for first in (True, False)]
    if prior is None or not all(groups):
        groups, shares = [[*sizes]], [1.0]
    else:
        shares = [prior, 1 - prior]
    found = {}
    for names, share in zip(groups, shares, strict=True):
        total = sum(class_weight(sizes[name]) for name in names)
        found.update({name: share * class_weight(sizes[name]) / total for name in names})
    return found


def sampling_weights(labels: Sequence[str]) -> Tensor:
    """Each image's chance, (N,): classes by `class_weight`, images of a class alike.

    >>> weights = sampling_weights(["common"] * 9 + ["rare"])
    >>> [round(float(w), 4) for w in (weights[:9].sum(), weights[9])]
    [0.75, 0.25]
    """
    counts = Counter(labels)
    total = sum(map(class_weight, counts.values()))
    return torch.tensor([class_weight(counts[label]) / counts[label] / total for label in labels], dtype=torch.float64)
