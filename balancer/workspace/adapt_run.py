"""Teaching a generator the collection, from its training split alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import ModelError, OutputError
from balancer.progress import SILENT, Phases, Progress
from balancer.store.setting_names import ACCEPTED
from balancer.text import printable
from balancer.workspace.checks import require_memory_and_disk
from balancer.workspace.learning_material import caption_packs, findings_of_sets, learnable
from balancer.workspace.models import remember_base
from balancer.workspace.run_record import remember_run
from balancer.workspace.settings import SQUARE, AdaptSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.adapting.common.clock import Clock
    from balancer.adapting.common.logger import Curves
    from balancer.adapting.common.monitor import TrainingMonitor
    from balancer.collection.regions import Region
    from balancer.collection.scan import Collection
    from balancer.generators.models.checkpoint import Checkpoint

_LATENT_NUMBER = 4  # bytes: float32


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """The folder of the adapter or checkpoint; `was_there`: an earlier run had made it already."""

    folder: Path
    was_there: bool

    @property
    def samples(self) -> Path:
        """Pictures of what it generates, with an adapter below those of its base."""
        return self.folder / "samples.png"

    def to_json(self) -> dict[str, Any]:
        """The folder and files of the trained model as JSON-compatible fields."""
        return {"name": self.folder.name, "was_there": self.was_there}


def adapt(
    workspace: Workspace,
    settings: AdaptSettings,
    *,
    monitor: TrainingMonitor | None = None,
    accept: Callable[[str], bool] = lambda licence: False,
    progress: Progress = SILENT,
) -> AdaptResult:
    """Train a LoRA adapter on a base, or a small Stable Diffusion from scratch; stopped, it goes on where it was.

    `monitor` looks for copies of training images on the way (`analysis.MemorisationMonitor`). `accept` is asked once
    whether the user accepts the licence of a base, unless the settings say so.

    Raises:
        ModelError: the base cannot be used, its licence is not accepted, or there is no such device.
        CollectionError: a training image has changed since the scan.
        OutputError: there is too little memory or disk.
        PluginError: the logger that the settings name is not installed, or fails.

    >>> adapt(Workspace.open(folder), AdaptSettings(from_scratch=True, base="sd15"))
    Traceback (most recent call last):
    balancer.errors.SettingsError: needed: either --base or --from-scratch
    found:  both
    next:   balance adapt --base FOLDER, or: balance adapt --from-scratch
    """
    from balancer.adapting.common.clock import Clock
    from balancer.adapting.common.logger import curves_of

    clock = Clock()
    with workspace.session(write=True, several=True) as session, curves_of(_apart(session, settings.log)) as curves:
        folder = session.state.adapters / settings.folder_name
        session.state.adapters.mkdir(exist_ok=True)
        was_there = folder.is_dir()
        if settings.from_scratch:
            _from_scratch(session, settings, folder, clock, progress, curves)
        else:
            _on_base(session, settings, folder, monitor, accept, clock, progress, curves)
        kept = replace(settings, log=None)  # a fold that repeats it records nothing
        remember_run(session, "adapt", kept, clock.seconds(), made=folder.name)
    return AdaptResult(folder, was_there)


def _chosen(settings: AdaptSettings, *names: str) -> dict[str, Any]:
    """The settings that are given, by name; the others are as the training has them by default."""
    usual = ("size", "steps", "minutes", "batch_size", "seed", "device", "workers")
    return {name: value for name in (*usual, *names) if (value := getattr(settings, name)) is not None}


def _apart(session: Session, log: str | None) -> str | None:
    """What `--log` names, whose place is not in the collection."""
    place = Path((log or "").partition(":")[2]).resolve()
    if log and place.is_relative_to(session.collection.root.resolve()):
        raise OutputError(
            needed="a place outside the collection for --log, since balance never changes it",
            found=f"{place}",
            next_step="balance adapt --log NAME:ANOTHER_PLACE",
        )
    return log


def _from_scratch(
    session: Session, settings: AdaptSettings, folder: Path, clock: Clock, progress: Progress, curves: Curves
) -> None:
    from balancer.adapting.scratch.pretrain import pretrain
    from balancer.adapting.scratch.settings import ScratchSettings
    from balancer.adapting.scratch.train import train_from_scratch
    from balancer.collection.attributes import attributes_of
    from balancer.collection.scan import samples, with_hashes
    from balancer.workspace.pretraining import gather, remember_pool

    training = ScratchSettings(**_chosen(settings, "start"))
    paths = learnable(session, ("train",), progress)
    collection = with_hashes(session.collection, paths)
    session.ledger.save_hashes(collection)
    learned = samples(collection.images.loc[paths])
    packs = caption_packs(session, settings.pack, learned, progress)
    require_memory_and_disk(session.state.folder, progress=progress)
    attributes = attributes_of(collection.images.loc[paths])
    phases = _TrainingPhases(progress)
    split, sets = session.split.sha256, findings_of_sets(collection, learned)
    pool, pretrained = None, None
    if settings.pretrain is not None:
        pool = gather(session, settings.pretrain, training.size, progress)
        training, pretrained = pretrain(pool, packs, training, folder, clock, phases, curves)
    train_from_scratch(
        learned, collection.root, packs, training, folder, split, phases, attributes, clock, sets, curves, pretrained
    )
    if pool is not None:
        remember_pool(session, folder, pool)
    session.ledger.add_adapter(collection, folder)


def _on_base(
    session: Session,
    settings: AdaptSettings,
    folder: Path,
    monitor: TrainingMonitor | None,
    accept: Callable[[str], bool],
    clock: Clock,
    progress: Progress,
    curves: Curves,
) -> None:
    from balancer.adapting.common.monitor import no_monitor
    from balancer.adapting.lora.data import TrainingData
    from balancer.adapting.lora.settings import LoraSettings
    from balancer.adapting.lora.train import train_lora
    from balancer.collection.attributes import attributes_of
    from balancer.collection.scan import samples, with_hashes
    from balancer.generators.aspect import sides
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.models.memory import largest_bytes

    options = _chosen(settings, "rank", "learning_rate", "text_encoder", "prior_share")
    training = LoraSettings(**options, validation_prompts=settings.validation_prompt)
    checkpoint = find_checkpoint(str(settings.base))
    _require_licence(session, checkpoint, settings, accept, progress)
    side = training.size or checkpoint.native_size
    training = replace(training, aspect=_aspect(session, settings, checkpoint, side))
    paths = learnable(session, ("train", "holdout"), progress)
    cell = _LATENT_NUMBER * int(checkpoint.config("vae").get("latent_channels", 4))
    latents = len(paths) * training.augmentations * cell * (side // checkpoint.scale_factor) ** 2
    require_memory_and_disk(session.state.folder, largest_bytes(checkpoint), latents, progress=progress)
    collection = with_hashes(session.collection, paths)
    session.ledger.save_hashes(collection)
    parts = [paths.intersection(session.split.paths(name)) for name in ("train", "holdout")]
    train, held = (samples(collection.images.loc[part]) for part in parts)
    packs = caption_packs(session, settings.pack, train, progress)
    attributes = attributes_of(collection.images.loc[paths])
    sets = findings_of_sets(collection, train + held)
    regions = {} if settings.regions is None else _regions(settings.regions, collection, parts[0], progress)
    data = TrainingData(train, held, collection.root, packs, session.split.sha256, attributes, sets, regions)
    pixels = "{} x {}".format(*sides(side, training.aspect, checkpoint.side))
    progress.message(f"Base: {printable(checkpoint.ref.name)}, {pixels} px; {len(train)} images")
    progress.message(f"Samples during training: {folder.with_name(folder.name + '.training') / 'samples'}")
    train_lora(data, checkpoint, training, folder, monitor or no_monitor, _TrainingPhases(progress), clock, curves)
    session.ledger.add_adapter(collection, folder)
    remember_base(session, folder, str(settings.base))


def _aspect(session: Session, settings: AdaptSettings, checkpoint: Checkpoint, side: int) -> float:
    """Width over height of the middle training image; 1 where that makes a square of the model's sides too.

    All images are stretched to it, as `fill` stretches what it generates to the sizes that images have.
    """
    from balancer.generators.aspect import sides
    from balancer.generators.models.licence import is_from_scratch

    if settings.aspect_ratio == SQUARE or (settings.aspect_ratio is None and is_from_scratch(checkpoint)):
        return 1.0
    images = session.collection.images.loc[session.split.paths("train")]
    found = round(float((images["width"] / images["height"]).median()), 4)
    width, height = sides(side, found, checkpoint.side)
    return 1.0 if width == height else found


def _regions(
    file: Path, collection: Collection, train: Iterable[str], progress: Progress
) -> dict[str, Sequence[Region]]:
    """Where findings are in the training images.

    Raises:
        TableError: the regions cannot be used.
    """
    from balancer.collection.regions import read_regions

    found = read_regions(file, collection)
    known = {path: some for path in train if (some := found.of(path))}
    progress.message(f"Regions: {found.summary}; half of the loss of {len(known)} training images is of them.")
    return dict(known)


def _require_licence(
    session: Session,
    checkpoint: Checkpoint,
    settings: AdaptSettings,
    accept: Callable[[str], bool],
    progress: Progress,
) -> None:
    """Show the base's licence and have it accepted, once for these weights."""
    from balancer.generators.models.licence import find_licence, is_from_scratch

    name, licence = printable(checkpoint.ref.name), find_licence(checkpoint)
    if is_from_scratch(checkpoint):
        progress.message(f"Licence of {name}: the terms of its training images; balance trained it from scratch.")
        return
    if not licence.is_stated:
        progress.message(f"Licence of {name}: not stated in its folder. Find out whether you may use the model.")
        return
    accepted = session.ledger.setting(session.collection, ACCEPTED) or {}
    progress.message(f"Licence of {name}: {printable(licence.name)} ({printable(licence.where)})")
    if accepted.get(checkpoint.ref.sha256) == licence.name:
        return
    if not (settings.accept_licence or accept(name)):
        raise ModelError(
            needed=f"that you accept the licence of {name}: {printable(licence.name)}",
            found="no --accept-licence",
            next_step="read it, then add --accept-licence; this is remembered",
        )
    session.ledger.save_setting(session.collection, ACCEPTED, {**accepted, checkpoint.ref.sha256: licence.name})


class _TrainingPhases(Phases):
    """The phases of a training; some notes at their start or end are messages, after which a task begins anew."""

    def __call__(self, phase: str, done: int, total: int, note: str = "") -> None:
        """Show where the phase of this name stands, or its note."""
        if note and (done == 0 or (done == total and phase in ("images", "samples"))):
            self._progress.message(note)
            self._phase = ""
        else:
            super().__call__(phase.capitalize(), done, total, note)
