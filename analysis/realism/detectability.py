"""Can real be told from synthetic inside a class, by what, and does a classifier lean on it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.data.balanced_folder import Images, Merged
from analysis.data.images import Greys, decode
from analysis.realism.forensic_features import most_images, read_originals, spectrum, texture
from analysis.realism.shortcut_reliance import Lean, measure_lean, minority_classes
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
from analysis.vision.classifier import Classifier, ClassifierSettings, train_classifier

LEVEL = 0.01
"""The chance of a false alarm in a whole probe: all classes and all detectors together."""

LEAST = 10
"""Patients (or images of nobody known) on each side of a class, below which nothing can be said."""

Progress = Callable[[str, int, int], None]
Retouch = Callable[[Sequence[Path], int], Greys]
"""Files to (N, side, side) images that carry the generator's trace."""

_TRACED = 300  # images that go through the autoencoder: it is slow
_VALIDATION = 30


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """`side` is the training size in pixels; `most` images of a kind are looked at closely, drawn by patient."""

    side: int = 64
    steps: int = 600
    permutations: int = 399
    most: int = 400
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Detector:
    """What one detector came to; `p_value` counts that all detectors were tried on all classes."""

    name: str
    kind: str
    area: Interval
    p_value: float

    @property
    def alarms(self) -> bool:
        """Whether chance is excluded."""
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
    merged: Merged,
    settings: ProbeSettings,
    autoencoder: Retouch | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Probe:
    """Probe every class that has synthetic images; `autoencoder` is the generator's, if it is at hand.

    Raises:
        ImageError: a file cannot be decoded.
    """
    left_out = [] if merged.patients_known else ["patients are unknown: images of one patient count as independent"]
    learned = _Learned.of(merged, settings, progress)
    areas: dict[str, _Areas] = {}
    drafts = []
    for number, label in enumerate(merged.filled):
        progress("Comparing", number, len(merged.filled))
        drafts.append(_compare(merged, label, learned.trained, settings, areas))
    progress("Comparing", len(merged.filled), len(merged.filled))
    leans = _leans(merged, learned, settings, autoencoder, left_out)
    return Probe(_judged(drafts, areas), leans, minority_classes(merged), merged.largest, tuple(left_out), settings)


@dataclass(frozen=True, slots=True)
class _Learned:
    """The classifier trained on all of the training part, and its control, trained on the real images alone."""

    trained: Classifier
    control: Classifier

    @classmethod
    def of(cls, merged: Merged, settings: ProbeSettings, progress: Progress) -> _Learned:
        kinds = [
            [(path, n) for n, label in enumerate(merged.labels) for path in kind[label].paths]
            for kind in (merged.real, merged.synthetic)
        ]
        pairs = [*kinds[0], *kinds[1]]
        greys = decode([path for path, _ in pairs], settings.side, lambda done, total: progress("Reading", done, total))
        targets = np.array([number for _, number in pairs], np.int64)
        training = ClassifierSettings(steps=settings.steps, seed=settings.seed, device=settings.device)
        found = []
        for what, count in (("Training", len(pairs)), ("Training the control", len(kinds[0]))):
            show = lambda done, total, what=what: progress(what, done, total)  # noqa: E731
            found.append(train_classifier(greys[:count], targets[:count], merged.labels, training, progress=show))
        return cls(*found)


@dataclass(frozen=True, slots=True)
class _Areas:
    """Areas of every detector of a class under true and exchanged flags, and their least standard error."""

    by_detector: Mapping[str, Values]
    error: float


def _compare(
    merged: Merged, label: str, classifier: Classifier, settings: ProbeSettings, areas: dict[str, _Areas]
) -> ClassProbe:
    """Run every detector on one class; areas under true and exchanged flags go into `areas`."""
    sides = _sides(merged, label, settings)
    counts = (int((~sides.flags).sum()), int(sides.flags.sum()))
    few = [len(np.unique(sides.groups[side])) for side in (~sides.flags, sides.flags)]
    if min(few) < LEAST:
        what = "patients" if merged.patients_known else "images"
        why = f"cannot be said: {few[0]} {what} with real and {few[1]} with synthetic images; each needs {LEAST}"
        return ClassProbe(label, *counts, unknown=why)
    flags = exchange_flags(sides.flags, sides.groups, settings.permutations, settings.seed)
    folds = make_folds(sides.groups, seed=settings.seed)
    found, positions = _detect(sides, flags, folds, classifier, settings.side)
    areas[label] = _Areas(
        {name: some for name, (_, some, _) in found.items()}, standard_error(sides.flags, sides.groups)
    )
    detectors = (
        Detector(name, kind, auroc_interval(scores, sides.flags, sides.groups), 1.0)
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


def _sides(merged: Merged, label: str, settings: ProbeSettings) -> _Sides:
    """Real and synthetic images of a class, no more than can be looked at, whole patients drawn at random."""
    kinds = [merged.real[label], merged.synthetic[label]]
    most = min(settings.most, max(2 * LEAST, most_images([*kinds[0].paths, *kinds[1].paths]) // 2))
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
    merged: Merged,
    learned: _Learned,
    settings: ProbeSettings,
    autoencoder: Retouch | None,
    left_out: list[str],
) -> tuple[Lean, ...]:
    if len(merged.labels) < 2:
        left_out.append("whether a classifier leans on it: there is but one class")
        return ()
    pair, minority, majority = (learned.trained, learned.control), minority_classes(merged), merged.largest
    found = []
    if autoencoder is None:
        left_out.append("real images through the generator's autoencoder: its model is not on this machine")
    else:
        unseen = len(merged.validation[majority]) >= _VALIDATION
        images = _drawn((merged.validation if unseen else merged.real)[majority], _TRACED, settings.seed)
        plain, groups = decode(images.paths, settings.side), group_numbers(list(images.groups))
        traced = autoencoder(images.paths, settings.side)
        what = f"real {majority} images through the generator's autoencoder"
        found.append(measure_lean(what, pair, minority, (plain, groups), (traced, groups), settings.seed))
    real, made = merged.real[majority], merged.synthetic[majority]
    if len(made) < LEAST or len(real) < LEAST:
        left_out.append(f"synthetic {majority} images: there are {len(made)}")
    else:
        groups = group_numbers([*real.groups, *made.groups])
        sides = [decode(images.paths, settings.side) for images in (real, made)]
        grouped = ((sides[0], groups[: len(real)]), (sides[1], groups[len(real) :]))
        found.append(measure_lean(f"synthetic {majority} images", pair, minority, *grouped, settings.seed))
    return tuple(found)
