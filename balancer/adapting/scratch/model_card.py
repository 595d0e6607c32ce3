"""What a checkpoint says of itself: a card for machines and a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from balancer.adapting.common.model_card import class_table, escaped, on_several, trained_on, weight_hashes
from balancer.adapting.common.training_classes import Findings
from balancer.adapting.scratch.pool import Pretrained
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.collection.scan import Sample
from balancer.text import many


def statement(
    counts: Mapping[str, int], size: int, factor: int, reduction: float = 1.0, images: int | None = None
) -> str:
    """What everybody must know of a checkpoint trained from scratch.

    `factor` is the pixels that a latent cell covers, `reduction` the original pixels for one of the picture's,
    `images` how many there are, where one may count for several findings.

    >>> print(statement({"nodule": 2, "normal": 9}, size=64, factor=4, reduction=3.5)[:63])
    Trained only on your 11 images (2 of nodule, 9 of normal). It h
    """
    classes = ", ".join(f"{count} of {label}" for label, count in counts.items())
    pixels = f"{factor} px of its {size} x {size} images"
    cell = f"{factor} px" if reduction <= 1 else f"{round(factor * reduction)} px of your originals ({pixels})"
    return (
        f"Trained only on your {images or sum(counts.values())} images ({classes}). It has no other knowledge. "
        f"Findings smaller than {cell} cannot be generated, and copies are likely. "
        "It is a baseline, and does not replace a large adapted base."
    )


def make_card(
    samples: Sequence[Sample],
    settings: ScratchSettings,
    reduction: float,
    device: str,
    training: Mapping[str, Any],
    folder: Path,
    findings: Findings,
) -> dict[str, Any]:
    """The card of the pipeline in `folder`: what it was trained on, how, and its weights by their hashes."""
    facts = trained_on(samples, findings)
    return {
        "kind": "checkpoint",
        "method": "from scratch",
        "statement": statement(facts["classes"], settings.size, settings.factor, reduction, len(samples)),
        **facts,
        "size": settings.size,
        "pixels_per_latent_cell": settings.factor,
        "original_pixels_per_pixel": round(reduction, 3),
        "settings": settings.to_json(),
        "training": dict(training),
        "device": device,
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "weights_sha256": weight_hashes(folder),
    }


def first_elsewhere(said: str, count: int) -> str:
    """A checkpoint's statement where it, or the one that it began with, learned from so many other images first.

    >>> first_elsewhere("Trained only on your 9 images. It has no other knowledge.", 100)
    'Trained first on 100 unlabelled radiographs of another folder, then on your 9 images. It has no other knowledge.'
    """
    own = said.removeprefix("Trained only on")
    return f"Trained first on {many(count, 'unlabelled radiograph')} of another folder, then on{own}"


def after_pretraining(card: Mapping[str, Any], pretrained: Pretrained) -> dict[str, Any]:
    """The card of a training that went on from a pretraining, whose files are known by their hashes alone."""
    count = len(pretrained.hashes)
    return {
        **card,
        "statement": first_elsewhere(card["statement"], count),
        "pretrained": {"images": count, "left_out": dict(pretrained.left_out)},
        "training": {**pretrained.training, **card["training"]},
        "training_files": {sha256: sha256 for sha256 in pretrained.hashes} | card["training_files"],
    }


def page(card: Mapping[str, Any]) -> str:
    """The page for people, Markdown."""
    training = ", ".join(f"{name} {part['steps']} steps" for name, part in card["training"].items())
    minutes = sum(part["seconds"] for part in card["training"].values()) / 60
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    learned = card["training"].get("denoiser", {}).get("images", card["images"])
    short = f" Time was short: the denoiser was trained on {learned} of them." if learned < card["images"] else ""
    return f"""# A small Stable Diffusion, trained from scratch

{escaped(card["statement"])}{short}

{class_table(card)}

Images are {card["size"]} x {card["size"]} pixels, grey. Classes were sampled by the square root of their size; nothing
was mirrored. Training: {training}, {minutes:.0f} minutes on {card["device"]}{on_several(card)}; {versions}.
`losses.csv` has the loss and the learning rate of every step.
`card.json` holds the settings, the hash of every training file and of every weight file; `samples.png` shows what the
checkpoint generates, a row for each class.

```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("FOLDER", use_safetensors=True, local_files_only=True)
image = pipeline("PROMPT", guidance_scale=1).images[0]  # without guidance, as in fill
```
"""
