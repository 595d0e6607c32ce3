"""What a fill is going to make, where it goes and with what: all that can be refused before the first image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.collection.label_sets import findings_in
from balancer.dataset.merge import check_out, default_out, synthetic_counts
from balancer.filling.recipe import attributes_of_sets
from balancer.filling.verdicts import LabelRecords, load_records
from balancer.progress import Progress
from balancer.prompting.choice import choose_packs, require_words
from balancer.text import printable
from balancer.workspace.exposure import generator_exposure, require_learned
from balancer.workspace.merge_run import say_external
from balancer.workspace.models import with_adapter
from balancer.workspace.output_forms import output_forms
from balancer.workspace.plan_run import PlanResult
from balancer.workspace.prompts_run import known_attributes, require_sound_wording
from balancer.workspace.settings import FillSettings
from balancer.workspace.workspace import Session

if TYPE_CHECKING:
    from balancer.collection.attributes import JointDistribution
    from balancer.filling.recipe import Recipe
    from balancer.generators.blueprint import Blueprint
    from balancer.generators.models.selection import ModelSelection
    from balancer.generators.protocol import ImageGenerator
    from balancer.prompting.packs import TemplatePack

_ENLARGED = 1.5  # times; less is hardly seen
_WORDINGS = 500  # prompts of a class that are looked at beforehand: wordings repeat long before


@dataclass(frozen=True, slots=True)
class FillRequest:
    """What is to be made, and where it goes. `records` is what the database holds of every class.

    `of_sets` are sex, age group and view of the real images of each label set, where images have several findings.
    """

    session: Session
    settings: FillSettings
    planned: PlanResult
    place: Path
    templates: Mapping[str, TemplatePack]
    attributes: JointDistribution
    records: Mapping[str, LabelRecords]
    of_sets: Mapping[str, JointDistribution] = field(default_factory=dict)

    @property
    def asked(self) -> list[str]:
        """The classes, or findings, that images are made of."""
        if self.planned.findings is None:
            return self.planned.labels
        return sorted({finding for label in self.planned.labels for finding in findings_in(label)})

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """The classes that get images, and how many."""
        return [(label, count) for label, count in self.planned.plan.deficits.items() if count]


@dataclass(frozen=True, slots=True)
class FillSetup:
    """The recipe and the generator of a fill. `stamps` are statements that the dataset card must contain.

    `blueprint` makes the same generator on another machine.
    """

    recipe: Recipe
    make_generator: Callable[[], ImageGenerator]
    device: str
    stamps: tuple[str, ...]
    choice: ModelSelection | None
    blueprint: Blueprint


def fill_request(
    session: Session, settings: FillSettings, planned: PlanResult, progress: Progress, *, remember: bool
) -> FillRequest:
    """What a plan comes to; `remember` it, so that a later fill asks for the same.

    Raises:
        OutputError: the balanced folder cannot be where it is wanted.
        PromptError: the template pack cannot be used.
    """
    root = session.collection.root
    place = settings.out or default_out(root)
    for each, _ in output_forms(session.collection, place, settings.format):
        check_out(each, root, session.state.folder)
    records = load_records(session.ledger, session.collection, planned.labels)
    _warn_of_removal(place, planned, say_external(session, records, progress), progress)
    require_words(settings.pack, session.collection.labels)
    of_findings = None if planned.findings is None else planned.findings.counts
    sets = () if of_findings is None else planned.labels
    templates = choose_packs(settings.pack, session.collection.labels, progress, sets=sets, counts=of_findings)
    attributes = known_attributes(session, progress, remember=remember)
    of_sets = attributes_of_sets(session.collection, session.split, sets)
    return FillRequest(session, settings, planned, place, templates, attributes, records, of_sets)


def _warn_of_removal(place: Path, planned: PlanResult, external: Mapping[str, int], progress: Progress) -> None:
    """Say which classes lose synthetic images of an earlier fill, because this plan asks for fewer."""
    for label, count in synthetic_counts(place).items():
        left = planned.plan.deficits.get(label, 0) + external.get(label, 0)
        if left < count:
            progress.message(
                f"{printable(label)} keeps {left} of its {count} synthetic images: this plan needs no more."
            )


def prompt_of(request: FillRequest, label: str, index: int) -> str:
    """The text of prompt `index` of a class."""
    from balancer.prompting.prompts import make_prompt

    pack, seed = request.templates[label], request.settings.seed
    attributes = request.of_sets.get(label, request.attributes)
    return make_prompt(pack, label, index, seed, pack.words(attributes.draw(index, seed))).text


def prepare(
    request: FillRequest, progress: Progress, *, remember: bool, made_as: Mapping[str, Any] | None = None
) -> FillSetup:
    """Choose all that images are made with, and say so.

    `made_as`: settings of the generator that hang on the machine, as shards were made with on another one.

    Raises:
        BalanceError: whatever can be refused before the first image is made.
    """
    from balancer.dataset.layout import plan_layout
    from balancer.filling.generation_modes import read_mode_options
    from balancer.filling.recipe import Recipe, resolve_profile
    from balancer.generators.models.adapter_format import is_kohya, layer_names
    from balancer.generators.models.memory import largest_bytes
    from balancer.workspace.checks import require_memory_and_disk
    from balancer.workspace.generator_setup import choose_generator, choose_sampler

    session, settings = request.session, request.settings
    plan_layout(session.collection, session.split, ())  # only looks whether all originals are there
    generator = choose_generator(session, settings)
    if generator.choice is not None:
        weights = largest_bytes(generator.choice.checkpoint)
        require_memory_and_disk(session.state.folder, weights, None, progress=progress)
        if generator.choice.file is not None and is_kohya(layer_names(generator.choice.file)):
            progress.message("Adapter: its layers have kohya's names; diffusers converts them to its own.")
    profile = resolve_profile(session.collection, session.split, session.ledger, remember=remember)
    labels = request.planned.labels
    wanted = {} if request.planned.findings is None else request.planned.findings.sets.wanted
    painted = [label for label, _ in request.wanted]
    sampler = choose_sampler(
        *(session, settings, profile.output, generator, labels, progress),
        remember=remember,
        wanted=wanted,
        painted=painted,
    )
    config = replace(generator.config, **(made_as or {}))
    recipe = Recipe(
        *(request.templates, config, profile, settings.seed, request.attributes, sampler, generator.guidance),
        of_sets=request.of_sets,
        wanted=wanted,
    )
    prompts = [recipe.job(label, i).prompt for label, n in request.wanted for i in range(min(n, _WORDINGS))]
    require_sound_wording(request.templates, labels, prompts, progress)
    generator.require_readable(prompts)
    generator = generator.expecting(prompts)
    modes, _ = read_mode_options(settings.mode, settings.strength)
    progress.message(
        f"Model: {printable(config.model.name)}{with_adapter(config)}, {config.width} x {config.height} px, "
        f"{config.steps} steps, guidance {generator.guidance_in(modes)}, "
        f"on {generator.device}, batches of {config.batch_size}"
    )
    unlearned = "" if generator.choice is None else require_learned(generator.choice, request.asked)
    stamps = tuple(filter(None, (generator_exposure(session, generator.choice), unlearned, _enlargement(recipe))))
    for stamp in stamps:
        progress.message(f"Note: {stamp}")
    return FillSetup(recipe, generator.make, generator.device, stamps, generator.choice, generator.blueprint)


def _enlargement(recipe: Recipe) -> str:
    """What is to be said when the model generates much smaller images than the collection's are."""
    profile, config = recipe.profile, recipe.config
    sizes = [profile.output.size] if profile.output.size else [size for some in profile.sizes.values() for size in some]
    wanted, made = sum(max(size) for size in sizes) / len(sizes), max(config.width, config.height)
    if wanted <= _ENLARGED * made:
        return ""
    return f"images are generated at {made} px and enlarged to {wanted:.0f} px: they have less detail than real ones"
