"""One training of new layers: what a step learns from, and what is looked at on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from balancer.adapting.common import rng, train_loop
from balancer.adapting.common.clock import Clock
from balancer.adapting.common.data_parallel import Team
from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.energy import EnergyMeter
from balancer.adapting.common.logger import Curves, no_curves
from balancer.adapting.common.loss_table import HOLDOUT
from balancer.adapting.common.monitor import Observation, TrainingMonitor, TrainingSet
from balancer.adapting.common.oom import memory_explained, no_room
from balancer.adapting.common.train_state import state_folder
from balancer.adapting.lora.base_model import LoraModel, load_base
from balancer.adapting.lora.batch_sampler import CappedSqrtSampler
from balancer.adapting.lora.caption_cache import CaptionRows, cache_captions, cached_captions
from balancer.adapting.lora.captions import MOST_TEXTS, CaptionSet, embedded, make_caption_set
from balancer.adapting.lora.data import TrainingData
from balancer.adapting.lora.effect_check import (
    columns_of_effect,
    draw_rows,
    own_jobs,
    own_prompts,
    sample_jobs,
    sample_prompts,
    sheet,
)
from balancer.adapting.lora.evaluations import Evaluation, EvaluationLog, early_stop_reason
from balancer.adapting.lora.holdout_loss import HoldoutLoss, image_losses, stratified_subset, summarised
from balancer.adapting.lora.latents import Encoder, Latents, cached_latents
from balancer.adapting.lora.region_weights import RegionWeights, region_weights
from balancer.adapting.lora.settings import LoraSettings
from balancer.adapting.scratch.phases import Progress
from balancer.collection.scan import Sample
from balancer.errors import ModelError
from balancer.files import write_whole
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.memory import require_memory
from balancer.imaging.decode import GreyImage
from balancer.prompting.packs import Packs

STATES, SAMPLES = "adapter", "samples"
_CAPTIONS = "captions"
_WATCHED_CLASSES = 16


@dataclass(frozen=True, slots=True)
class LoraTrainer:
    """All that one training needs. Image i of the book is training image i, and then come the `judged` ones."""

    material: TrainingData
    caption_set: CaptionSet
    model: LoraModel
    settings: LoraSettings
    work: Path
    progress: Progress
    sampler: CappedSqrtSampler
    latents: Latents
    judged: Sequence[Sample]
    held: Latents | None
    words: tuple[Tensor | CaptionRows, ...]
    clock: Clock = field(default_factory=Clock)
    curves: Curves = no_curves
    weights: RegionWeights | None = None
    team: Team | None = None

    @property
    def versions(self) -> int:
        """How many slightly moved versions of each image there are."""
        return self.latents.mean.shape[1]

    @property
    def log(self) -> EvaluationLog:
        """Where the looks are kept."""
        return EvaluationLog(self.work / "looks")

    def draw(self, step: int) -> train_loop.Batch:
        """The batch of a step, the same whenever it is asked."""
        images = self.sampler.draw(step)
        chance = rng.generator(self.settings.seed, "adapter", step)
        versions = torch.randint(self.versions, images.shape, generator=chance)
        variants = torch.randint(self.caption_set.variants, images.shape, generator=chance)
        clean = self.latents.sample(images, versions, chance)
        noise = torch.randn(clean.shape, generator=chance)
        times = rng.draw_timesteps(len(images), self.model.objective.levels, chance)
        condition = self._condition(images, variants, self.latents.sizes[images, versions])
        weights = () if self.weights is None else (self.weights.of(images, versions),)
        return self.model.machine.send(clean, noise, times, *condition, *weights)

    def loss(self, *batch: Tensor) -> Tensor:
        """The mean loss of a batch, or of a part of one."""
        return _mean_loss(self.model, batch, self.weights is not None)

    def exhausted(self, step: int) -> list[str]:
        """Classes whose images were all seen as often as they may be."""
        return self.sampler.exhausted(step)

    def learner(self) -> train_loop.Trainer:
        """The optimiser step, and the moving average of the weights."""
        made = train_loop.Trainer(
            self.model.layers.weights, self.draw, self.loss, self.settings.learning_rate, self.settings.average_decay
        )
        made.spare, made.ahead = self.model.save_memory, self.model.machine.device.type == "cuda"
        made.shared = None if self.team is None else self.team.gradients
        return made

    def learn(self, monitor: TrainingMonitor, meter: EnergyMeter) -> tuple[train_loop.TrainState, str]:
        """Learn to the end, or until the looks say stop; gives how far that is, and why it ended.

        Raises:
            OutOfMemory: not even one image at a time fits on the device.
            ModelError: the loss is no number any more.
        """
        learner, states = self.learner(), self.work / STATES
        done = train_loop.resume(learner, states)
        self.log.forget_after(done.step)
        evaluations = self.log.read()
        if done.step:
            self.curves("adapter", done.step, done.figures)  # again: a kill may have come between state and row

        def look_if_due(now: train_loop.TrainState) -> bool:
            if self._is_due(evaluations, now):
                with self.model.layers.replaced(learner.average):
                    evaluations.append(self._evaluate(now, monitor))
                self.log.write(evaluations[-1], learner.average.state_dict())
                if now.step and not state_folder(states, now.step).exists():
                    train_loop.keep(learner, states, now)
                meter.note()
            return bool(early_stop_reason(evaluations, self.settings.patience))

        def each(now: train_loop.TrainState) -> bool:
            self._report(now)
            return look_if_due(now)

        with self._explained():
            if not look_if_due(done):
                limit, every = self._limit(done, evaluations), self.settings.checkpoint_every_seconds
                done = train_loop.learn(learner, limit, states, every, each, done, self.clock)
        ended = early_stop_reason(evaluations, self.settings.patience)
        return done, f"stopped: {ended}" if ended else self._reason_for_end(done)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with memory_explained(no_room, *self.model.size):
                yield
        except ArithmeticError as error:
            raise ModelError(
                needed="a finite loss during training",
                found=str(error),
                next_step="check the base's weights (balance doctor --model FOLDER), or adapt another base",
            ) from error

    def _reason_for_end(self, done: train_loop.TrainState) -> str:
        if done.step >= self.sampler.steps:
            return f"every image was seen {self.settings.repetitions} times, the limit"
        return "the requested training is complete"

    def _limit(self, done: train_loop.TrainState, evaluations: Sequence[Evaluation]) -> train_loop.Budget:
        """The steps; or what is left of the time on the clock, without what comes after learning."""
        minutes, asked = self.settings.total_minutes, self.settings.steps
        most = self.sampler.steps
        if minutes is None:
            return train_loop.Budget(most if asked is None else min(asked, most), None)
        left = 60 * minutes - self.clock.seconds()
        ending = min(
            left / 2, max((evaluation.seconds for evaluation in evaluations), default=0.0) * self._looks_at_the_end()
        )
        return train_loop.Budget(most, max(0.0, left - ending + done.seconds))

    def _looks_at_the_end(self) -> float:
        """How many looks what comes after learning takes: the last one, and the same seeds with and without."""
        classes, settings = len(self.material.shown), self.settings
        drawn = 2 * classes * columns_of_effect(classes) * settings.sample_steps
        rows = min(classes, _WATCHED_CLASSES) + len(settings.validation_prompts)
        return 1 + drawn / (rows * settings.look_columns * settings.look_steps)

    def _report(self, done: train_loop.TrainState) -> None:
        total = max(done.step, round(done.step / max(done.fraction, 1e-9)))
        self.progress("adapter", done.step, total, f"loss {done.loss:.4f}")
        self.curves("adapter", done.step, done.figures)

    def _is_due(self, evaluations: Sequence[Evaluation], done: train_loop.TrainState) -> bool:
        """Whether another part of the training is done, or all of it."""
        if not evaluations or (done.fraction >= 1 and evaluations[-1].step < done.step):
            return True
        return self._number(done) > evaluations[-1].number

    def _number(self, done: train_loop.TrainState) -> int:
        return int(done.fraction / self.settings.look_every + 1e-9)

    def _evaluate(self, done: train_loop.TrainState, monitor: TrainingMonitor) -> Evaluation:
        began = self.clock.seconds()
        self.model.generator.forget()
        judged = self._judge()
        rows = self._samples(done.step)
        said = monitor(rows, self._seen()) if done.step else Observation()
        loss, classes = (None, {}) if judged is None else (judged.loss, judged.to_json()["classes"])
        took = self.clock.seconds() - began
        evaluation = Evaluation(self._number(done), done.step, loss, classes, said.figures, said.notes, said.stop, took)
        if loss is not None:
            of_classes = {f"{HOLDOUT}: {label}": each["loss"] for label, each in classes.items()}
            self.curves("adapter", done.step, {HOLDOUT: loss, **of_classes, **said.figures})
        for line in _lines(evaluation):
            self.progress("samples", 1, 1, line)
        return evaluation

    def _judge(self) -> HoldoutLoss | None:
        if self.held is None:
            return None
        sizes, first = self.held.sizes[:, 0], len(self.material.train)

        def condition(images: Tensor) -> tuple[Tensor, ...]:
            return self._condition(first + images, torch.zeros_like(images), sizes[images])

        losses = image_losses(self.model, self.held, condition, self.settings.seed)
        class_of = self.material.class_of
        return summarised(losses, [class_of[sample.label] for sample in self.judged], self.sampler.shares)

    def _samples(self, step: int) -> Mapping[str, Sequence[GreyImage]]:
        packs, usual = _watched(self.material), (self.model.config, self.settings.look_columns, self.settings.seed)
        rows = draw_rows(self.model.generator, sample_jobs(packs, *usual))
        own = own_jobs(own_prompts(self.settings.validation_prompts, packs), *usual)
        write_whole(self.work / SAMPLES / sheet_name(step), sheet({**rows, **draw_rows(self.model.generator, own)}))
        return rows

    def _seen(self) -> TrainingSet:
        train = self.material.train
        groups = [sample.patient or sample.path for sample in train]
        return TrainingSet(self.latents.thumbnails.numpy(), [sample.label for sample in train], groups)

    def _condition(self, images: Tensor, variants: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        texts = self.caption_set.chosen[variants, images]
        words = tuple(each[texts] for each in self.words)
        return (*words, sizes.float()) if len(self.model.readers.encoders) == 2 else words


def sheet_name(step: int) -> str:
    """The file with samples after so many steps.

    >>> sheet_name(120)
    '000120.png'
    """
    return f"{step:06d}.png"


def helper(
    checkpoint: Checkpoint, settings: LoraSettings, weighted: bool, machine: TrainingDevice
) -> train_loop.Trainer:
    """What another process needs for its part of a batch: the same layers in the same base.

    `weighted`: the last tensor of a batch says how much each cell counts.
    """
    model = load_base(checkpoint, settings, machine)

    def loss(*batch: Tensor) -> Tensor:
        return _mean_loss(model, batch, weighted)

    made = train_loop.Trainer(model.layers.weights, lambda step: (), loss, settings.learning_rate, 0.0)
    made.spare = model.save_memory
    return made


def _mean_loss(model: LoraModel, batch: train_loop.Batch, weighted: bool) -> Tensor:
    if not weighted:
        return model.losses(*batch).mean()
    return model.losses(*batch[:-1], weights=batch[-1]).mean()


def make_caption_sets(material: TrainingData, settings: LoraSettings, most: int = MOST_TEXTS) -> CaptionSet:
    """The captions of the training images, about `most`, and one for each holdout image that is judged."""
    train, judged, packs = material.train, judged_of(material), material.packs
    caption_set = make_caption_set(packs, train, material.known(train), settings.seed, settings.caption_dropout, most)
    return (
        caption_set.joined(make_caption_set(packs, judged, material.known(judged), settings.seed, None))
        if judged
        else caption_set
    )


def judged_of(material: TrainingData) -> list[Sample]:
    """The holdout images that are judged at each look."""
    class_of = material.class_of
    places = stratified_subset([class_of[sample.label] for sample in material.holdout])
    return [material.holdout[place] for place in places]


def load_model(
    material: TrainingData,
    caption_set: CaptionSet,
    checkpoint: Checkpoint,
    settings: LoraSettings,
    machine: TrainingDevice,
    work: Path,
    progress: Progress,
) -> LoraModel:
    """The base with new layers; before it, what text encoders that do not stay in memory make of the captions.

    Raises:
        ModelError: it cannot be loaded, or cannot be taught this way.
    """
    require_memory(checkpoint, "bfloat16" if machine.bfloat16 else "float32", str(machine.device))
    if not checkpoint.family.whole:
        unwanted = {pack.negative for pack in material.packs.values()}
        texts = [(text, text in unwanted) for text in caption_set.texts]
        cache_captions(checkpoint, texts, machine, work / _CAPTIONS, _shown(progress, "captions"))
    shown = _watched(material)
    prompts = [each for some in sample_prompts(shown, settings.look_columns, settings.seed).values() for each in some]
    return load_base(checkpoint, settings, machine, [*prompts, *own_prompts(settings.validation_prompts, shown)])


def prepare(
    material: TrainingData,
    caption_set: CaptionSet,
    model: LoraModel,
    settings: LoraSettings,
    work: Path,
    progress: Progress,
    clock: Clock | None = None,
    curves: Curves = no_curves,
) -> LoraTrainer:
    """Fill the caches: latents of all images, and what the text encoders make of their captions."""
    encoder = Encoder(model.generator.pipe.vae, model.machine.device, model.size)
    train, judged = material.train, judged_of(material)
    versions = encoder.fitting_versions(len(train), settings.augmentations, _cells(model))

    def cache(samples: Sequence[Sample], name: str, count: int) -> Latents:
        def show(done: int, total: int) -> None:
            progress(name, done, total, "")

        return cached_latents(samples, material.root, encoder, count, settings.seed, work / name, show)

    latents = cache(train, "latents", versions)
    held = cache(judged, "holdout", 1) if judged else None
    class_of = material.class_of
    labels = [class_of[sample.label] for sample in train]
    sampler = CappedSqrtSampler(labels, settings.batch_size, settings.repetitions, settings.seed, settings.prior_share)
    words = _words(caption_set, model, work, progress)
    clock = clock or Clock()
    weights = region_weights(train, material.regions, encoder.size, latents.mean.shape, settings.seed)
    return LoraTrainer(
        *(material, caption_set, model, settings, work, progress, sampler, latents, judged, held, words, clock, curves),
        weights,
    )


def _words(
    caption_set: CaptionSet, model: LoraModel, work: Path, progress: Progress
) -> tuple[Tensor | CaptionRows, ...]:
    """What belongs to each text of the book: the output of the text encoders, or tokens where these learn."""
    if not model.family.whole:
        return cached_captions(work / _CAPTIONS)
    if model.learns_words:
        return model.readers.tokens(caption_set.texts)
    path, device = work / f"{_CAPTIONS}.safetensors", model.machine.device
    return embedded(model.readers, caption_set.texts, device, path, _shown(progress, "captions"))


def _shown(progress: Progress, phase: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(phase, done, total, "")


def _watched(material: TrainingData) -> Packs:
    """The packs of the classes that are looked at during training."""
    return dict(list(material.shown.items())[:_WATCHED_CLASSES])


def _cells(model: LoraModel) -> int:
    """How many numbers one latent has: channels x height x width."""
    factor = model.generator.pipe.vae_scale_factor
    channels: Any = model.generator.pipe.vae.config.latent_channels
    return int(channels * (model.size[0] // factor) * (model.size[1] // factor))


def _lines(evaluation: Evaluation) -> list[str]:
    """What a look says to people."""
    if evaluation.loss is None:
        return [f"Step {evaluation.step}: {note}" for note in evaluation.notes]
    classes = [
        f"{label} {each['loss']:.4f}"
        + (f" [{each['low']:.4f}, {each['high']:.4f}]" if each["low"] is not None else f" ({each['images']} images)")
        for label, each in evaluation.classes.items()
    ]
    first = f"Step {evaluation.step}: generator holdout loss {evaluation.loss:.4f} ({'; '.join(classes)})"
    return [first, *(f"Step {evaluation.step}: {note}" for note in evaluation.notes)]
