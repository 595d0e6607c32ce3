"""What the cards of all trained models share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balancer.adapting.common.train_state import to_json
from balancer.collection.scan import Sample
from balancer.files import sha256_of
from balancer.generators.models.model_card import CARD


def class_counts(samples: Sequence[Sample]) -> dict[str, int]:
    """Images of each label, by name."""
    return dict(sorted(Counter(sample.label for sample in samples).items()))


def weight_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every weight file under `folder`, by its path there."""
    paths = sorted(folder.rglob("*.safetensors"))
    return {p.relative_to(folder).as_posix(): sha256_of(p) for p in paths}


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
