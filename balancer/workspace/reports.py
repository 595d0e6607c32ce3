"""Results that are kept for the report, in `.balance/reports`, with the balanced folder that they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balancer.dataset.metadata_files import MANIFEST
from balancer.errors import BalanceError, StateInUse
from balancer.files import sha256_if_there, write_whole
from balancer.progress import Progress
from balancer.store.state_dir import State, locked
from balancer.text import printable
from balancer.workspace.workspace import Workspace

METRICS, PROBE, QUALITY, LABELS = "metrics.json", "probe.json", "quality.json", "labels.json"
FILL = "fill.json"
OF_FOLDER = "balanced_sha256"
"""In a kept result: the hash of the manifest of the balanced folder that it was measured on."""


def keep_report(state: State, name: str, found: Mapping[str, Any], folder: Path | None) -> Path:
    """Keep a result, whole or not at all; the state is locked by who calls.

    Raises:
        OSError: it cannot be written.
    """
    state.reports.mkdir(exist_ok=True)
    place = state.reports / name
    content = {**found, **({} if folder is None else {OF_FOLDER: sha256_if_there(folder / MANIFEST)})}
    write_whole(place, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return place


def keep_measured(
    workspace: Workspace, name: str, found: Mapping[str, Any], folder: Path, progress: Progress
) -> Path | None:
    """Keep what was measured on the balanced folder of the workspace's collection.

    Of another folder, or where it cannot be written, nothing is kept: the caller has the result all the same.
    """
    try:
        with workspace.session(write=False, several=True) as session:
            usual = session.balanced_folder()
            if usual is None or usual.resolve() != folder.resolve():
                return None
            with locked(session.state):
                return keep_report(session.state, name, found, folder)
    except (BalanceError, OSError) as error:
        if isinstance(error, StateInUse):
            progress.message(f"Not kept for the report: {printable(error.found)}; run it again later.")
        return None
