"""What an adapter says of itself: a card for machines and a page for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from balancer.adapting.common.model_card import class_table, escaped, on_several, trained_on, weight_hashes
from balancer.adapting.common.training_classes import Findings
from balancer.adapting.lora.effect_check import AdapterEffect
from balancer.adapting.lora.evaluations import Evaluation
from balancer.adapting.lora.settings import LoraSettings
from balancer.collection.scan import Sample
from balancer.files import sha256_of
from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.licence import find_licence

KIND = "lora"


def base_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is known of a base: name, revision, hashes and licence; never where it lies."""
    licence = find_licence(checkpoint)
    single = checkpoint.single_file is not None
    files = {
        path.name if single else path.relative_to(checkpoint.folder).as_posix(): sha256_of(path)
        for path in sorted(checkpoint.weights)
    }
    return {
        **asdict(checkpoint.ref),
        "weights_sha256": files,
        "pipeline": checkpoint.pipeline,
        "licence": licence.name or "not stated",
        "licence_from": licence.where,
        "exposure": "unknown: there is no record of what the base was trained on",
    }


def make_card(
    checkpoint: Checkpoint,
    samples: Sequence[Sample],
    findings: Findings,
    settings: LoraSettings,
    evaluations: Sequence[Evaluation],
    best: Evaluation,
    change: AdapterEffect,
    folder: Path,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The card of the adapter in `folder`; `facts` are added to it as they are."""
    known = trained_on(samples, findings)
    return {
        "kind": KIND,
        "method": f"LoRA of rank {settings.rank}",
        "statement": statement(known["classes"], checkpoint.ref.name, len(samples)),
        "base": base_facts(checkpoint),
        **known,
        "settings": settings.to_json(),
        "looks": [evaluation.to_json() for evaluation in evaluations],
        "kept": {"step": best.step, "holdout_loss": best.loss},
        "change": asdict(change),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers", "peft")},
        "weights_sha256": weight_hashes(folder),
        **facts,
    }


def statement(counts: Mapping[str, int], base: str, images: int | None = None) -> str:
    """What everybody must know of an adapter; `images`: how many there are, where one may count for several findings.

    >>> statement({"nodule": 2}, "sd15")[:63]
    'It was trained only on your 2 training images (2 of nodule). Wh'
    """
    classes = ", ".join(f"{count} of {label}" for label, count in counts.items())
    return (
        f"It was trained only on your {images or sum(counts.values())} training images ({classes}). "
        f"What its base, {base}, was trained on is not known. "
        "Copies of training images are possible: screen what it generates."
    )


def page(card: Mapping[str, Any]) -> str:
    """The page for people, Markdown."""
    base, kept, change, cost = card["base"], card["kept"], card["change"], card["cost"]
    versions = ", ".join(f"{name} {number}" for name, number in card["versions"].items())
    revision = base["revision"] or "none (a local folder)"
    loss = (
        "no generator holdout" if kept["holdout_loss"] is None else f"generator holdout loss {kept['holdout_loss']:.4f}"
    )
    size = card["size"]
    pixels = " x ".join(map(str, size if isinstance(size, list) else (size, size)))
    shape = ", the proportions of most training images; others were stretched to them" if "aspect" in card else ""
    return f"""# A LoRA adapter for {escaped(base["name"])}

{escaped(card["statement"])}

{class_table(card)}

- Base: {escaped(base["name"])}, revision {escaped(revision)}, SHA-256 {base["sha256"]}
- Licence of the base: {escaped(base["licence"])}. It applies to the adapter too.
- Kept: the averaged weights after step {kept["step"]} of {card["training"]["steps"]} ({loss}); {escaped(card["ended"])}
- The same {change["images"]} seeds with and without it differ by {change["grey_levels"]:.1f} grey levels of 255
  (latents: {change["latents"]:.2f} standard deviations); `samples.png` shows both, one row above the other.
- Images of {pixels} pixels{shape}{_prior(card)}
- {cost["seconds"] / 60:.0f} minutes on {card["device"]}{on_several(card)}, energy {escaped(str(cost["energy"]))}
- Made with {versions}

`card.json` has the settings, every evaluation on the generator holdout, and the hash of every training file and weight
file. `losses.csv` has the loss and the learning rate of every step, and the losses on the generator holdout; `samples`
what it generated at each evaluation, a row for each class and each prompt of the user's own.

{_usage(base["pipeline"])}
"""


def _prior(card: Mapping[str, Any]) -> str:
    """What share of the training was for common classes, where it was set."""
    if "common_classes" not in card:
        return ""
    names = escaped(", ".join(card["common_classes"]))
    return f"\n- {card['settings']['prior_share']:.0%} of each batch were images of the common classes: {names}"


def _usage(pipeline: str) -> str:
    """How another program uses the adapter."""
    import diffusers

    if not hasattr(getattr(diffusers, pipeline), "load_lora_weights"):
        return f"{pipeline} of diffusers loads no adapters itself: `balance fill --model BASE --adapter FOLDER` does."
    return f"""```python
from diffusers import {pipeline}

pipeline = {pipeline}.from_pretrained("BASE", use_safetensors=True, local_files_only=True)
pipeline.load_lora_weights("FOLDER", weight_name="pytorch_lora_weights.safetensors", use_safetensors=True)
```"""
