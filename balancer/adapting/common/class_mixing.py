"""How often each class is shown in training: by the square root of its size.

Memorising grows with how often an image is repeated; the square root repeats a rare class less than even shares would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor


def class_weight(images: int) -> float:
    """How often a class of so many images is shown, against the others.

    >>> class_weight(900) / class_weight(100)
    3.0
    """
    return float(images**0.5)


def sampling_weights(labels: Sequence[str]) -> Tensor:
    """Each image's chance, (N,): classes by `class_weight`, images of a class alike.

    >>> weights = sampling_weights(["common"] * 9 + ["rare"])
    >>> [round(float(w), 4) for w in (weights[:9].sum(), weights[9])]
    [0.75, 0.25]
    """
    counts = Counter(labels)
    total = sum(map(class_weight, counts.values()))
    return torch.tensor([class_weight(counts[label]) / counts[label] / total for label in labels], dtype=torch.float64)
