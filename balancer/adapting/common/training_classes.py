"""What training images are balanced and counted by: their label, or where it is a label set, its findings.

An image of several findings is drawn as one of its rarest: so a rare finding is shown as often as a rare class would
be, whatever goes with it, and one that is often a companion is not shown more for that. Its caption says its own set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from balancer.collection.scan import Sample
from balancer.errors import CollectionError

Findings = Mapping[str, Sequence[str]]
"""The findings of each label set by its name; a label that is missing counts as itself."""


def class_counts(samples: Iterable[Sample], findings: Findings | None = None) -> dict[str, int]:
    """Images of each class, or finding, by name."""
    return dict(sorted(Counter(each for sample in samples for each in _parts(sample.label, findings)).items()))


def balancing_classes(labels: Sequence[str], findings: Findings | None = None) -> list[str]:
    """The class that each image is drawn as: its label, or the rarest finding of its label set.

    >>> balancing_classes(["A", "A", "A|B"], {"A|B": ("A", "B")})
    ['A', 'A', 'B']
    """
    counts = Counter(each for label in labels for each in _parts(label, findings))
    rarest = {label: min(_parts(label, findings), key=lambda each: (counts[each], each)) for label in set(labels)}
    return [rarest[label] for label in labels]


def shown_labels(labels: Sequence[str], findings: Findings | None = None) -> list[str]:
    """The labels whose samples are shown: all; of label sets the most frequent of each finding that they are drawn as.

    >>> shown_labels(["A", "A", "A|B", "B", "B"], {"A|B": ("A", "B")})
    ['A', 'B']
    """
    often = Counter(labels)
    best: dict[str, str] = {}
    for label, name in sorted(set(zip(labels, balancing_classes(labels, findings), strict=True))):
        best[name] = max((best.get(name, label), label), key=lambda each: (often[each], -len(each)))
    return sorted(best.values())


def without_singles(samples: Sequence[Sample], findings: Findings | None = None) -> tuple[list[Sample], list[str]]:
    """The samples of classes of two or more, by path, and the labels, or findings, of the others.

    From one image nothing but a copy of it can be learned.

    Raises:
        CollectionError: nothing is left to learn from.
    """
    kept, single = sorted(samples, key=lambda each: each.path), set[str]()
    while alone := {name for name, count in class_counts(kept, findings).items() if count == 1}:
        single |= alone  # an image that is left out may have been one of two of another finding
        kept = [each for each in kept if not alone.intersection(_parts(each.label, findings))]
    if not kept:
        raise CollectionError(
            needed="a class with at least two training images",
            found=f"only one image of {', '.join(sorted(single))}" if single else "none",
            next_step="see the splits: balance split",
        )
    return kept, sorted(single)


def left_out(label: str) -> str:
    """What is said of a class, or finding, of one image.

    >>> left_out("nodule")[:40]
    'Warning: nodule has only one training im'
    """
    return (
        f"Warning: {label} has only one training image, which the model could only copy: it is left out. "
        "Do not request images of it."
    )


def _parts(label: str, findings: Findings | None) -> Sequence[str]:
    return (findings or {}).get(label, (label,))
