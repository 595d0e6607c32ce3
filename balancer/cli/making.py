"""What `balance fill` makes images by: a model of any family, and a mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message
from balancer.errors import PlanError
from balancer.text import printable
from balancer.workspace.models import chosen_model, refuse_adapter

if TYPE_CHECKING:
    from balancer.filling.generation_modes import Methods
    from balancer.generators.models.selection import Choice
    from balancer.generators.protocol import ImageGenerator
    from balancer.generators.stable_diffusion import Sampling
    from balancer.imaging.decode import OutputFormat
    from balancer.jobs import GenerationConfig, Mode
    from balancer.prompting.prompts import Prompt
    from balancer.workspace.workspace import Session


@dataclass(frozen=True, slots=True)
class Making:
    """What the user wants of `--mode`, `--strength` and `--harmonise`."""

    weights: Mapping[Mode, float]
    strengths: Sequence[float]
    harmonised: bool

    @classmethod
    def read(cls, mode: str, strength: str | None, *, harmonised: bool) -> Making:
        """Check what was typed.

        Raises:
            PlanError: a mode, weight or strength that there is not.
        """
        from balancer.filling.generation_modes import STRENGTHS, read_modes, read_strengths

        weights = read_modes(mode)
        if strength is not None and set(weights) == {"text"}:
            raise PlanError(
                needed="a mode that begins with a real image, for --strength",
                found=f"--mode {mode}",
                next_step="add --mode image or --mode mix, or leave --strength out",
            )
        return cls(weights, STRENGTHS if strength is None else read_strengths(strength), harmonised)


@dataclass(frozen=True, slots=True)
class Drawer:
    """What draws: its settings, and how to get it ready. `choice` is `None` for another family.

    `guidance` has the scales of modes that are not drawn by that of `config`.
    """

    config: GenerationConfig
    device: str
    modes: Sequence[str]
    make: Callable[[], ImageGenerator]
    choice: Choice | None
    guidance: Mapping[Mode, float] = field(default_factory=dict)

    def guidance_in(self, modes: Iterable[Mode]) -> str:
        """The guidance scale that images are drawn by; one of each mode where they differ."""
        scales = {mode: f"{self.guidance.get(mode, self.config.guidance_scale):g}" for mode in modes}
        if len(set(scales.values())) == 1:
            return next(iter(scales.values()))
        return ", ".join(f"{scale} for {mode}" for mode, scale in scales.items())

    def require_readable(self, prompts: Iterable[Prompt]) -> None:
        """Refuse prompts that the model would not read to their end.

        Raises:
            ModelError: one is too long.
        """
        from balancer.generators.stable_diffusion import require_tokens_fit

        if self.choice is not None:
            require_tokens_fit(self.choice.checkpoint, prompts)


def choose_drawer(session: Session, model: str | None, adapter: Path | None, sampling: Sampling) -> Drawer:
    """The model that `--model` names, of whatever family, checked and not loaded yet.

    Raises:
        ModelError: there is none, or it does not fit the other options.
    """
    from balancer.devices import choose_device
    from balancer.filling.generation_modes import MODES
    from balancer.generators.plugins import names_family
    from balancer.generators.scheduler import read_schedule, usual_guidance
    from balancer.generators.stable_diffusion import StableDiffusion, settle_config

    if model is not None and names_family(model):
        return _of_a_family(session, model, adapter, sampling)
    choice = chosen_model(session, model, adapter)
    config, device = settle_config(choice.checkpoint, choice.adapter, sampling), choose_device(sampling.device)
    root, schedule = session.collection.root, read_schedule(choice.checkpoint.folder)
    return Drawer(
        config,
        device,
        MODES,
        lambda: StableDiffusion(choice.checkpoint, choice.file, config, device, root),
        choice,
        {} if sampling.guidance_scale is not None else {mode: usual_guidance(schedule, mode) for mode in MODES},
    )


def choose_methods(
    session: Session,
    making: Making,
    output: OutputFormat,
    drawer: Drawer,
    labels: Iterable[str],
    *,
    remember: bool,
) -> Methods:
    """How each image of these classes is made; says what is not to be had.

    Raises:
        PlanError: the model, or a class, cannot do what was asked for.
    """
    from balancer.filling.generation_modes import Methods
    from balancer.filling.source_images import settle_material

    unable = [mode for mode in making.weights if mode not in drawer.modes]
    if unable:
        raise PlanError(
            needed=f"a model that makes images by --mode {unable[0]}",
            found=f"{drawer.config.model.name}, which knows {', '.join(drawer.modes)}",
            next_step="use --mode text, or another --model",
        )
    if not making.harmonised and set(making.weights) == {"text"}:
        return Methods()
    material = settle_material(session.collection, session.split, output, session.ledger, remember=remember)
    methods = Methods(making.weights, making.strengths, material, making.harmonised)
    methods.require_usable(labels, drawer.config.steps)
    without = [label for label in labels if label not in material] if making.harmonised else []
    if without:
        names = ", ".join(map(printable, without))
        message(f"No real training image of {names}: intensities are left as drawn.")
    for name, fact in methods.facts.items():
        message(f"{name.capitalize()}: {fact}")
    return methods


def _of_a_family(session: Session, model: str, adapter: Path | None, sampling: Sampling) -> Drawer:
    from balancer.devices import choose_device
    from balancer.generators.plugins import family_config, open_family

    refuse_adapter(model, adapter)
    device = choose_device(sampling.device)
    family = open_family(model, device, session.collection.root)
    return Drawer(family_config(family, sampling), device, family.modes, lambda: family.generator, None)
