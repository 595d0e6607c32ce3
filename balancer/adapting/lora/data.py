"""What an adapter learns from and is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from balancer.adapting.common.training_classes import Findings, balancing_classes, shown_labels, without_singles
from balancer.collection.attributes import Attributes
from balancer.collection.regions import Region
from balancer.collection.scan import Sample
from balancer.prompting.packs import Packs


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is learned from (`train`) and judged by (`holdout`), and how it is worded; paths are relative to `root`.

    `attributes` are what a table tells of images, by path; their captions say so. `findings` are those of label sets,
    by which images are balanced and judged then. `regions` are where findings are in training images, by path: there
    an error counts more.
    """

    train: Sequence[Sample]
    holdout: Sequence[Sample]
    root: Path
    packs: Packs
    split_sha256: str
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    findings: Findings = field(default_factory=dict)
    regions: Mapping[str, Sequence[Region]] = field(default_factory=dict)

    def known(self, samples: Sequence[Sample]) -> list[Attributes]:
        """What is known of each sample."""
        return [self.attributes.get(sample.path, Attributes()) for sample in samples]

    @property
    def class_of(self) -> Mapping[str, str]:
        """The class that images of each label are drawn and judged as."""
        labels = [sample.label for sample in (*self.train, *self.holdout)]
        return dict(zip(labels, balancing_classes(labels, self.findings), strict=True))

    @property
    def shown(self) -> Packs:
        """The packs of the labels whose samples are shown."""
        shown = shown_labels([sample.label for sample in self.train], self.findings)
        return {label: self.packs[label] for label in shown}

    def prepared(self) -> tuple[TrainingData, list[str]]:
        """Return the samples in a fixed order without classes of a single image, and the labels of these classes.

        From one image nothing but a copy of it can be learned.

        Raises:
            CollectionError: nothing is left to learn from.
        """
        train, single = without_singles(self.train, self.findings)
        known = {sample.label for sample in train}
        holdout = sorted((each for each in self.holdout if each.label in known), key=lambda each: each.path)
        return replace(self, train=train, holdout=holdout), single
