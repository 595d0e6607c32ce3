"""How near synthetic images come to patients, beside how near patients come to each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.report.stored_json import read_stored
from analysis.report.stored_results import StoredCalibration
from analysis.screening.copies import Calibration
from balancer.jobs import Verdict

_LOOKED_AT = 40  # images that show which calibration they were judged by
_SPACES = ("pixels", "embedding")


@dataclass(frozen=True, slots=True)
class Copies:
    """Nearness as the screen measures it: `real` between patients, `synthetic` by class, to the nearest patient.

    A nearness is the rarity (-log of the share of patients who come as near to another one) in the space where it is
    rarest. `rates` are the shares of further patients beyond `review` and `reject`, at most. `certain`: the thresholds
    are those that the images were judged by.
    """

    real: tuple[float, ...]
    synthetic: Mapping[str, tuple[float, ...]]
    accepted: tuple[float, ...]
    review: float
    reject: float
    rates: tuple[float, float]
    certain: bool


def measure_copies(cache: Path, judged: Mapping[str, Sequence[Verdict]], usable: Iterable[int]) -> Copies | None:
    """From the calibration that was kept and the scores of all images; `None` where either is missing.

    `usable` are the `id`s of the verdicts that let an image in.
    """
    scored = {label: [v for v in verdicts if _values(v)] for label, verdicts in judged.items()}
    some = [verdict for verdicts in scored.values() for verdict in verdicts]
    calibration, certain = _calibration(cache, some[:_LOOKED_AT])
    if calibration is None or not some:
        return None
    names, let_in = set(calibration.spaces), set(usable)
    fitting = {label: [v for v in verdicts if names <= set(_values(v))] for label, verdicts in scored.items()}
    accepted = [v for verdicts in fitting.values() for v in verdicts if id(v) in let_in]
    return Copies(
        real=tuple(calibration.joint.tolist()),
        synthetic={label: _rarities(calibration, verdicts) for label, verdicts in fitting.items() if verdicts},
        accepted=_rarities(calibration, accepted),
        review=calibration.limit(calibration.review),
        reject=calibration.limit(calibration.reject),
        rates=(calibration.review, calibration.reject),
        certain=certain,
    )


def _rarities(calibration: Calibration, verdicts: Iterable[Verdict]) -> tuple[float, ...]:
    return tuple(sorted(calibration.rarity(_values(verdict)) for verdict in verdicts))


def _calibration(cache: Path, verdicts: Sequence[Verdict]) -> tuple[Calibration | None, bool]:
    """The newest one by which the percentiles on record come out again, else the newest."""
    kept = sorted(cache.glob("calibration-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = [each for each in map(_read, kept) if each is not None]
    for each in found:
        if verdicts and all(_agrees(each, verdict) for verdict in verdicts):
            return each, True
    return (found[0] if found else None), False


def _read(path: Path) -> Calibration | None:
    kept, _ = read_stored(path, StoredCalibration)
    if kept is None or not kept.found:
        return None
    names = set(kept.found[0])
    if not names or not names <= set(_SPACES) or any(set(each) != names for each in kept.found):
        return None
    return Calibration.of(kept.found, learned=kept.learned)


def _agrees(calibration: Calibration, verdict: Verdict) -> bool:
    """Whether a percentile comes out again, or less by a patient a space: the nearest counts as near as the image."""
    values, percentile = _values(verdict), _score(verdict, "percentile")
    if percentile is None or not set(calibration.spaces) <= set(values):
        return False
    less = calibration.percentile(values) - percentile
    return -0.01 < less < 100 * len(calibration.spaces) / (len(calibration) + 1) + 0.01


def _values(verdict: Verdict) -> dict[str, float]:
    found = {space: _score(verdict, space) for space in _SPACES}
    return {space: value for space, value in found.items() if value is not None}


def _score(verdict: Verdict, name: str) -> float | None:
    """A score of the copy check, where it is a number."""
    found = verdict.scores.get(f"copy_{name}")
    return float(found) if isinstance(found, int | float) and math.isfinite(found) else None
