"""Which model draws: what the user names, or the newest that was made here; and whether an adapter fits its base."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.errors import ModelError
from balancer.generators.models.checkpoint import Checkpoint, find_adapter, find_checkpoint
from balancer.generators.models.model_card import read_card
from balancer.jobs import ModelRef


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """A checkpoint and, where one is to be put on it, an adapter: its file, what it is, and its folder."""

    checkpoint: Checkpoint
    file: Path | None = None
    adapter: ModelRef | None = None
    folder: Path | None = None

    @property
    def aspect(self) -> float:
        """Width over height of the images that its adapter learned from; 1, as models do, where no card says so."""
        card = None if self.folder is None else adapter_card(self.folder)
        found = (card or {}).get("aspect")
        return float(found) if isinstance(found, int | float) and 0 < found < math.inf else 1.0


def choose_model(
    model: str | None, adapter: Path | None, made_here: Sequence[Path], base_of: Callable[[Path], str | None]
) -> ModelSelection:
    """The model and adapter that the user named; without a name, the newest of `made_here`, an adapter on its base.

    `base_of` gives the place of the base that an adapter made here was made for.

    Raises:
        ModelError: there is none, or the adapter was made for another base.
    """
    newest = next(iter(made_here), None)
    if adapter is None and model is None and newest is not None and is_adapter(newest):
        adapter = newest
    if adapter is None:
        return ModelSelection(find_checkpoint(model, made_here))
    file, ref = find_adapter(adapter)
    known = adapter_card(file.parent)
    if model is not None:
        checkpoint = find_checkpoint(model)
    elif known is not None:
        checkpoint = _base_of(file.parent, known, base_of)
    else:
        checkpoint = find_checkpoint(None, [each for each in made_here if not is_adapter(each)])
    if known is not None:
        _require_base(checkpoint, file.parent, known)
    return ModelSelection(checkpoint, file, ref, file.parent)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter that balance made."""
    return adapter_card(folder) is not None


def adapter_card(folder: Path) -> dict[str, Any] | None:
    """The card of an adapter that balance made, `None` for anything else."""
    card = read_card(folder)
    return card if card.get("kind") == "lora" and isinstance(card.get("base"), dict) else None


def _base_of(folder: Path, card: dict[str, Any], base_of: Callable[[Path], str | None]) -> Checkpoint:
    place, name = base_of(folder), card["base"].get("name")
    try:
        if place is not None:
            return find_checkpoint(place)
        found = "its location is not recorded"
    except ModelError as error:
        found = error.found
    raise ModelError(
        needed=f"{name}, the base that the adapter {folder.name} was made for",
        found=found,
        next_step=f"give its folder: balance fill --model {name} --adapter {folder.name}",
    )


def _require_base(checkpoint: Checkpoint, folder: Path, card: dict[str, Any]) -> None:
    base = card["base"]
    if checkpoint.ref.sha256 == base.get("sha256"):
        return
    raise ModelError(
        needed=f"{base.get('name')}, the base that the adapter {folder.name} was made for "
        f"(SHA-256 {str(base.get('sha256'))[:12]}...)",
        found=f"{checkpoint.ref.name} (SHA-256 {checkpoint.ref.sha256[:12]}...)",
        next_step="use that base, unchanged, or adapt this one: balance adapt --base THIS --name NEW",
    )
