"""How near the synthetic images of each class of a balanced folder are to its real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.data.balanced_folder import TrainingImagesByClass
from analysis.data.images import Greys, decode
from analysis.data.minimums import FIDELITY_IMAGES, HELD_OUT_IMAGES
from analysis.realism.fidelity import Fidelity, measure_fidelity
from analysis.statistics.intervals import group_numbers

Progress = Callable[[str, int, int], None]
Embed = Callable[[Greys], npt.NDArray[np.float32]]


_EPOCHS = 20  # at most: a network that knows its images by heart finds all others, synthetic or real, far from them


@dataclass(frozen=True, slots=True)
class Space:
    """What images are compared in: a function to (N, D) features, the side it takes images at, and its name."""

    embed: Embed
    side: int
    name: str


@dataclass(frozen=True, slots=True)
class Quality:
    """The fidelity of each class that has synthetic images; `None` where there are too few for it.

    `held_out` names the classes whose real images are those of the validation split; the others had too few, and are
    compared with training images, which generator and embedding have seen.
    """

    classes: dict[str, Fidelity | None]
    space: str
    patients_known: bool
    held_out: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What the figures leave open."""
        seen = [label for label, each in self.classes.items() if each is not None and label not in self.held_out]
        said = (
            f"{', '.join(seen)}: compared with training images, because there are fewer than {HELD_OUT_IMAGES} "
            "validation images. Copies of training images look too good."
        )
        return [said] if seen else []


def features_for(
    merged: TrainingImagesByClass, weights: Path | None, *, steps: int, seed: int, device: str, progress: Progress
) -> Space:
    """The embedding of the user's weights, else one trained on the real training images of this collection.

    Raises:
        ImageError: a file cannot be decoded.
        ModelError: the weights cannot be used.
    """
    if weights is not None:
        from analysis.vision.pretrained import SIDE, load_pretrained

        return Space(load_pretrained(weights, device), SIDE, f"features of {weights.name}")
    from analysis.vision.classifier import ClassifierSettings, train_classifier

    pairs = [(path, number) for number, label in enumerate(merged.labels) for path in merged.real[label].paths]
    greys = decode([path for path, _ in pairs], 64)
    usual = ClassifierSettings(sampling="balanced", seed=seed, device=device)
    settings = replace(usual, steps=min(steps, 1 + _EPOCHS * len(pairs) // usual.batch_size))
    show = lambda done, total: progress("Training the embedding", done, total)  # noqa: E731
    targets = np.array([number for _, number in pairs], np.int64)
    classifier = train_classifier(greys, targets, merged.labels, settings, progress=show)
    return Space(classifier.features, 64, "features of a small classifier of the real training images, 64 px")


def measure_quality(
    merged: TrainingImagesByClass,
    space: Space,
    *,
    k: int = 5,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> Quality:
    """Compare held-out real with synthetic images inside every class that has both.

    Real images are those of the validation split, which neither the generator nor the embedding has learned; of a
    class with fewer than `HELD_OUT_IMAGES` the training images. The reference is the same between halves of them.

    Raises:
        ImageError: a file cannot be decoded.
    """
    found: dict[str, Fidelity | None] = {}
    held_out = tuple(label for label in merged.filled if len(merged.validation.get(label, ())) >= HELD_OUT_IMAGES)
    for number, label in enumerate(merged.filled):
        progress("Comparing", number, len(merged.filled))
        real, made = (merged.validation if label in held_out else merged.real)[label], merged.synthetic[label]
        if min(len(real), len(made)) < 2:
            found[label] = None
            continue
        features = [space.embed(decode(images.paths, space.side)) for images in (real, made)]
        groups = group_numbers([*real.groups, *made.groups])
        sides = groups[: len(real)], groups[len(real) :]
        found[label] = measure_fidelity(features[0], features[1], sides, k=k, seed=seed)
    progress("Comparing", len(merged.filled), len(merged.filled))
    return Quality(found, space.name, merged.patients_known, held_out)


def sentence(label: str, found: Fidelity | None) -> str:
    """What the figures of one class say.

    >>> sentence("nodule", None)
    'nodule: not known: half of the real and half of the synthetic images must be 8, of two patients or more.'
    """
    if found is None:
        needed = f"half of the real and half of the synthetic images must be {FIDELITY_IMAGES}, of two patients or more"
        return f"{label}: not known: {needed}."
    farther = found.excess["kid"].low > 0
    unreal, fewer = (found.excess[name].high < 0 for name in ("precision", "recall"))
    parts = [
        "farther from the real images than real images are from each other"
        if farther
        else f"not shown to be farther from the real images than these are from each other ({found.images} a side)"
    ]
    parts += ["many are unlike any real image"] if unreal else []
    parts += ["some kinds of real images are missing"] if fewer else []
    return f"{label}: the synthetic images are " + "; ".join(parts) + "."


def report(found: Quality) -> dict[str, Any]:
    """Metrics of each class, with a sentence each, as JSON-compatible fields."""
    return {
        "embedding": found.space,
        "patients_known": found.patients_known,
        "held_out": list(found.held_out),
        "notes": found.notes,
        "classes": {
            label: {"sentence": sentence(label, each), **(asdict(each) if each else {})}
            for label, each in found.classes.items()
        },
    }
