"""One training from scratch: what its phases share, and how each of them starts, learns and reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from balancer.adapting.common import train_loop
from balancer.adapting.common.clock import Clock
from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.logger import Curves, no_curves
from balancer.adapting.common.rng import generator
from balancer.adapting.common.training_classes import Findings, balancing_classes, shown_labels
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.start import SLOWER
from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.errors import ModelError
from balancer.prompting.packs import Packs

AUTOENCODER, DENOISER = "autoencoder", "denoiser"

Progress = Callable[[str, int, int, str], None]
"""Called with the phase, what is done of it, its total (an estimate where time is counted), and a message."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all phases of one training need.

    `work` is the folder of its unfinished work, `attributes` what is known of images, by path, `findings` those of
    label sets.
    """

    samples: Sequence[Sample]
    packs: Packs
    settings: ScratchSettings
    work: Path
    machine: TrainingDevice
    progress: Progress
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    findings: Findings = field(default_factory=dict)
    curves: Curves = no_curves
    devices: Sequence[TrainingDevice] = ()

    def known(self, sample: Sample) -> Attributes:
        """What a table of patients tells of a sample."""
        return self.attributes.get(sample.path, Attributes())

    def balanced_by(self, samples: Sequence[Sample]) -> list[str]:
        """The class that each sample is drawn as."""
        return balancing_classes([sample.label for sample in samples], self.findings)

    @property
    def shown(self) -> Packs:
        """The packs of the labels whose samples are shown."""
        shown = shown_labels([sample.label for sample in self.samples], self.findings)
        return {label: self.packs[label] for label in shown}

    def time_for(self, share: float) -> float:
        """Seconds on the clock at which a share of the time that is left is over; never, where steps are counted."""
        if self.settings.total_minutes is None:
            return math.inf
        now = self.clock.seconds()
        return now + share * (60 * self.settings.total_minutes - now)

    def limit(self, phase: str, spent: float = 0.0, ending: float = 0.0) -> train_loop.Budget:
        """The phase's part of the steps; or of the time on the clock, of which it has `spent` some seconds already.

        `ending` are the seconds to leave for what comes after the last phase.
        """
        first = phase == AUTOENCODER
        if self.settings.total_minutes is not None:
            left = 60 * self.settings.total_minutes - ending - self.clock.seconds() + spent
            return train_loop.Budget(None, max(0.0, left) * (self.settings.autoencoder_share if first else 1))
        own = self.settings.autoencoder_steps or 0
        return train_loop.Budget(own if first else (self.settings.steps or 0) - own, None)


def helping(settings: ScratchSettings, machine: TrainingDevice) -> Run:
    """What another process knows of a training: no image, no folder."""
    return Run((), {}, settings, Path(), machine, lambda *_: None)


def new_networks(run: Run, phase: str, builders: Mapping[str, Callable[[], Any]]) -> nn.ModuleDict:
    """Networks on the run's device, their first weights drawn from its seed; torch's own generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(run.settings.seed, f"{phase} weights", 0).initial_seed())
        networks = nn.ModuleDict({name: build() for name, build in builders.items()})
    run.machine.place(networks.train())
    return networks


def new_trainer(
    run: Run,
    phase: str,
    networks: nn.ModuleDict,
    draw: Callable[[int], train_loop.Batch],
    loss: Callable[..., Tensor],
) -> train_loop.Trainer:
    """A learner with the phase's own settings."""
    first = phase == AUTOENCODER
    rate = run.settings.autoencoder_learning_rate if first else run.settings.learning_rate
    rate = rate / SLOWER if run.settings.slower else rate
    learner = train_loop.Trainer(networks, draw, loss, rate, run.settings.average_decay)
    learner.ahead = run.machine.device.type == "cuda"
    return learner


def learn(
    run: Run,
    phase: str,
    learner: train_loop.Trainer,
    look: Callable[[train_loop.TrainState], None] = lambda _: None,
    ending: float = 0.0,
) -> train_loop.TrainState:
    """Learn a phase to its end, reporting every step; `look` sees each step before it is reported.

    `ending` are seconds to leave for what comes afterwards.

    Raises:
        ModelError: the loss is no number any more.
    """

    def watch(done: train_loop.TrainState) -> None:
        look(done)
        total = max(done.step, round(done.step / max(done.fraction, 1e-9)))
        run.progress(phase, done.step, total, f"loss {done.loss:.4f}")
        run.curves(phase, done.step, done.figures)

    every, states = run.settings.checkpoint_every_seconds, run.work / phase
    done = train_loop.resume(learner, states)
    run.clock.go_on(done.clock)
    if done.step:
        run.curves(phase, done.step, done.figures)  # again: a kill may have come between its state and its row
    try:
        return train_loop.learn(learner, run.limit(phase, done.seconds, ending), states, every, watch, done, run.clock)
    except ArithmeticError as exc:
        raise ModelError(
            needed=f"a finite loss while the {phase} is trained",
            found=str(exc),
            next_step="use half the learning rate and another --name",
        ) from exc
