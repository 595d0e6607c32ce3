"""The speed of adapting: a step of `adapt --base` beside a bare one on the same shapes.

On a GPU with the shapes of Stable Diffusion 1.5 at 512 x 512 pixels and random weights, else with a small base.
Alone: `python -m tests.benchmarks.lora`.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.adapting.lora.settings import LoraSettings
from balancer.adapting.lora.trainer import LoraTrainer, make_caption_sets, prepare
from balancer.collection.regions import Region
from tests.benchmarks.ratio import Ratio
from tests.support.tiny_models import write_pipeline, write_xrays

STEPS = 20


def write_base(folder: Path, *, large: bool) -> Path:
    """A pipeline of random weights: Stable Diffusion 1.5's shapes, or 64 and 128 channels."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    write_pipeline(folder)
    if not large:
        config = UNet2DConditionModel.load_config(folder / "unet")
        with torch.random.fork_rng():
            UNet2DConditionModel.from_config({**config, "block_out_channels": (64, 128)}).save_pretrained(
                folder / "unet"
            )
        return folder
    pipe = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    pipe.unet = UNet2DConditionModel(cross_attention_dim=768)
    pipe.vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    words = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    pipe.text_encoder = CLIPTextModel(words)
    pipe.save_pretrained(folder, safe_serialization=True)
    return folder


def prepared(folder: Path, regions: Mapping[str, Sequence[Region]] = {}) -> LoraTrainer:
    """Everything cached, as after the first minutes of `adapt --base`."""
    from balancer.adapting.common.device import find_machine
    from balancer.adapting.lora.base_model import adapting_device, load_base
    from balancer.adapting.lora.data import TrainingData
    from balancer.collection.scan import Sample
    from balancer.files import sha256_of
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.prompting.packs import load_pack

    machine = adapting_device(find_machine("auto"))
    large = machine.device.type == "cuda"
    side = 512 if large else 32
    write_xrays(folder / "xrays", {"normal": 12, "nodule": 4}, size=(side, side))
    found = sorted((folder / "xrays").rglob("*.png"))
    samples = [Sample(path.relative_to(folder).as_posix(), path.parent.name, None, sha256_of(path)) for path in found]
    packs = dict.fromkeys(("normal", "nodule"), load_pack("chest"))
    material = TrainingData(samples, [], folder, packs, "", regions=regions)
    settings = LoraSettings(size=side, repetitions=100_000)
    base = find_checkpoint(str(write_base(folder / "base", large=large)))
    (folder / "work").mkdir()
    model = load_base(base, settings, machine)
    return prepare(material, make_caption_sets(material, settings), model, settings, folder / "work", lambda *_: None)


def bare_step(lora_trainer: LoraTrainer) -> Callable[[], None]:
    """Forward, backward and optimiser on one batch that lies on the device, and nothing else."""
    import torch
    import torch.nn.functional as F

    clean, noise, times, words = lora_trainer.draw(0)
    model = lora_trainer.model
    optimizer = torch.optim.AdamW(model.layers.weights.parameters(), lr=1e-6, fused=True)
    clean = clean.to(getattr(torch, model.config.dtype))
    unet: Any = model.denoiser

    def step() -> None:
        with model.machine.autocast():
            predicted = unet(clean, times, encoder_hidden_states=words, return_dict=False)[0]
        F.mse_loss(predicted.float(), noise).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def bench_lora(steps: int = STEPS) -> Ratio:
    """How fast a whole step is, of a bare one's speed; the two are timed in turns."""
    import torch

    with tempfile.TemporaryDirectory() as place:
        lora_trainer = prepared(Path(place))
        learner, bare, device = lora_trainer.learner(), bare_step(lora_trainer), lora_trainer.model.machine.device

        def timed(work: Callable[[], object]) -> float:
            began = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - began

        pairs = [(timed(bare), timed(lambda step=step: learner.learn(step, 1e-6))) for step in range(steps + 3)][3:]
    plain, whole = (statistics.median(each) for each in zip(*pairs, strict=True))
    what = "Stable Diffusion 1.5's shapes at 512 px" if device.type == "cuda" else "a small base at 32 px"
    note = f"{lora_trainer.settings.batch_size / whole:.1f} images a second"
    return Ratio(
        "a step of `adapt --base`", plain / whole, "at least", 0.9, f"a bare step on {device.type}, {what}", note
    )


if __name__ == "__main__":
    print(bench_lora())
