"""Can real be told from synthetic inside a class, by what, and does a classifier rely on it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.data.images import Greys, decode
from analysis.data.minimums import HELD_OUT_IMAGES, PROBE_PATIENTS, SHORTCUT_PATIENTS
from analysis.realism.forensic_features import most_images, read_originals, spectrum, texture
from analysis.realism.matched_control import Pairs, ProbeSettings, joined, train_pairs
from analysis.realism.shortcut_reliance import LEVEL, Lean, Sides, measure_lean, minority_classes
from analysis.statistics.intervals import Flags, Groups, Interval, Values, auroc, auroc_interval, group_numbers
from analysis.statistics.permutation import (
    exchange_flags,
    joint_test,
    linear_areas,
    make_folds,
    pixel_areas,
    single_areas,
    standard_error,
)
from analysis.vision.classifier import Classifier

Progress = Callable[[str, int, int], None]
Retouch = Callable[[Sequence[Path], int], Greys]
"""Files to (N, side, side) images that carry the generator's trace."""

_TRACED = 300  # images that go through the autoencoder: it is slow
_UNSEEN = 0.05  # all intervals of detectors together miss the truth so often, since the clearest is picked


@dataclass(frozen=True, slots=True)
class Detector:
    """What one detector came to; `p_value` and the interval count that all detectors were tried on all classes."""

    name: str
    kind: str
    area: Interval
    p_value: float

    @property
    def alarms(self) -> bool:
        """Whether the p-value is at or below the level of the test."""
        return self.p_value <= LEVEL


