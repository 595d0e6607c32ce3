"""How images are made: from text, from a real image of the class or of another, or as a part of a normal one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, get_args

from balancer.collection.scan import Sample
from balancer.errors import PlanError
from balancer.filling.lesion_places import Painting
from balancer.filling.source_images import SourceImages
from balancer.generators.scheduler import edit_steps, fewest_steps
from balancer.jobs import Mode, ModeDraw, job_seed

MODES: tuple[Mode, ...] = get_args(Mode)
STRENGTHS = (0.5, 0.7, 0.9)
"""What DA-Fusion (Trabucco 2023) and Diff-Mix (Wang 2024) used lies around these."""
PAINT_STRENGTHS = (0.6, 0.7, 0.8)
"""Of what is painted into a mask. Nodules of the pocket checkpoint were there in fewer of 32 images at 0.5 and 0.99."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModeSampler:
    """What decides how each image is made: modes by weight, strengths, and real training images.

    "text": from the prompt alone. "image": a real image of the class, changed (DA-Fusion). "mix": a real image of
    another class, edited to the wanted one (Diff-Mix). "inpaint": a part of a normal one, as `painting` says of each
    class. `harmonised`: each takes the exposure and contrast of a real image of its class, but for painted ones, which
    have those of their source. `mixed` are the images that "mix" edits for each label set, where images have several
    findings: then another set is not enough, the wanted finding must be missing. `strengths` `None`: the usual ones.
    """

    weights: Mapping[Mode, float] = field(default_factory=lambda: {"text": 1.0})
    strengths: Sequence[float] | None = None
    sources: SourceImages = field(default_factory=dict)
    harmonised: bool = False
    mixed: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    painting: Mapping[str, Painting] = field(default_factory=dict)

    @property
    def from_images(self) -> bool:
        """Whether any image is made from a real one."""
        return any(mode != "text" for mode in self.weights)

    @property
    def facts(self) -> dict[str, str]:
        """What a card says of it; nothing where every image is from text, with the model's own intensities."""
        if not self.from_images and not self.harmonised:
            return {}
        modes = ", ".join(f"{mode} {self.weights[mode]:.0%}" for mode in MODES if mode in self.weights)
        used = dict.fromkeys(self.strengths_of(mode) for mode in MODES if mode in self.weights and mode != "text")
        strengths = "".join(f", strength {' or '.join(f'{each:g}' for each in some)}" for some in used)
        intensities = "those of a real training image of the class" if self.harmonised else "not matched"
        if "inpaint" in self.weights:
            intensities = f"inpaint: those of the source{'' if len(self.weights) == 1 else f'; others: {intensities}'}"
        return {"mode": f"{modes}{strengths}", "intensities": intensities}

    def draw(self, run_seed: int, label: str, index: int) -> ModeDraw:
        """How image `index` is made of `label`: from these three alone, whatever else is made.

        Each of its parts has a random number of its own, so that changing one leaves the others as they are.
        """
        rng = random.Random(job_seed(run_seed, f"{label}\x00method", index))
        which, source, strength, reference = (rng.random() for _ in range(4))
        mode = _weighted(self.weights, which)
        lent = self.sources.get(label, ()) if self.harmonised else ()
        lender = _at(reference, lent) if lent else None
        if mode == "text":
            return ModeDraw(reference=lender)
        changed = _at(strength, self.strengths_of(mode))
        if mode == "inpaint":
            normal, mask, origin = self.painting[label].draw(run_seed, label, index)
            return ModeDraw(mode, normal, changed, mask=mask, mask_from=origin)
        return ModeDraw(mode, _at(source, *self._sources(mode, label)), changed, lender)

    def strengths_of(self, mode: Mode) -> Sequence[float]:
        """The strengths that images of a mode are drawn with."""
        return self.strengths or (PAINT_STRENGTHS if mode == "inpaint" else STRENGTHS)

    def size_of(self, label: str, method: ModeDraw) -> tuple[int, int] | None:
        """The width and height that an image must have: a painted one, those of its source."""
        painted = method.mode == "inpaint" and method.source is not None
        return self.painting[label].sizes[method.source.path] if painted and method.source else None

    def mean_steps(self, steps: int) -> float:
        """Denoising steps that an image takes on average, where one from text alone takes `steps`."""
        return sum(weight * self._mean_steps(mode, steps) for mode, weight in self.weights.items())

    def require_usable(self, labels: Iterable[str], steps: int) -> None:
        """Refuse before the first image what some image could not be made by.

        Raises:
            PlanError: a class has no image to begin from, or a strength leaves not one of the steps.
        """
        if not self.from_images:
            return
        weakest = min(min(self.strengths_of(mode)) for mode in self.weights if mode != "text")
        if edit_steps(steps, weakest) < 1:
            raise PlanError(
                needed=f"enough steps: strength {weakest:g} must leave at least one",
                found=f"--steps {steps}",
                next_step=f"use --steps {max(25, fewest_steps(weakest))}, or a greater --strength",
            )
        for label in labels:
            for mode in self.weights:
                if mode not in ("text", "inpaint") and not self._sources(mode, label):
                    raise _no_source_images(mode, label)

    def _mean_steps(self, mode: Mode, steps: int) -> float:
        some = [edit_steps(steps, strength) for strength in self.strengths_of(mode)]
        return steps if mode == "text" else sum(some) / len(some)

    def _sources(self, mode: Mode, label: str) -> list[Sequence[Sample]]:
        """The images to begin from, class by class; none of them empty."""
        if mode == "mix" and label in self.mixed:
            return [self.mixed[label]] if self.mixed[label] else []
        return [some for other, some in sorted(self.sources.items()) if some and (other == label) == (mode == "image")]


