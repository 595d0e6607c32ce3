"""Folders that are there completely or not at all, and the states of training kept in them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from balancer.errors import OutputError, StateError
from balancer.files import sync_path

PARTIAL = ".partial"
_OF_THE_SYSTEM = (SafetensorError, Exception)  # what safetensors and tokenizers raise for what the system says


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into that gets its name `folder` only when the block is left without an error.

    A killed block leaves a `.partial` sibling, which the next one clears away.

    Raises:
        OutputError: weights could not be written, as on a full disk.
    """
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except Exception as error:
        if type(error) not in _OF_THE_SYSTEM:
            raise
        raise OutputError(
            needed=f"free space and a working disk for {folder.name}",
            found=str(error),
            next_step="free some space, then run the same balance adapt again: it continues from here",
        ) from error
    for path in [*partial.rglob("*"), partial]:
        sync_path(path)
    os.replace(partial, folder)
    sync_path(folder.parent)


def to_json(value: Any) -> str:
    """JSON for people and machines: sorted, indented, with a newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def state_folder(root: Path, step: int) -> Path:
    """Where the state after `step` steps is kept."""
    return root / f"{step:08d}"


def save_state(root: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Keep the state after `step` steps as `root/<step>`, and then drop the older ones.

    `tensors` become one safetensors file each, `facts` become `state.json`.
    """
    older = _states(root)
    with whole_folder(state_folder(root, step)) as folder:
        for name, group in tensors.items():
            save_file(
                {key: t.detach().cpu().contiguous() for key, t in group.items()},
                folder / f"{name}.safetensors",
            )
        (folder / "state.json").write_text(to_json(dict(facts)), encoding="utf-8")
    for path in older:
        shutil.rmtree(path, ignore_errors=True)


def load_state(root: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """The newest state under `root` as `save_state` was given it, or `None`.

    Raises:
        StateError: it is not as it was kept.
    """
    states = _states(root)
    if not states:
        return None
    folder = states[-1]
    tensors = {path.stem: load_tensors(path, root.parent) for path in folder.glob("*.safetensors")}
    try:
        return tensors, json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise _not_as_kept(folder / "state.json", root.parent, error) from error


def load_tensors(path: Path, training: Path) -> dict[str, Tensor]:
    """The tensors of a file that a `training` keeps.

    Raises:
        StateError: it cannot be read, or is not as it was kept.
    """
    try:
        return dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:  # torch makes a RuntimeError of what the system says
        raise _not_as_kept(path, training, error) from error


def _not_as_kept(path: Path, training: Path, error: Exception) -> StateError:
    name = path.relative_to(training.parent)
    return StateError(
        needed="a readable training state",
        found=f"{name}: {str(error).replace(str(path), path.name)}",
        next_step=f"run the same balance adapt again; if it fails again, delete the folder {training.name} first",
    )


def _states(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("[0-9]*") if path.is_dir() and path.name.isdecimal())
