"""The licence that a checkpoint states about itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from balancer.generators.models.checkpoint import Checkpoint
from balancer.generators.models.model_card import read_card

_LARGEST = 100_000
_NAMES = ("license", "licence", "copying")


@dataclass(frozen=True, slots=True)
class Licence:
    """What a checkpoint says: `name` is empty where it says nothing; `where` the file that says it, or a link."""

    name: str
    where: str

    @property
    def is_stated(self) -> bool:
        """Whether there is anything to accept."""
        return bool(self.name)


def find_licence(checkpoint: Checkpoint) -> Licence:
    """The licence in the head of a checkpoint's model card, or its licence file.

    A checkpoint that balance trained from scratch has none: its images' terms are its own.
    """
    head = _front_matter(checkpoint.folder / "README.md")
    name = _text(head.get("license_name")) or _text(head.get("license"))
    if name:
        return Licence(name, _text(head.get("license_link")) or "README.md of the model")
    files = sorted(path.name for path in checkpoint.folder.iterdir() if path.stem.lower() in _NAMES)
    return Licence(f"see its {files[0]}", files[0]) if files else Licence("", "")


def is_from_scratch(checkpoint: Checkpoint) -> bool:
    """Whether balance trained it from scratch."""
    return read_card(checkpoint.folder).get("method") == "from scratch"


def _front_matter(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        text = path.read_text("utf-8")
        head = yaml.safe_load(text[4:].split("\n---", 1)[0]) if text.startswith("---\n") else {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return head if isinstance(head, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(each for each in value if isinstance(each, str))  # a list of lists of lists may have no end
    return str(value).strip() if isinstance(value, str) else ""