def read_modes(text: str) -> dict[Mode, float]:
    """Modes and the share of images of each, which add up to 1; modes without a weight count 1.

    >>> read_modes("text=1,mix=3"), read_modes("image")
    ({'text': 0.25, 'mix': 0.75}, {'image': 1.0})

    Raises:
        PlanError: an unknown mode, one named twice, or a weight that is no number above 0.
    """
    weights: dict[Mode, float] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        mode = next((mode for mode in MODES if mode == name), None)
        weight = _number(number) if equals else 1.0
        if mode is None or mode in weights or not 0 < weight < math.inf:
            raise PlanError(
                needed="text, image, mix or inpaint, or several of them, each once and with a weight above 0",
                found=f"{part.strip()!r} in --mode {text}",
                next_step="use, for example: --mode mix, or --mode text=0.5,mix=0.5",
            )
        weights[mode] = weight
    total = sum(weights.values())
    return {mode: weight / total for mode, weight in weights.items()}


def read_strengths(text: str) -> tuple[float, ...]:
    """Strengths to draw from: how much of a real image is made anew.

    >>> read_strengths("0.5,0.7")
    (0.5, 0.7)

    Raises:
        PlanError: one is no number between 0 and 1.
    """
    found = tuple(_number(part) for part in text.split(","))
    if all(0 < strength < 1 for strength in found):
        return found
    raise PlanError(
        needed="strengths above 0 (no change) and below 1 (nothing is kept)",
        found=f"--strength {text}",
        next_step="use, for example: --strength 0.5,0.7,0.9",
    )


def read_mode_options(mode: str, strength: str | None) -> tuple[dict[Mode, float], tuple[float, ...] | None]:
    """Modes by weight and strengths, as `--mode` and `--strength` give them; `None`: the usual strengths.

    >>> read_mode_options("mix", "0.5")
    ({'mix': 1.0}, (0.5,))

    Raises:
        PlanError: a mode, weight or strength that there is not, or a strength for images from text alone.
    """
    weights = read_modes(mode)
    if strength is not None and set(weights) == {"text"}:
        raise PlanError(
            needed="a mode that starts from a real image, for --strength",
            found=f"--mode {mode}",
            next_step="add --mode image, --mode mix or --mode inpaint, or leave --strength out",
        )
    return weights, None if strength is None else read_strengths(strength)


def _no_source_images(mode: Mode, label: str) -> PlanError:
    whose = f"of {label!r}" if mode == "image" else f"of another class than {label!r}"
    return PlanError(
        needed=f"a real training image {whose} to start from, for --mode {mode}",
        found="none in the training split",
        next_step="use --mode text, or see the splits: balance split",
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _weighted(weights: Mapping[Mode, float], chance: float) -> Mode:
    """The mode in whose share of 0 to 1 a number falls, in the order of `MODES`, however they were typed."""
    ordered = [mode for mode in MODES if mode in weights]
    for mode in ordered[:-1]:
        if chance < weights[mode]:
            return mode
        chance -= weights[mode]
    return ordered[-1]


def _at(chance: float, *parts: Sequence[_T]) -> _T:
    """The value at a share of 0 to 1 of the way through all parts, one after the other."""
    place = int(chance * sum(map(len, parts)))
    for part in parts:
        if place < len(part):
            return part[place]
        place -= len(part)
    raise IndexError(place)
