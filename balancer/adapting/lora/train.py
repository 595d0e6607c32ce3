"""Adapt a large base to the training part alone: caches, learning under watch, the best checkpoint, its card."""

from __future__ import annotations

import gc
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch

from balancer.adapting.common.class_mixing import common_classes
from balancer.adapting.common.clock import Clock
from balancer.adapting.common.data_parallel import devices_of, processes, team_of
from balancer.adapting.common.device import find_machine
from balancer.adapting.common.energy import EnergyMeter
from balancer.adapting.common.logger import Curves, no_curves, to_all
from balancer.adapting.common.loss_table import LOSSES, LossTable
from balancer.adapting.common.model_card import write_card
from balancer.adapting.common.monitor import TrainingMonitor, no_monitor
from balancer.adapting.common.oom import memory_explained, no_room
from balancer.adapting.common.run_dir import begin, clear_away, is_finished, work_folder
from balancer.adapting.common.train_state import to_json, whole_folder
from balancer.adapting.common.training_classes import left_out
from balancer.adapting.lora import model_card
from balancer.adapting.lora.base_model import adapting_device, require_teachable
from balancer.adapting.lora.captions import MOST_TEXTS
from balancer.adapting.lora.data import TrainingData
from balancer.adapting.lora.effect_check import measure_effect, require_effect
from balancer.adapting.lora.evaluations import Evaluation, EvaluationLog, best_evaluation
from balancer.adapting.lora.layers import save_layers
from balancer.adapting.lora.settings import MACHINE_FIELDS, LoraSettings
from balancer.adapting.lora.trainer import (
    SAMPLES,
    STATES,
    LoraTrainer,
    helper,
    load_model,
    make_caption_sets,
    prepare,
    sheet_name,
)
from balancer.adapting.scratch import captions
from balancer.adapting.scratch.phases import Progress
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.tokens import require_texts_fit
from balancer.generators.sampling import SamplingOptions

_MOST_TEXTS = {True: MOST_TEXTS, False: 512}  # what large text encoders make of one takes 1 to 3 MB


def train_lora(
    material: TrainingData,
    checkpoint: Checkpoint,
    settings: LoraSettings,
    folder: Path,
    monitor: TrainingMonitor = no_monitor,
    progress: Progress = lambda *_: None,
    clock: Clock | None = None,
    curves: Curves = no_curves,
) -> Path:
    """Adapt a base and save a LoRA adapter in diffusers' format as `folder`, which it gives back.

    The unfinished work lies in `<folder>.training`; run again with the same arguments it goes on there, and on a CPU
    a run of so many `steps` ends with the weights of one that was never stopped. A finished folder of the same
    arguments is left as it is. `minutes` are counted on the `clock`, which starts here unless it is given.

    Raises:
        CollectionError: there is nothing to learn from, or it changed since it was scanned.
        ImageError: a file cannot be read.
        ModelError: the base cannot be adapted, the folder holds another training, the adapter changes nothing.
        OutOfMemory: not even one image at a time fits on the device.
        PromptError: a class has no pack.
    """
    clock = clock or Clock()
    material, single = material.prepared()
    wanted = {sample.label for sample in material.train}
    packs = {label: pack for label, pack in sorted(material.packs.items()) if label in wanted}
    material = replace(material, packs=packs)
    require_teachable(checkpoint, settings)
    common = _common(material, settings)
    caption_sets = make_caption_sets(material, settings, _MOST_TEXTS[checkpoint.family.whole])
    require_texts_fit(checkpoint, caption_sets.texts, "captions")
    require_texts_fit(checkpoint, settings.validation_prompts, "a --validation-prompt", "shorten it")
    fingerprint = _fingerprint(material, checkpoint, settings)
    if not is_finished(folder, fingerprint):
        machine = adapting_device(find_machine(settings.device))
        devices = devices_of(machine, settings.device, settings.workers, settings.batch_size)
        begin(folder, fingerprint, STATES)
        work = work_folder(folder)
        for label in single:
            progress("samples", 1, 1, left_out(label))
        if common:
            told = f"{settings.prior_share:.0%} of each batch are of the common classes: {', '.join(common)}."
            progress("samples", 1, 1, told)
        meter = EnergyMeter(work / "cost.json", [each.device for each in devices], clock)
        model = load_model(material, caption_sets, checkpoint, settings, machine, work, progress)
        curves = to_all(LossTable(work / LOSSES).log, curves)
        lora_trainer = prepare(material, caption_sets, model, settings, work, progress, clock, curves)
        del model
        helping = partial(helper, checkpoint, settings, lora_trainer.weights is not None)
        explained = memory_explained(no_room, *lora_trainer.model.size)
        with explained, team_of(devices, helping) as team:
            facts = _learn(replace(lora_trainer, team=team), monitor, meter)
        del lora_trainer
        gc.collect()
        if machine.device.type == "cuda":
            torch.cuda.empty_cache()
        origin = {"fingerprint": fingerprint, "split_sha256": material.split_sha256, "left_out": single, **facts}
        origin |= {"common_classes": common} if common else {}
        _finish(material, checkpoint, settings, folder, machine.device, meter, progress, origin)
    clear_away(folder)
    return folder


