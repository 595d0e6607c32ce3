"""Gates that a candidate must pass. Today one: is it sound, as far as grey values tell?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from balancer.errors import ImageError
from balancer.images import GreyImage, read_grey
from balancer.jobs import Candidate, Verdict

NOT_CHECKED = "label, repetition and copies of patients were not checked"
_SAMPLED = 200


@dataclass(frozen=True, slots=True)
class Soundness:
    """Rejects images that are broken rather than unusual: limits far outside what real images show.

    A candidate that passes is "unscreened", since nothing else was checked. Limits: the least contrast (standard
    deviation of the grey values), the largest share of one single grey value, and the least detail (mean absolute
    difference of neighbouring pixels, relative to contrast).
    """

    name: ClassVar[str] = "sound gate"
    contrast: float
    largest_level: float
    detail: float

    @classmethod
    def fit(cls, paths: Sequence[Path]) -> Soundness:
        """Measure real training images (up to 200, evenly chosen); unreadable ones are passed over.

        Raises:
            ImageError: none of them can be read.
        """
        chosen = paths[:: max(1, len(paths) // _SAMPLED)]
        real = [measures for measures in map(_measured, chosen) if measures is not None]
        if not real:
            raise ImageError(
                needed="real training images to compare with",
                found="none that can be read",
                next_step="balance scan FOLDER --deep",
            )
        return cls(
            contrast=0.4 * min(each["contrast"] for each in real),
            largest_level=min(0.95, 1.5 * max(each["largest_level"] for each in real) + 0.1),
            detail=0.75 * float(np.quantile([each["detail"] for each in real], 0.01)),
        )

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [self._judge(candidate) for candidate in batch]

    def _judge(self, candidate: Candidate) -> Verdict:
        scores = measure_soundness(read_grey(candidate.path))
        faults = tuple(self._faults(scores))
        if faults:
            return Verdict("reject", scores, faults, self.name)
        return Verdict("unscreened", scores, (NOT_CHECKED,), self.name)

    def _faults(self, scores: Mapping[str, float]) -> Iterable[str]:
        if scores["contrast"] < self.contrast:
            yield "blank or flat: hardly any contrast"
        if scores["largest_level"] > self.largest_level:
            yield "saturated: one grey value fills too much of the image"
        if scores["detail"] < self.detail:
            yield "blurred: no detail"


def measure_soundness(grey: GreyImage) -> dict[str, float]:
    """Contrast, share of the most frequent grey value, and detail of an image.

    >>> measure_soundness(np.zeros((4, 4), np.uint8))["largest_level"]
    1.0
    """
    values = grey.astype(np.float32)
    contrast = float(values.std())
    steps = np.abs(np.diff(values, axis=0)).mean() + np.abs(np.diff(values, axis=1)).mean()
    return {
        "contrast": round(contrast, 4),
        "largest_level": round(float(np.bincount(grey.ravel(), minlength=256).max() / grey.size), 4),
        "detail": round(float(steps) / max(contrast, 1e-6), 4),
    }


def _measured(path: Path) -> dict[str, float] | None:
    try:
        return measure_soundness(read_grey(path))
    except ImageError:
        return None
