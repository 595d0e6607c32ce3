"""Train a small Stable Diffusion on the training part alone: autoencoder, latents, denoiser, pipeline folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.data_parallel import devices_of, processes
from balancer.adapting.common.device import find_machine
from balancer.adapting.common.image_tensors import ImageTensors, read_image_tensors
from balancer.adapting.common.logger import Curves, no_curves, to_all
from balancer.adapting.common.loss_table import LOSSES, LossTable
from balancer.adapting.common.model_card import write_card
from balancer.adapting.common.oom import memory_explained, no_room_from_scratch
from balancer.adapting.common.run_dir import begin, clear_away, is_finished, work_folder
from balancer.adapting.common.train_loop import TrainState
from balancer.adapting.common.train_state import to_json, whole_folder
from balancer.adapting.common.training_classes import Findings, class_counts, left_out, without_singles
from balancer.adapting.scratch import captions, model_card
from balancer.adapting.scratch.autoencoder import scaled_latents, train_autoencoder
from balancer.adapting.scratch.denoiser import train_denoiser
from balancer.adapting.scratch.networks import build_pipeline
from balancer.adapting.scratch.phases import AUTOENCODER, DENOISER, Progress, Run
from balancer.adapting.scratch.pool import Pretrained
from balancer.adapting.scratch.settings import MACHINE_FIELDS, ScratchSettings
from balancer.adapting.scratch.start import facts_of
from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.files import write_whole
from balancer.prompting.packs import Packs, TemplatePack


def train_from_scratch(
    samples: Sequence[Sample],
    root: Path,
    pack: TemplatePack | Mapping[str, TemplatePack],
    settings: ScratchSettings,
    folder: Path,
    split_sha256: str,
    progress: Progress = lambda *_: None,
    attributes: Mapping[str, Attributes] | None = None,
    clock: Clock | None = None,
    findings: Findings | None = None,
    curves: Curves = no_curves,
    pretrained: Pretrained | None = None,
    pictures: ImageTensors | None = None,
) -> Path:
    """Train on `samples` under `root` and save a `StableDiffusionPipeline` as `folder`, which it gives back.

    `pack` words all labels, or maps each label to its own pack; `attributes` are what is known of images, by path, and
    their captions say so. `findings` are those of label sets, by which images are balanced then.
    The unfinished work lies in `<folder>.training`; run again with the same arguments it goes on there, and on a CPU
    a run of so many `steps` ends with the weights of one that was never stopped. A finished folder of the same
    arguments is left as it is.
    Classes of one image are left out, since only a copy could be learned from it. `minutes` are counted on the `clock`,
    which starts here unless it is given: reading, compiling, sample sheets and saving are in them.
    `pretrained` is what the training goes on from, by `pretrain`; `pictures` are those of the samples, by their paths,
    where they were read already.

    Raises:
        CollectionError: there is nothing to train on, or it changed since it was scanned.
        ImageError: a file cannot be read.
        ModelError: the folder holds another training, there is no such device, or the loss is no number any more.
        OutOfMemory: not even one image at a time fits on the device.
    """
    samples, single = without_singles(samples, findings)
    packs = {label: pack[label] if isinstance(pack, Mapping) else pack for label in class_counts(samples)}
    known = {path: each for path, each in (attributes or {}).items() if any(each)}
    known = {sample.path: known[sample.path] for sample in samples if sample.path in known}
    earlier = () if pretrained is None else pretrained.hashes
    fingerprint = _fingerprint(samples, packs, settings, split_sha256, known, earlier)
    if not is_finished(folder, fingerprint):
        machine = find_machine(settings.device)
        smallest = min(settings.batch_size, settings.autoencoder_batch_size)
        devices = devices_of(machine, settings.device, settings.workers, smallest)
        begin(folder, fingerprint, AUTOENCODER)
        work = work_folder(folder)
        curves = to_all(LossTable(work / LOSSES).log, curves)
        run = Run(
            *(samples, packs, settings, work, machine, progress, known),
            *(clock or Clock(), findings or {}, curves, devices),
        )
        for label in single:
            progress("samples", 1, 1, left_out(label))
        if settings.start is not None:
            facts_of(Path(settings.start))  # refused now, and not at the end
        origin = {"fingerprint": fingerprint, "split_sha256": split_sha256, "left_out": single}
        origin |= processes(settings.workers, settings.batch_size)
        with memory_explained(no_room_from_scratch, settings.size):
            _train(run, _read(run, root, len(earlier)) if pictures is None else pictures, folder, origin, pretrained)
    clear_away(folder)
    return folder


def _train(
    run: Run, pictures: ImageTensors, folder: Path, origin: Mapping[str, Any], pretrained: Pretrained | None
) -> None:
    tokenizer = _vocabulary(run)
    autoencoder, first = train_autoencoder(run, pictures)
    latents, places = scaled_latents(run, autoencoder, pictures)
    if len(places) < len(run.samples):
        run.progress(
            "latents", 0, 1, f"Time for {len(places)} of {len(run.samples)} images: the denoiser is trained on these."
        )
    samples = [run.samples[place] for place in places]
    denoiser, second = train_denoiser(run, autoencoder, tokenizer, latents, samples)
    training = {AUTOENCODER: _facts(first), DENOISER: {**_facts(second), "images": len(samples)}}
    with whole_folder(folder) as partial:
        _save_pipeline(_half_pipeline(autoencoder, denoiser, tokenizer), run, partial)
        made = model_card.make_card(
            run.samples, run.settings, pictures.reduction, run.machine.device.type, training, partial, run.findings
        )
        if pretrained is not None:
            made = model_card.after_pretraining(made, pretrained)
        elif run.settings.start is not None:
            earlier = facts_of(Path(run.settings.start))
            made |= {**earlier, "training_files": earlier["training_files"] | made["training_files"]}
            if "pretrained" in made:
                made["statement"] = model_card.first_elsewhere(made["statement"], made["pretrained"]["images"])
        card = {**made, **origin}
        write_card(partial, card, model_card.page(card))


def _read(run: Run, root: Path, before: int) -> ImageTensors:
    """All pictures; after the last the statement is said. So many others were learned from `before`."""
    counts, size, factor = class_counts(run.samples, run.findings), run.settings.size, run.settings.factor
    total = len(run.samples)
    run.progress("images", 0, total, "")
    pictures = read_image_tensors(run.samples, root, size, lambda n: run.progress("images", n, total, ""))
    said = model_card.statement(counts, size, factor, pictures.reduction, total)
    run.progress("images", total, total, model_card.first_elsewhere(said, before) if before else said)
    return pictures


def _facts(done: TrainState) -> dict[str, Any]:
    facts = {"steps": done.step, "seconds": round(done.seconds, 1), "loss": round(done.loss, 5)}
    return {**facts, "clock": round(done.clock, 1)}


def _fingerprint(
    samples: Sequence[Sample],
    packs: Packs,
    settings: ScratchSettings,
    split_sha256: str,
    known: Mapping[str, Attributes],
    earlier: Sequence[str],
) -> str:
    """The hash of all that decides what is learned."""
    kept = {name: value for name, value in settings.to_json().items() if name not in MACHINE_FIELDS}
    told = _distinct(known)
    words = {label: [pack.name, *captions.texts({label: pack}, told)] for label, pack in packs.items()}
    files = [(sample.path, sample.label, sample.sha256) for sample in samples]
    others = [*([known] if known else []), *([earlier] if earlier else [])]
    return hashlib.sha256(to_json([kept, words, files, split_sha256, *others]).encode()).hexdigest()


def _distinct(known: Mapping[str, Attributes]) -> list[Attributes]:
    return sorted(set(known.values()), key=str)


def _vocabulary(run: Run) -> Any:
    path = run.work / "vocabulary.json"
    if not path.exists():
        known = _distinct(run.attributes)
        vocabulary, merges = captions.train_vocabulary(run.packs, run.settings.vocabulary, known)
        write_whole(path, to_json({"vocabulary": vocabulary, "merges": merges}).encode())
    kept = json.loads(path.read_text(encoding="utf-8"))
    # a training that version 0.1 began may read fewer tokens, and goes on so
    length = kept.get("length", captions.MAX_TOKENS)
    return captions.build_tokenizer(kept["vocabulary"], [(a, b) for a, b in kept["merges"]], length)


def _half_pipeline(autoencoder: Any, denoiser: nn.ModuleDict, tokenizer: Any) -> Any:
    parts = autoencoder, denoiser["text_encoder"], denoiser["unet"]
    small, words, unet = (deepcopy(part).cpu().half() for part in parts)
    return build_pipeline(small, words, tokenizer, unet)


def _save_pipeline(pipeline: Any, run: Run, folder: Path) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # the caller shows its own
    pipeline.save_pretrained(folder, safe_serialization=True)
    captions.save_vocabulary(pipeline.tokenizer, folder / "tokenizer")
    # transformers would load what is half on disk as half, and diffusers as single: they must agree
    _edit(folder / "text_encoder" / "config.json", {"dtype": "float32"}, drop=())
    # diffusers writes what it warns of when it reads it, and works it out again itself
    _edit(folder / "vae" / "config.json", {}, drop=("block_out_channels",))
    if sheets := sorted((run.work / "samples").glob("*.png")):
        shutil.copyfile(sheets[-1], folder / "samples.png")
    shutil.copyfile(run.work / LOSSES, folder / LOSSES)


def _edit(path: Path, change: Mapping[str, Any], drop: Sequence[str]) -> None:
    fields = {**json.loads(path.read_text(encoding="utf-8")), **change}
    kept = {name: value for name, value in fields.items() if name not in drop}
    path.write_text(to_json(kept), encoding="utf-8")
