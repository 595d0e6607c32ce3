"""What an adapter learns from and is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.adapting.common.singleton_classes import without_singles
from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.prompting.packs import Packs


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is learnt from (`train`) and judged by (`holdout`), and how it is worded; paths are relative to `root`.

    `attributes` are what a table tells of images, by path; their captions say so.
    """

    train: Sequence[Sample]
    holdout: Sequence[Sample]
    root: Path
    packs: Packs
    split_sha256: str
    attributes: Mapping[str, Attributes] = field(default_factory=dict)

    def known(self, samples: Sequence[Sample]) -> list[Attributes]:
        """What is known of each sample."""
        return [self.attributes.get(sample.path, Attributes()) for sample in samples]

    def prepared(self) -> tuple[TrainingData, list[str]]:
        """Return the samples in a fixed order without classes of a single image, and the labels of these classes.

        From one image nothing but a copy of it can be learnt.

        Raises:
            CollectionError: nothing is left to learn from.
        """
        train, single = without_singles(self.train)
        known = {sample.label for sample in train}
        holdout = sorted((each for each in self.holdout if each.label in known), key=lambda each: each.path)
        return replace(self, train=train, holdout=holdout), single
