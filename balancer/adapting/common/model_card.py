"""What the cards of all trained models share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.adapting.common.train_state import to_json
from balancer.adapting.common.training_classes import Findings, class_counts
from balancer.collection.scan import Sample
from balancer.files import sha256_of
from balancer.generators.models.model_card import CARD


def trained_on(samples: Sequence[Sample], findings: Findings) -> dict[str, Any]:
    """What a model was trained on: images, and how many of each class; of images with several findings, of each set."""
    sets = {"label_sets": class_counts(samples)} if findings else {}
    files = {sample.path: sample.sha256 for sample in samples}
    return {"images": len(samples), "classes": class_counts(samples, findings), **sets, "training_files": files}


def class_table(card: Mapping[str, Any]) -> str:
    """The training images of each class, or finding, as a table in Markdown."""
    rows = "".join(f"\n| {escaped(label)} | {count} |" for label, count in card["classes"].items())
    several = "\n\nAn image may have several findings, and counts for each." if "label_sets" in card else ""
    return f"| {'finding' if several else 'class'} | training images |\n| --- | --- |{rows}{several}"


def weight_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every weight file under `folder`, by its path there."""
    paths = sorted(folder.rglob("*.safetensors"))
    return {p.relative_to(folder).as_posix(): sha256_of(p) for p in paths}


def on_several(card: Mapping[str, Any]) -> str:
    """How many processes shared every step, for the page; nothing where it was one.

    >>> on_several({"processes": {"count": 2, "images_in_a_step": 8, "images_of_each": 4.0}})
    ' (2 processes, 8 images in each step of all together)'
    """
    told = card.get("processes")
    return (
        ""
        if told is None
        else f" ({told['count']} processes, {told['images_in_a_step']} images in each step of all together)"
    )


def write_card(folder: Path, card: Mapping[str, Any], page: str) -> None:
    """Write `card.json`, for machines, and `README.md`, for people."""
    (folder / CARD).write_text(to_json(card), encoding="utf-8")
    (folder / "README.md").write_text(page, encoding="utf-8")


def escaped(text: str) -> str:
    """Text as it is, whatever Markdown or HTML it looks like."""
    plain = " ".join(text.split())
    for letter, name in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "&#124;"),
        ("`", "&#96;"),
        ("[", "&#91;"),
    ):
        plain = plain.replace(letter, name)
    return plain
