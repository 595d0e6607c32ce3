"""Does a classifier lean on what a generator leaves? Majority images that carry it, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.data.balanced_folder import Merged
from analysis.data.images import Greys
from analysis.statistics.intervals import Groups, Interval, mean_difference, wilson
from analysis.vision.classifier import Classifier

_SAME_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Lean:
    """How often majority images are called a minority class: plain ones, and those with the generator's trace.

    `control` has the two shares for a classifier that never saw a synthetic image. `excess` is by how much more the
    trace moves the trained one than the control, with its interval: above 0, the classifier leans on the trace.
    """

    what: str
    images: int
    plain: float
    traced: float
    control: tuple[float, float]
    excess: Interval

    @property
    def leans(self) -> bool:
        """Whether chance is excluded."""
        return self.excess.low > 0


def minority_classes(merged: Merged) -> tuple[str, ...]:
    """The classes that being synthetic hints at: their synthetic share is above the majority's, else the rarest one.

    With `--symmetric` the shares still differ, since the rare classes have fewer real images.
    """
    shares = {label: _share(merged, label) for label in merged.labels}
    above = tuple(label for label in merged.labels if shares[label] > shares[merged.largest] + _SAME_SHARE)
    others = [label for label in merged.labels if label != merged.largest]
    return above or tuple(sorted(others, key=lambda label: len(merged.real[label]))[:1])


def measure_lean(
    what: str,
    classifiers: tuple[Classifier, Classifier],
    minority: Sequence[str],
    plain: tuple[Greys, Groups],
    traced: tuple[Greys, Groups],
    seed: int = 0,
) -> Lean:
    """Compare plain with traced majority images, given the trained classifier and its control."""
    called = [[_called(each, greys, minority) for greys, _ in (plain, traced)] for each in classifiers]
    extra = [called[0][side] - called[1][side] for side in (0, 1)]
    excess = mean_difference(extra[1], extra[0], (traced[1], plain[1]), seed=seed)
    if excess.low == excess.high == 0:  # no image moved: resampling knows nothing of those that were not drawn
        bound = wilson(0, len(np.unique(traced[1]))).high
        excess = Interval(0.0, -bound, bound)
    (before, after), control = ((float(each[0].mean()), float(each[1].mean())) for each in called)
    return Lean(what, len(traced[0]), before, after, control, excess)


def _share(merged: Merged, label: str) -> float:
    made = len(merged.synthetic[label])
    return made / max(1, made + len(merged.real[label]))


def _called(classifier: Classifier, greys: Greys, minority: Sequence[str]) -> npt.NDArray[np.float64]:
    found = classifier.probabilities(greys).argmax(axis=1)
    return np.isin(found, [classifier.classes.index(label) for label in minority]).astype(np.float64)
