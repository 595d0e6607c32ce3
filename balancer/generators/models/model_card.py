"""`card.json`, which `adapt` writes into a model's folder: what it was trained on, how, and its weights by hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CARD = "card.json"


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the model in a folder; empty where there is none that can be read."""
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return card if isinstance(card, dict) else {}
