"""Who watches a training for copies of its images: a small Protocol, since judging is not done here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from balancer.imaging.decode import GreyImage


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The images that are learned from, as the watch may compare with them.

    `greys` are uint8 of shape (N, side, side); `groups` name what belongs together, the patient where it is known.
    """

    greys: npt.NDArray[np.uint8]
    labels: Sequence[str]
    groups: Sequence[str]


@dataclass(frozen=True, slots=True)
class Observation:
    """What a watch says of a checkpoint: figures for the record, notes for people, and a reason to `stop`, or none."""

    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stop: str = ""


class TrainingMonitor(Protocol):
    """Looks at the samples of a checkpoint beside the training images; a pure function of the two."""

    def __call__(self, samples: Mapping[str, Sequence[GreyImage]], seen: TrainingSet, /) -> Observation:
        """Return what is to be said of samples of each label."""
        ...


def no_monitor(_samples: Mapping[str, Sequence[GreyImage]], _seen: TrainingSet) -> Observation:
    """A watch that says nothing."""
    return Observation()