@dataclass(frozen=True, slots=True)
class ClassProbe:
    """One class: how many images were compared, and every detector, the surest first; or why nothing can be said."""

    label: str
    real: int
    synthetic: int
    detectors: tuple[Detector, ...] = ()
    positions: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """All that the probe found. `left_out` says what could not be looked at, and why."""

    classes: tuple[ClassProbe, ...]
    leans: tuple[Lean, ...]
    minority: tuple[str, ...]
    majority: str
    left_out: tuple[str, ...]
    settings: ProbeSettings

    @property
    def p_value(self) -> float:
        """The chance of so clear a difference, if there were none."""
        return min((each.p_value for found in self.classes for each in found.detectors), default=1.0)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The images of one class that are compared; synthetic ones are flagged."""

    label: str
    images: Images
    flags: Flags
    groups: Groups


def probe(
    merged: TrainingImagesByClass,
    settings: ProbeSettings,
    autoencoder: Retouch | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Probe:
    """Probe every class that has synthetic images; `autoencoder` is the generator's, if it is at hand.

    Raises:
        ImageError: a file cannot be decoded.
    """
    left_out = [] if merged.patients_known else ["patients are unknown: images of one patient count as independent"]
    pairs = train_pairs(merged, settings, progress)
    areas: dict[str, _Areas] = {}
    drafts = []
    for number, label in enumerate(merged.filled):
        progress("Comparing", number, len(merged.filled))
        drafts.append(_compare(merged, label, pairs.classifiers[0][0], settings, areas))
    progress("Comparing", len(merged.filled), len(merged.filled))
    leans = _leans(merged, pairs, settings, autoencoder, left_out)
    return Probe(_judged(drafts, areas), leans, minority_classes(merged), merged.largest, tuple(left_out), settings)


@dataclass(frozen=True, slots=True)
class _Areas:
    """Areas of every detector of a class under true and exchanged flags, and their least standard error."""

    by_detector: Mapping[str, Values]
    error: float


def _compare(
    merged: TrainingImagesByClass, label: str, classifier: Classifier, settings: ProbeSettings, areas: dict[str, _Areas]
) -> ClassProbe:
    """Run every detector on one class; areas under true and exchanged flags go into `areas`."""
    sides = _sides(merged, label, settings)
    counts = (int((~sides.flags).sum()), int(sides.flags.sum()))
    few = [len(np.unique(sides.groups[side])) for side in (~sides.flags, sides.flags)]
    if min(few) < PROBE_PATIENTS:
        what = "patients" if merged.patients_known else "images"
        why = f"not known: {few[0]} {what} with real and {few[1]} with synthetic images; each needs {PROBE_PATIENTS}"
        return ClassProbe(label, *counts, unknown=why)
    flags = exchange_flags(sides.flags, sides.groups, settings.permutations, settings.seed)
    folds = make_folds(sides.groups, seed=settings.seed)
    found, positions = _detect(sides, flags, folds, classifier, settings.side)
    areas[label] = _Areas(
        {name: some for name, (_, some, _) in found.items()}, standard_error(sides.flags, sides.groups)
    )
    level = 1 - _UNSEEN / (len(found) * len(merged.filled))
    detectors = (
        Detector(name, kind, auroc_interval(scores, sides.flags, sides.groups, level), 1.0)
        for name, (kind, _, scores) in found.items()
    )
    return ClassProbe(label, *counts, tuple(detectors), positions)


_Found = tuple[str, Values, Values]


def _detect(
    sides: _Sides, flags: Flags, folds: npt.NDArray[np.int64], classifier: Classifier, side: int
) -> tuple[dict[str, _Found], str]:
    small, originals = decode(sides.images.paths, side), read_originals(sides.images.paths)
    size = f"at {side} px"
    learned = {
        f"a network's features {size}": ("look", classifier.features(small)),
        f"grey levels and texture {size}": ("look", np.array([texture(grey) for grey in small])),
        f"frequencies {size}": ("frequency", np.array([spectrum(grey) for grey in small])),
        "frequencies at full size": ("frequency", originals.spectra),
    }
    found = {name: (kind, *linear_areas(features, flags, folds)) for name, (kind, features) in learned.items()}
    found["one pixel"] = ("position", *pixel_areas(originals.pixels, flags, folds, 1.0))
    found["one pixel against its neighbours"] = ("position", *pixel_areas(originals.residuals, flags, folds, 4.0))
    for name, values in originals.figures.items():
        higher = auroc(values, flags[:, 0]) >= 0.5
        found[name] = ("trace", single_areas(values, flags), values if higher else -values)
    return found, originals.positions


def _sides(merged: TrainingImagesByClass, label: str, settings: ProbeSettings) -> _Sides:
    """Real and synthetic images of a class, no more than can be looked at, whole patients drawn at random."""
    kinds = [merged.real[label], merged.synthetic[label]]
    most = min(settings.most, max(2 * PROBE_PATIENTS, most_images([*kinds[0].paths, *kinds[1].paths]) // 2))
    kinds = [_drawn(images, most, settings.seed) for images in kinds]
    images = Images(kinds[0].paths + kinds[1].paths, kinds[0].groups + kinds[1].groups)
    flags = np.arange(len(images)) >= len(kinds[0])
    return _Sides(label, images, flags, group_numbers(list(images.groups)))


def _drawn(images: Images, most: int, seed: int) -> Images:
    if len(images) <= most:
        return images
    numbers = group_numbers(list(images.groups))
    order = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    places = np.argsort(order[numbers], kind="stable")[:most]
    return images.some(sorted(places.tolist()))


def _judged(drafts: Sequence[ClassProbe], areas: Mapping[str, _Areas]) -> tuple[ClassProbe, ...]:
    """The joint test over all classes; the surest detectors first."""
    if not areas:
        return tuple(drafts)
    keys = {(label, name): f"{label}\x00{name}" for label, some in areas.items() for name in some.by_detector}
    outcomes = joint_test(
        {key: areas[label].by_detector[name] for (label, name), key in keys.items()},
        {key: areas[label].error for (label, _), key in keys.items()},
    )
    judged = []
    for draft in drafts:
        tried = [replace(each, p_value=outcomes[keys[draft.label, each.name]].p_value) for each in draft.detectors]
        judged.append(replace(draft, detectors=tuple(sorted(tried, key=lambda each: (each.p_value, -each.area.value)))))
    return tuple(judged)


def _leans(
    merged: TrainingImagesByClass,
    pairs: Pairs,
    settings: ProbeSettings,
    autoencoder: Retouch | None,
    left_out: list[str],
) -> tuple[Lean, ...]:
    """Whether classifiers rely on it, by each way that there is; p-values count the ways."""
    if len(merged.labels) < 2:
        left_out.append("whether a classifier relies on it: there is only one class")
        return ()
    majority, minority = merged.largest, minority_classes(merged)
    found = []
    for what, ways in {
        f"real {majority} images through the generator's autoencoder": _retouched(merged, settings, autoencoder),
        f"synthetic {majority} images": _synthetic(merged, pairs, settings),
    }.items():
        if isinstance(ways, str):
            left_out.append(f"{what}: {ways}")
        else:
            found.append(measure_lean(what, pairs.classifiers, minority, *ways))
    return tuple(replace(each, p_value=min(1.0, len(found) * each.p_value)) for each in found)


def _retouched(
    merged: TrainingImagesByClass, settings: ProbeSettings, autoencoder: Retouch | None
) -> tuple[Sides, Sides] | str:
    """Real images of both classes, as they are and through the autoencoder; or why there are none."""
    if autoencoder is None:
        return "its model is not on this machine"
    sides = []
    for images in _looked_at(merged, settings):
        if why := _too_few(images):
            return why
        groups = group_numbers(list(images.groups))
        plain = decode(images.paths, settings.side)
        sides.append(((plain, groups), (autoencoder(images.paths, settings.side), groups)))
    return sides[0], sides[1]


def _synthetic(merged: TrainingImagesByClass, pairs: Pairs, settings: ProbeSettings) -> tuple[Sides, Sides] | str:
    """Real images of both classes, and synthetic ones that no classifier has seen; or why there are none."""
    if not pairs.kept_out:
        return "both classes need such images"
    made = [pairs.kept_out[merged.largest], joined([pairs.kept_out[each] for each in minority_classes(merged)])]
    sides = []
    for real, some in zip(_looked_at(merged, settings), made, strict=True):
        if why := _too_few(real) or _too_few(some):
            return why
        groups = group_numbers([*real.groups, *some.groups])
        greys = [decode(images.paths, settings.side) for images in (real, some)]
        sides.append(((greys[0], groups[: len(real)]), (greys[1], groups[len(real) :])))
    return sides[0], sides[1]


def _looked_at(merged: TrainingImagesByClass, settings: ProbeSettings) -> list[Images]:
    """Real images of the majority and of the minority: those of the validation split, if there are enough."""
    found = []
    for labels, needed in (((merged.largest,), HELD_OUT_IMAGES), (minority_classes(merged), SHORTCUT_PATIENTS)):
        unseen, seen = (joined([kind[label] for label in labels]) for kind in (merged.validation, merged.real))
        enough = len(unseen) >= needed and not _too_few(unseen)
        found.append(_drawn(unseen if enough else seen, _TRACED, settings.seed))
    return found


def _too_few(images: Images) -> str:
    patients = len(set(images.groups))
    return "" if patients >= SHORTCUT_PATIENTS else f"{patients} patients of a class, {SHORTCUT_PATIENTS} are needed"