def _learn(lora_trainer: LoraTrainer, monitor: TrainingMonitor, meter: EnergyMeter) -> dict[str, Any]:
    done, ended = lora_trainer.learn(monitor, meter)
    return {
        "training": {"steps": done.step, "seconds": round(done.seconds, 1), "loss": round(done.loss, 5)},
        "ended": ended,
        "used_up": lora_trainer.exhausted(done.step),
        "layers": {"numbers": lora_trainer.model.layers.count},
        "caption_variants": lora_trainer.caption_set.variants,
        "versions_of_an_image": lora_trainer.versions,
        "holdout_images": len(lora_trainer.judged),
        "images_with_regions": 0 if lora_trainer.weights is None else len(lora_trainer.weights.known),
        "prediction": lora_trainer.model.objective.prediction,
        **processes(lora_trainer.settings.workers, lora_trainer.settings.batch_size),
        "dtype": lora_trainer.model.config.dtype,
        **_size(lora_trainer.model.size, lora_trainer.settings.aspect),
    }


def _common(material: TrainingData, settings: LoraSettings) -> list[str]:
    """The classes that `prior_share` is of; none without it.

    Raises:
        ModelError: no class is larger than the others.
    """
    if settings.prior_share is None:
        return []
    sizes = Counter(material.class_of[sample.label] for sample in material.train)
    if found := common_classes(sizes):
        return found
    counts = ", ".join(f"{count} of {label}" for label, count in sizes.items())
    raise ModelError(
        needed="a class with more training images than the mean class, for --prior-share",
        found=f"none: {counts}",
        next_step="leave --prior-share out: balance adapt --base FOLDER",
    )


def _keep_sheets(folder: Path, evaluations: Sequence[Evaluation], kept: Path) -> None:
    """The sheets of samples of all evaluations; none is there of what version 0.1 began without any."""
    kept.mkdir()
    for name in (sheet_name(evaluation.step) for evaluation in evaluations):
        if (folder / name).exists():
            copyfile(folder / name, kept / name)


def _size(size: tuple[int, int], aspect: float) -> dict[str, Any]:
    """The pixels of a side; of images that are not square both sides, and the proportion that made them so."""
    return {"size": size[0]} if aspect == 1 else {"size": list(size), "aspect": aspect}


def _finish(
    material: TrainingData,
    checkpoint: Checkpoint,
    settings: LoraSettings,
    folder: Path,
    device: torch.device,
    meter: EnergyMeter,
    progress: Progress,
    facts: Mapping[str, Any],
) -> None:
    """Save the best look's weights, measure what they change, and only then let the folder appear."""
    import diffusers

    work = work_folder(folder)
    log = EvaluationLog(work / "looks")
    evaluations = log.read()
    best = best_evaluation(evaluations)
    with whole_folder(folder) as partial:
        file = save_layers(getattr(diffusers, checkpoint.pipeline), log.weights(best), partial)
        sampling = SamplingOptions(
            settings.sample_steps, size=settings.size, device=str(device), aspect=settings.aspect
        )
        change, picture = measure_effect(
            checkpoint,
            file,
            material.shown,
            sampling,
            settings.seed,
            lambda done, total: progress("comparing", done, total, ""),
        )
        require_effect(change, folder.name)
        (partial / "samples.png").write_bytes(picture)
        copyfile(work / LOSSES, partial / LOSSES)
        _keep_sheets(work / SAMPLES, evaluations, partial / SAMPLES)
        cost = meter.note()
        joules = cost["joules"]
        energy = (
            "unknown" if joules is None else f"{joules / 3600:.1f} Wh of the GPU{'s' if settings.workers > 1 else ''}"
        )
        known = {**facts, "device": _device_name(device), "cost": {"seconds": cost["seconds"], "energy": energy}}
        learned = material.train, material.findings
        write = model_card.make_card(checkpoint, *learned, settings, evaluations, best, change, partial, known)
        write_card(partial, write, model_card.page(write))
    progress("samples", 1, 1, verdict(evaluations, best, facts["ended"]))
    differs = f"{change.grey_levels:.1f} grey levels of 255 (latents: {change.latents:.2f} standard deviations)"
    progress("samples", 1, 1, f"The same {change.images} seeds with and without it differ by {differs}.")


def verdict(evaluations: Sequence[Evaluation], best: Evaluation, ended: str) -> str:
    """What is to be said of what was kept, in words."""
    kept = f"Kept: the averaged weights after step {best.step}; {ended}."
    if best.loss is None or evaluations[0].loss is None:
        return f"{kept} There is no generator holdout, so overfitting was not measured."
    if best.loss >= evaluations[0].loss:
        never = "Warning: the generator holdout loss never fell below that of the base"
        return f"{kept} {never}, {evaluations[0].loss:.4f} ({best.loss:.4f})."
    return f"{kept} Generator holdout loss {evaluations[0].loss:.4f} before, {best.loss:.4f} there."


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _fingerprint(material: TrainingData, checkpoint: Checkpoint, settings: LoraSettings) -> str:
    """The hash of all that decides what is learned."""
    kept = {name: value for name, value in settings.to_json().items() if name not in MACHINE_FIELDS}
    words = {label: [pack.name, *captions.texts({label: pack})] for label, pack in material.packs.items()}
    parts = [[(each.path, each.label, each.sha256) for each in part] for part in (material.train, material.holdout)]
    known = [material.known(part) for part in (material.train, material.holdout)]
    whole: list[Any] = [kept, words, parts, known, material.split_sha256, checkpoint.ref.sha256]
    if material.regions:  # without, as before there were any
        whole.append(sorted((path, [asdict(each) for each in some]) for path, some in material.regions.items()))
    return hashlib.sha256(to_json(whole).encode()).hexdigest()
