"""A model folder comes from strangers: what could lead a library astray is refused before one sees it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from balancer.errors import ModelError
from balancer.generators.models.safetensors_check import require_sound

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "safety_checker": ("StableDiffusionSafetyChecker",),
    "feature_extractor": ("CLIPImageProcessor", "CLIPFeatureExtractor"),
    "image_encoder": (),
}
"""Parts that Stable Diffusion may have beside those that are loaded, with their classes."""
SCHEDULER = re.compile(r"[A-Za-z0-9]+Scheduler")
_LARGEST = 10_000_000  # bytes of a configuration; they have some thousands
_CODE = ("auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code", "quantization_config")
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_KERNELS = (None, "eager", "sdpa")
_SHARD = re.compile(r"[\w.-]+\.safetensors")


def require_safe_folder(folder: Path, index: Mapping[str, Any], parts: Iterable[str]) -> None:
    """Refuse a folder that holds or names programs, leads out of itself, or has weights that are not sound.

    `index` is its model_index.json, `parts` are the folders that are loaded.

    Raises:
        ModelError: it does.
    """
    used = list(parts)
    files = [folder / "model_index.json", *(file for part in used for file in sorted((folder / part).iterdir()))]
    for found in (*_foreign_parts(index, used), *_outside(folder, used, files), *_programs(folder, files)):
        raise refused(folder, found)
    for file in files:
        if file.suffix == ".safetensors":
            require_sound(file, shown=f"{folder.name}/{file.relative_to(folder).as_posix()}")
        elif file.suffix == ".json":
            fault = _in_json(file)
            if fault is not None:
                raise refused(folder, f"{_shown(file)}: {fault}")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a configuration.

    Raises:
        ModelError: it cannot be read, or is something else.
    """
    again = "copy the model folder again, then: balance doctor --model FOLDER"
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise ValueError(f"{_shown(path)}: no file, or one of more than {_LARGEST:,} bytes")
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(needed=f"a readable {_shown(path)}", found=str(error), next_step=again) from error
    if not isinstance(found, dict):
        raise ModelError(needed="a JSON object", found=f"{path.name}: something else", next_step=again)
    return found


def refused(folder: Path, found: str) -> ModelError:
    """The error for a model folder that is not to be trusted."""
    return ModelError(
        needed="a Stable Diffusion folder with only configurations and safetensors, and without programs",
        found=f"{folder.name}: {found}",
        next_step="get the model's original files, or name another: balance fill --model FOLDER",
    )


def _foreign_parts(index: Mapping[str, Any], used: Iterable[str]) -> Iterator[str]:
    """Entries of the index that would be loaded too, or are to be loaded from elsewhere."""
    for name, value in index.items():
        if name in used:
            continue
        names = value if isinstance(value, list) else ()
        if names and not (name in EXTRAS and (names[-1] is None or names[-1] in EXTRAS[name])):
            yield f"model_index.json names {'.'.join(map(str, names))[:80]} as its {name[:40]}"
        if isinstance(value, dict) or name in _CODE:
            yield f"model_index.json has {name[:40]!r}"


def _outside(folder: Path, parts: Iterable[str], files: Iterable[Path]) -> Iterator[str]:
    """Links out of the folder; those of a hub cache lead to the files beside its snapshots."""
    home = _real(folder)
    allowed = [home, *([home.parents[1] / "blobs"] if home.parent.name == "snapshots" else [])]
    for path in (*(folder / part for part in parts), *files):
        if not any(_real(path).is_relative_to(place) for place in allowed):
            yield f"{path.relative_to(folder)} links to a place outside the folder, {_real(path).name}"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, it takes a link to itself


def _programs(folder: Path, files: Iterable[Path]) -> Iterator[str]:
    for file in (*folder.glob("*.py"), *files):
        if file.suffix == ".py":
            yield f"{file.relative_to(folder)} is a program"


def _in_json(file: Path) -> str | None:
    if file.name.endswith(".safetensors.index.json"):
        named = set(map(str, dict(read_json(file).get("weight_map") or {}).values()))
        foreign = [name for name in named if not (_SHARD.fullmatch(name) and (file.parent / name).is_file())]
        return f"weights as {foreign[0][:80]!r}" if foreign else None
    if not file.name.endswith("config.json") and file.name != "model_index.json":
        return None  # a vocabulary
    return next((f"it has {key!r}" for key, value in _entries(read_json(file)) if _is_code(key, value)), None)


def _is_code(key: str, value: Any) -> bool:
    return (key in _CODE and bool(value)) or (key in _ATTENTION and value not in _KERNELS)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _entries(each)


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
