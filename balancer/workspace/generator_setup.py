"""What a fill generates with: a model of whatever family, checked and not loaded yet, and how each image is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from balancer.devices import choose_device
from balancer.errors import ModelError, PlanError
from balancer.filling.generation_modes import MODES, ModeSampler, read_mode_options
from balancer.filling.source_images import images_without, resolve_source_images
from balancer.generators.blueprint import Blueprint, FamilyBlueprint, StableDiffusionBlueprint
from balancer.generators.guidance import read_interval
from balancer.generators.models.families import Family
from balancer.generators.models.memory import require_memory
from balancer.generators.models.tokens import require_tokens_fit
from balancer.generators.plugins import family_config, names_family, open_family
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.scheduler import default_guidance
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.progress import Progress
from balancer.text import printable
from balancer.workspace.inpaint_setup import choose_painting
from balancer.workspace.models import chosen_model, refuse_adapter

if TYPE_CHECKING:
    from balancer.generators.models.selection import ModelSelection
    from balancer.generators.protocol import ImageGenerator
    from balancer.imaging.decode import OutputFormat
    from balancer.jobs import GenerationConfig, Mode
    from balancer.prompting.prompts import Prompt
    from balancer.workspace.settings import FillSettings
    from balancer.workspace.workspace import Session


@dataclass(frozen=True, slots=True)
class GeneratorSetup:
    """What generates: its settings, and how to get it ready. `choice` is `None` for another family.

    `guidance` has the scales of modes that do not use that of `config`. `blueprint` makes the same on another machine.
    """

    config: GenerationConfig
    device: str
    modes: Sequence[str]
    make: Callable[..., ImageGenerator]
    choice: ModelSelection | None
    blueprint: Blueprint
    guidance: Mapping[Mode, float] = field(default_factory=dict)

    def guidance_in(self, modes: Iterable[Mode]) -> str:
        """The guidance scale of these modes; one of each mode where they differ."""
        scales = {mode: f"{self.guidance.get(mode, self.config.guidance_scale):g}" for mode in modes}
        if len(set(scales.values())) == 1:
            return next(iter(scales.values()))
        return ", ".join(f"{scale} for {mode}" for mode, scale in scales.items())

    def require_readable(self, prompts: Iterable[Prompt]) -> None:
        """Refuse prompts that the model would not read to their end.

        Raises:
            ModelError: one is too long.
        """
        if self.choice is not None:
            require_tokens_fit(self.choice.checkpoint, prompts)

    def expecting(self, prompts: Sequence[Prompt]) -> GeneratorSetup:
        """A setup whose text encoders read these prompts in one go, where they do not stay in memory."""
        blueprint = self.blueprint
        if isinstance(blueprint, FamilyBlueprint) or blueprint.checkpoint.family.whole:
            return self
        make, blueprint = partial(self.make, expected=prompts), replace(blueprint, expected=tuple(prompts))
        return replace(self, make=make, blueprint=blueprint)


def choose_generator(session: Session, settings: FillSettings) -> GeneratorSetup:
    """The model that the settings name, of whatever family.

    Raises:
        ModelError: there is none, or it does not fit the other settings.
    """
    sampling = SamplingOptions(
        *(settings.steps, settings.guidance, settings.size, settings.at_once, settings.device),
        precision=settings.precision,
        guidance_interval=None if settings.guidance_interval is None else read_interval(settings.guidance_interval),
    )
    root = session.collection.root
    if settings.model is not None and names_family(settings.model):
        refuse_adapter(settings.model, settings.adapter)
        device = choose_device(settings.device)
        family = open_family(settings.model, device, root)
        config, blueprint = family_config(family, sampling), FamilyBlueprint(settings.model, family.ref, device, root)
        return GeneratorSetup(config, device, family.modes, lambda: family.generator, None, blueprint)
    choice = chosen_model(session, settings.model, settings.adapter)
    sampling = replace(sampling, aspect=choice.aspect)
    config, device = resolve_config(choice.checkpoint, choice.adapter, sampling), choose_device(settings.device)
    require_memory(choice.checkpoint, config.dtype, device)
    modes = ("inpaint",) if choice.checkpoint.is_for_inpainting else choice.checkpoint.family.modes
    guidance = {} if settings.guidance is not None else {m: default_guidance(choice.checkpoint, m) for m in MODES}
    _require_guidance(settings, config, guidance, choice.checkpoint.family)
    return GeneratorSetup(
        config,
        device,
        modes,
        partial(StableDiffusion, choice.checkpoint, choice.file, config, device, root),
        choice,
        StableDiffusionBlueprint(choice.checkpoint, choice.file, config, device),
        guidance,
    )


def _require_guidance(
    settings: FillSettings, config: GenerationConfig, guidance: Mapping[Mode, float], family: Family
) -> None:
    """Refuse an interval for guidance where there is none, or where the family is not guided step by step here.

    Raises:
        ModelError: no image that is asked for is guided, or the family does not know intervals.
    """
    if config.guidance_interval is None:
        return
    if not family.whole:
        raise ModelError(
            needed="a Stable Diffusion 1.x, 2.x or XL, for --guidance-interval",
            found=f"{config.model.name}, {family.name}",
            next_step="leave --guidance-interval out",
        )
    modes, _ = read_mode_options(settings.mode, settings.strength)
    scale = max(guidance.get(mode, config.guidance_scale) for mode in modes)
    if scale <= 1:
        raise ModelError(
            needed="a guidance scale above 1, for --guidance-interval",
            found=f"{scale:g}, which is no guidance",
            next_step="add --guidance 2, or leave --guidance-interval out",
        )


def choose_sampler(
    session: Session,
    settings: FillSettings,
    output: OutputFormat,
    setup: GeneratorSetup,
    labels: Sequence[str],
    progress: Progress,
    *,
    remember: bool,
    wanted: Mapping[str, str] = {},
    painted: Sequence[str] = (),
) -> ModeSampler:
    """How each image of these classes is made; says what is not to be had.

    `wanted` is the finding that each label set is made for, `painted` are the classes of which any is to be made.

    Raises:
        PlanError: the model, or a class, cannot do what was asked for.
    """
    weights, strengths = read_mode_options(settings.mode, settings.strength)
    unable = [mode for mode in weights if mode not in setup.modes]
    if unable:
        raise PlanError(
            needed=f"a model that supports --mode {unable[0]}",
            found=f"{setup.config.model.name}, which supports {', '.join(setup.modes)}",
            next_step=f"use --mode {setup.modes[0]}, or another --model",
        )
    if not settings.harmonise and set(weights) == {"text"}:
        return ModeSampler()
    sources = resolve_source_images(session.collection, session.split, output, session.ledger, remember=remember)
    mixed = images_without(session.collection, sources, wanted) if "mix" in weights else {}
    painting = {}
    if "inpaint" in weights:
        size = setup.config.height, setup.config.width
        painting = choose_painting(session.collection, settings, sources, painted, wanted, size, progress)
    sampler = ModeSampler(weights, strengths, sources, settings.harmonise, mixed, painting)
    sampler.require_usable(labels, setup.config.steps)
    without = [label for label in labels if label not in sources] if settings.harmonise else []
    if without:
        progress.message(
            f"No real training image of {', '.join(map(printable, without))}: intensities are not matched."
        )
    for name, fact in sampler.facts.items():
        progress.message(f"{name.capitalize()}: {fact}")
    return sampler
