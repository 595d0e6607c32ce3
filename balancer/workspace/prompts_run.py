"""What will be asked for: the prompts of each class, what is wrong with them, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import BalanceError
from balancer.progress import SILENT, Progress
from balancer.prompting.choice import choose_packs, require_words
from balancer.text import printable
from balancer.workspace.models import chosen_maker, chosen_model
from balancer.workspace.settings import PromptsSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.collection.attributes import JointDistribution
    from balancer.imaging.decode import GreyImage
    from balancer.prompting.lint import LintMessage
    from balancer.prompting.packs import TemplatePack
    from balancer.prompting.prompts import Prompt

Templates = Mapping[str, "TemplatePack"]
"""The template pack of each class."""


@dataclass(frozen=True, slots=True)
class PromptsResult:
    """The first prompts of each class, and the pack that words it."""

    prompts: Mapping[str, Sequence[Prompt]]
    templates: Templates

    @property
    def negatives(self) -> list[str]:
        """What no image is to look like, each text once."""
        return list(dict.fromkeys(pack.negative for pack in self.templates.values()))

    def to_json(self) -> dict[str, Any]:
        """The prompts of each class, for programs."""
        return {label: [asdict(prompt) for prompt in some] for label, some in self.prompts.items()}


@dataclass(frozen=True, slots=True)
class PromptsCheck:
    """What is wrong with the wording of `classes` classes, errors first; `tokens` says by whom length was measured."""

    complaints: Sequence[LintMessage]
    classes: int
    tokens: str

    @property
    def errors(self) -> int:
        """How many complaints forbid generating."""
        return sum(each.severity == "error" for each in self.complaints)

    def to_json(self) -> dict[str, Any]:
        """The complaints as JSON-compatible fields."""
        return {
            "classes": self.classes,
            "tokens": self.tokens,
            "errors": self.errors,
            "warnings": len(self.complaints) - self.errors,
            "complaints": [asdict(each) for each in self.complaints],
        }


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack that was begun, how many classes it words, and those whose wording is to be filled in."""

    path: Path
    classes: int
    gaps: Sequence[str]


def prompts(
    workspace: Workspace, settings: PromptsSettings = PromptsSettings(), *, progress: Progress = SILENT
) -> PromptsResult:
    """Make the first prompts of each class, as `fill` would; a class that is named needs no scanned collection.

    Raises:
        StateError: no class is named, and nothing was scanned.
        PromptError: the pack cannot be used.

    >>> prompts(Workspace.open(folder), PromptsSettings(label="nodule", count=2)).prompts["nodule"][0].text
    'frontal projection chest radiograph showing a coin lesion of the lung, moderate inspiration, soft contrast'
    """
    from balancer.prompting.prompts import make_prompt

    asked = _asked(workspace, settings, progress)
    labels, attributes = asked.shown, asked.attributes
    require_words(settings.pack, labels)
    templates = asked.packs(settings.pack, progress)
    drawn = [attributes.draw(index, settings.seed) for index in range(settings.count)]
    return PromptsResult(
        {
            label: [
                make_prompt(templates[label], label, index, settings.seed, templates[label].words(each))
                for index, each in enumerate(drawn)
            ]
            for label in labels
        },
        {label: templates[label] for label in labels},
    )


def sample_prompts(
    workspace: Workspace, settings: PromptsSettings, found: PromptsResult, *, progress: Progress = SILENT
) -> dict[str, list[GreyImage]]:
    """Make one small image for each prompt, in a few steps.

    Raises:
        ModelError: there is no model, or a prompt is too long for it.
    """
    from balancer.generators.preview import draw_prompts

    labelled = [(label, prompt) for label, some in found.prompts.items() for prompt in some]
    # "write", since a sheet of them is kept: better refused now than then
    with workspace.session(write=True, several=True) as session:
        images = iter(draw_prompts(labelled, chosen_maker(session, settings.model), progress.start("Generating")))
        return {label: [next(images) for _ in some] for label, some in found.prompts.items()}


def check_prompts(
    workspace: Workspace, settings: PromptsSettings = PromptsSettings(), *, progress: Progress = SILENT
) -> PromptsCheck:
    """Look for faults in the wording of each class; a class that is named needs no scanned collection.

    Raises:
        ModelError: the model that is named is none that can be used.
        PromptError: the pack cannot be used.
    """
    templates = _asked(workspace, settings, progress).packs(settings.pack, progress)
    with nullcontext() if settings.label else workspace.session(write=False, several=True) as session:
        complaints, tokens = _complaints(templates, settings.model, session)
    return PromptsCheck(complaints, len(templates), tokens)


