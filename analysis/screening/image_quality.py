"""Is an image whole: not blank, saturated, flat, tinted, blurred, noise, or no radiograph of this kind at all?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.data.image_statistics import MEASURES, Inspected, Measures, measure_soundness
from analysis.data.images import Greys
from analysis.data.minimums import QUALITY_IMAGES
from balancer.errors import ImageError
from balancer.imaging.decode import read_grey
from balancer.jobs import Candidate, Verdict

NOT_CHECKED = "label, repetition and copies of patients were not checked"
_SAMPLED = 200
_REASONS = {
    "contrast": ("blank or flat: almost no contrast", "more contrast than any real image"),
    "largest_level": ("", "saturated: one grey value fills too much of the image"),
    "detail": ("blurred: no detail", "noise: far more fine detail than real images have"),
    "sharpness": ("blurred: less sharp than real images", "noise: sharper than any real image"),
    "border_level": ("a border darker than in real images", "a border brighter than in real images"),
    "border_contrast": ("a border more even than in real images", "a border more uneven than in real images"),
    "dark": ("", "saturated: too much of it is black"),
    "bright": ("", "saturated: too much of it is white"),
    "tint": ("", "tinted: its colour channels differ"),
}
_SLACK = dict.fromkeys(MEASURES, 0.5) | {"tint": 0.2}  # of the distance from the median to the limit
_PARTS, _TAIL = 24, 0.998


@dataclass(frozen=True, slots=True)
class Soundness:
    """Rejects images that are broken rather than unusual: limits far outside what real images show.

    A candidate that passes is "unscreened", since nothing else was checked. Limits: the least contrast (standard
    deviation of the grey values), the largest share of one single grey value, and the least detail (mean absolute
    difference of neighbouring pixels, relative to contrast).
    """

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
        return cls.of([measures for measures in map(_measured, chosen) if measures is not None])

    @classmethod
    def of(cls, real: Sequence[Mapping[str, float]]) -> Soundness:
        """Limits from the measures of real images.

        Raises:
            ImageError: there are none.
        """
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
        faults = tuple(self.faults(scores))
        if faults:
            return Verdict("reject", scores, faults, "sound gate")
        return Verdict("unscreened", scores, (NOT_CHECKED,), "sound gate")

    def faults(self, scores: Mapping[str, float]) -> Iterable[str]:
        """What is broken, in words."""
        if scores["contrast"] < self.contrast:
            yield "blank or flat: almost no contrast"
        if scores["largest_level"] > self.largest_level:
            yield "saturated: one grey value fills too much of the image"
        if scores["detail"] < self.detail:
            yield "blurred: no detail"


@dataclass(frozen=True, slots=True)
class SoundGate:
    """What is broken, and, with enough real images, what is outside their range in any measure or in all together.

    `low` and `high` are limits of each measure; `appearance` tells what no mixture of real images looks like.
    """

    broken: Soundness
    low: Measures
    high: Measures
    appearance: Appearance | None

    @classmethod
    def fit(cls, real: Inspected, train: npt.NDArray[np.bool_]) -> SoundGate:
        """Fit on real images; of `appearance`, the parts on `train` and the limit on the others where there are some.

        Raises:
            ImageError: there are no real images.
        """
        rows = [dict(zip(MEASURES, row, strict=True)) for row in real.measures.tolist()]
        broken = Soundness.of(rows)
        if len(rows) < QUALITY_IMAGES:
            nothing = np.full(len(MEASURES), np.inf)
            nothing[MEASURES.index("tint")] = _tint_limit(real.measures)
            return cls(broken, np.full(len(MEASURES), -np.inf), nothing, None)
        low, high = _limits(real.measures)
        low[MEASURES.index("detail")] = broken.detail  # a generator's decoder softens a little: that is no fault
        return cls(broken, low, high, Appearance.fit(real.greys, train))

    def faults(self, greys: Greys, measures: Measures) -> tuple[list[tuple[str, ...]], npt.NDArray[np.float64]]:
        """For each image what is wrong with it, in words; and how far it looks from any real one (1: the limit)."""
        strange = np.zeros(len(greys)) if self.appearance is None else self.appearance.strangeness(greys)
        words = [tuple(dict.fromkeys(self._words(*each))) for each in zip(measures, strange, strict=True)]
        return words, strange

    def _words(self, measures: Measures, strange: float) -> Iterator[str]:
        yield from self.broken.faults(dict(zip(MEASURES, measures.tolist(), strict=True)))
        for name, value, low, high in zip(MEASURES, measures, self.low, self.high, strict=True):
            if value < low:
                yield _REASONS[name][0]
            if value > high:
                yield _REASONS[name][1]
        if strange > 1:
            yield "it is unlike the real images of this collection"


@dataclass(frozen=True, slots=True)
class Appearance:
    """The principal parts of small real images; what they leave unexplained, and how far along them an image lies.

    Both (Q and T squared of Jackson and Mudholkar 1979, doi:10.1080/00401706.1979.10489779) are relative to the limit
    that nearly all held-out real images keep.
    """

    mean: npt.NDArray[np.float64]
    parts: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    limits: tuple[float, float]

    @classmethod
    def fit(cls, greys: Greys, train: npt.NDArray[np.bool_]) -> Appearance:
        """Parts from `train`; limits from the others, or, where they are few, from all."""
        flat = at_16_pixels(greys)
        learned = flat[train][:: max(1, int(train.sum()) // 4000)]
        mean = learned.mean(0)
        _, sizes, parts = np.linalg.svd(learned - mean, full_matrices=False)
        kept = min(_PARTS, len(learned) // 4)
        made = cls(mean, parts[:kept], sizes[:kept] / np.sqrt(len(learned)), (1.0, 1.0))
        judged = flat[~train] if (~train).sum() >= 200 else flat
        rest, along = made._distances(judged)
        limits = (_upper(rest, 0.6), _upper(along, 0.6))
        return cls(mean, made.parts, made.spread, limits)

    def strangeness(self, greys: Greys) -> npt.NDArray[np.float64]:
        """The larger of the two, each over its limit: above 1 is strange."""
        rest, along = self._distances(at_16_pixels(greys))
        return np.asarray(np.round(np.maximum(rest / self.limits[0], along / self.limits[1]), 4), np.float64)

    def _distances(self, flat: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        weights = (flat - self.mean) @ self.parts.T
        rest = np.asarray(np.linalg.norm(flat - self.mean - weights @ self.parts, axis=1), np.float64)
        return rest, np.asarray(np.linalg.norm(weights / self.spread, axis=1), np.float64)


def at_16_pixels(greys: Greys) -> npt.NDArray[np.float64]:
    """Images at 16 px a side, of zero mean and unit spread, as rows of 256."""
    cell = greys.shape[1] // 16
    small = greys.reshape(-1, 16, cell, 16, cell).astype(np.float64).mean((2, 4)).reshape(-1, 256)
    small = small - small.mean(1, keepdims=True)
    return np.asarray(small / (small.std(1, keepdims=True) + 1))


def _limits(measures: Measures) -> tuple[Measures, Measures]:
    """Ranges that nearly all real images keep, with some slack; of shares only too much is a fault."""
    low = np.array([-_upper(-column, _SLACK[name]) for name, column in zip(MEASURES, measures.T, strict=True)])
    high = np.array([_upper(column, _SLACK[name]) for name, column in zip(MEASURES, measures.T, strict=True)])
    for name, (too_low, _) in _REASONS.items():
        if not too_low:
            low[MEASURES.index(name)] = -np.inf
    for name in ("dark", "bright", "largest_level"):
        high[MEASURES.index(name)] += 0.05
    high[MEASURES.index("tint")] = _tint_limit(measures)
    return low, high


def _tint_limit(measures: Measures) -> float:
    return _upper(measures[:, MEASURES.index("tint")], 0.2) + 3


def _upper(values: npt.NDArray[np.float64], slack: float) -> float:
    """The far quantile, and `slack` times its distance from the median beyond it."""
    middle, far = np.quantile(values, [0.5, _TAIL])
    return float(far + slack * (far - middle))


def _measured(path: Path) -> dict[str, float] | None:
    try:
        return measure_soundness(read_grey(path))
    except ImageError:
        return None
