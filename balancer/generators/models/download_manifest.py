"""What `balance fetch` put on record of a checkpoint: where it is from, and the hash of each of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from balancer.files import sha256_if_there

RECORD = "fetched.json"


def record_of(folder: Path) -> dict[str, Any] | None:
    """What `fetch` put on record of a folder; `None` where it was not fetched, or the record cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def changed_files(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """The files that are not as they were fetched, or gone."""
    return [
        path
        for path, facts in sorted(record["files"].items())
        if not isinstance(facts, dict) or is_unsafe_path(path) or sha256_if_there(folder / path) != facts.get("sha256")
    ]


def is_unsafe_path(path: str) -> bool:
    """Whether a path could lie outside its folder.

    >>> is_unsafe_path("unet/config.json"), is_unsafe_path("../.bashrc")
    (False, True)
    """
    return path.startswith("/") or "\\" in path or ".." in PurePosixPath(path).parts