def new_pack(workspace: Workspace, settings: PromptsSettings, path: Path) -> NewPack:
    """Begin a template pack for the scanned classes, to be edited.

    Raises:
        OutputError: it cannot be written there.
    """
    from balancer.prompting.pack_skeleton import write_new_pack

    with workspace.session(write=False, several=True) as session:
        collection = session.collection
    templates = choose_packs(settings.pack, collection.labels)
    write_new_pack(path, templates, collection.root)
    return NewPack(path, len(templates), [label for label, each in templates.items() if each.find(label) is None])


def known_attributes(session: Session, progress: Progress = SILENT, *, remember: bool) -> JointDistribution:
    """How sex, age group and view are distributed in the training images; says when prompts change because of it."""
    from balancer.filling.recipe import resolve_attributes

    found, changed = resolve_attributes(session.collection, session.split, session.ledger, remember=remember)
    if changed:
        progress.message(
            "The table of patients has changed since the last fill: prompts and images are generated again."
        )
    return found


def require_sound_wording(
    templates: Templates, labels: Iterable[str], prompts: Iterable[Prompt] = (), progress: Progress = SILENT
) -> None:
    """Say the warnings about all classes, and refuse errors in what would be asked for.

    Raises:
        PromptError: a wording of the classes `labels`, or a value in `prompts`, has an error.
    """
    from balancer.prompting.lint import lint, refuse_errors

    for each in lint(templates):
        if each.severity == "warning":
            progress.message(f"Warning: {complaint_line(each)}")
    refuse_errors(lint({label: templates[label] for label in labels}, prompts=prompts))


def complaint_line(complaint: LintMessage) -> str:
    """One complaint as a line: level, rule, place, and how to correct it."""
    return printable(f"{complaint.where}: {complaint.kind}: {complaint.message} ({complaint.text}). {complaint.fix}")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose prompts are wanted: classes, or findings, with their training images in `counts`, and label sets."""

    labels: Sequence[str]
    attributes: JointDistribution
    sets: Sequence[str] = ()
    counts: Mapping[str, int] | None = None
    one: str | None = None

    @property
    def shown(self) -> Sequence[str]:
        """The classes, findings or sets whose prompts are shown."""
        return self.labels if self.one is None else [self.one]

    def packs(self, pack: str | None, progress: Progress) -> Templates:
        """The template pack of each class, finding and set."""
        return choose_packs(pack, self.labels, progress, sets=self.sets, counts=self.counts)


def _asked(workspace: Workspace, settings: PromptsSettings, progress: Progress) -> _Asked:
    from balancer.collection.attributes import JointDistribution
    from balancer.collection.label_sets import MARK, findings_in
    from balancer.splits.split import training_counts

    one = settings.label
    try:
        with workspace.session(write=False, several=True) as session:
            attributes = known_attributes(session, progress, remember=False)
            collection = session.collection
            if not collection.is_multi_label:
                return _Asked([one] if one else collection.labels, attributes)
            counts = training_counts(collection, session.split)
            trained = collection.images.loc[session.split.paths("train", "holdout"), "label"]
            sets = [one] if one else sorted(trained.unique())
            labels = findings_in(one) if one else collection.labels
            return _Asked(labels, attributes, [name for name in sets if MARK in name], counts, one)
    except BalanceError:
        if one is None:
            raise
    return _Asked([one], JointDistribution())


def _complaints(templates: Templates, model: str | None, session: Session | None) -> tuple[list[LintMessage], str]:
    """All complaints, errors first, and by whose tokens the length was measured."""
    from balancer.generators.plugins import find_family, names_family
    from balancer.prompting.lint import lint, lint_length

    made_here = session.ledger.adapters(session.collection) if session else []
    if model is None and not made_here:
        too_long, tokens = lint_length(templates), "estimated: there is no model yet; choose one with --model"
    elif model is not None and names_family(model):
        find_family(model)
        too_long = lint_length(templates)
        tokens = f"estimated: {printable(model)} is a plug-in with its own tokens"
    else:
        from balancer.generators.models.checkpoint import find_checkpoint
        from balancer.generators.models.tokens import token_counter

        checkpoint = chosen_model(session, model).checkpoint if session else find_checkpoint(model)
        count, limit = token_counter(checkpoint)
        too_long = lint_length(templates, limit, count)
        tokens = f"counted by {printable(checkpoint.ref.name)}, which reads {limit}"
    return sorted([*lint(templates), *too_long], key=lambda each: each.severity), tokens
