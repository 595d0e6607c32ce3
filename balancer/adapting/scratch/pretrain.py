"""Learning from a pool of unlabelled radiographs before the collection: a checkpoint that the training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.logger import Curves, no_curves, to_all
from balancer.adapting.common.loss_table import LOSSES, LossTable
from balancer.adapting.common.run_dir import pretrained_folder, require_not_begun, work_folder
from balancer.adapting.scratch.phases import Progress
from balancer.adapting.scratch.pool import SHARE, Pool, Pretrained, general
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.train import train_from_scratch
from balancer.generators.models.model_card import read_card
from balancer.prompting.packs import Packs

_QUIET = ("images", "samples")
"""Phases of which nothing is said: they speak of classes, and a pool has none."""


def pretrain(
    pool: Pool,
    packs: Packs,
    settings: ScratchSettings,
    folder: Path,
    clock: Clock,
    progress: Progress = lambda *_: None,
    curves: Curves = no_curves,
) -> tuple[ScratchSettings, Pretrained]:
    """Train on a pool with its share of the time; gives the settings of the training that goes on, and from what.

    Stopped, it goes on as `train_from_scratch` does. Where `folder`, the whole training's, is there already, nothing is
    learned.

    Raises:
        ModelError: the folder of the pretraining holds that of other images or settings.
    """
    own = pretrained_folder(folder)
    first, second = _in_two(settings)
    made = Pretrained(own, tuple(sample.sha256 for sample in pool.samples), pool.left_out)
    if folder.exists():
        return second, made
    require_not_begun(folder)

    def say(phase: str, done: int, total: int, note: str) -> None:
        if phase not in _QUIET:
            progress(f"pretraining {phase}", done, total, note)

    work = work_folder(folder)
    work.mkdir(parents=True, exist_ok=True)
    every = to_all(LossTable(work / LOSSES).log, curves)  # the table that the training goes on with

    def draw(phase: str, step: int, values: Mapping[str, float]) -> None:
        every(f"pretraining {phase}", step, values)

    earlier = own.exists()
    train_from_scratch(
        pool.samples, pool.root, general(packs), first, own, "", say, clock=clock, curves=draw, pictures=pool.pictures
    )
    training = read_card(own)["training"]
    if earlier:  # else this sitting has counted it
        clock.go_on(training["denoiser"]["clock"])
    facts = {f"pretraining_{phase}": facts for phase, facts in training.items()}
    return replace(second, start=str(own)), replace(made, training=facts)


def _in_two(settings: ScratchSettings) -> tuple[ScratchSettings, ScratchSettings]:
    """The settings of the pretraining and of what follows it; minutes are counted on one clock."""
    second = replace(settings, pretrain_share=SHARE)
    if settings.total_minutes is not None:
        return replace(settings, minutes=SHARE * settings.total_minutes), second
    steps = settings.steps or 0
    first = max(2, round(SHARE * steps))
    return replace(settings, steps=first), replace(second, steps=max(2, steps - first))
