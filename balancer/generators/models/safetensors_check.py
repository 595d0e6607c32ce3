"""Weight files are looked at before they are loaded: only a sound safetensors file gets as far as a library."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from balancer.errors import ModelError

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")
MAX_TENSORS = 20_000
"""Stable Diffusion XL has 2,500 in one file, and an adapter of all its layers 8,000."""
_MAX_HEADER = 1 << 24
_DISGUISED = {b"\x80": "a pickle", b"PK": "an archive or a pickle", b"\x1f\x8b": "an archive", b"BZ": "an archive"}
_PLAIN = re.compile(r"[\w .,:/^-]*")
_AGAIN = "copy the file again from its source, or use another model: balance fill --model FOLDER"


def require_sound(file: Path, next_step: str = _AGAIN, shown: str | None = None) -> None:
    """See that a safetensors file is what it says, without loading it; `shown` is what messages call it.

    The library sees to it that each tensor fits its bytes, and that the tensors fill the file without overlap.

    Raises:
        ModelError: it is not so, or it is something else under that name.
    """
    try:
        fault = next(_faults(file), None)
    except (OSError, ValueError, RecursionError, TypeError, AttributeError, SafetensorError) as error:
        fault = f"its header cannot be read ({str(error)[:80] or type(error).__name__})"
    if fault is not None:
        raise ModelError(
            needed="undamaged .safetensors weights: nothing else is loaded",
            found=f"{shown or file.name}: {fault}",
            next_step=next_step,
        )


def require_plain_metadata(file: Path) -> None:
    """See that what a sound adapter says of its layers are names: a library would take them for regular expressions.

    Raises:
        ModelError: they are something else.
    """
    with file.open("rb") as content:
        header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    said = header.get("__metadata__", {}).get("lora_adapter_metadata", "{}")
    try:
        plain = all(_PLAIN.fullmatch(text) for text in _texts(json.loads(said)))
    except (ValueError, RecursionError):
        plain = False
    if not plain:
        raise ModelError(
            needed="an adapter with plain layer names",
            found=f"{file.name}: other things in its metadata (lora_adapter_metadata)",
            next_step="leave that entry out, or use another adapter: balance fill --adapter FILE.safetensors",
        )


def _faults(file: Path) -> Iterator[str]:
    if not file.is_file():
        yield "no file"
    size = file.stat().st_size
    with file.open("rb") as content:
        length = int.from_bytes(start := content.read(8), "little")
        if disguise := next((what for mark, what in _DISGUISED.items() if _is(start, mark, length, size)), None):
            yield f"{disguise} with the extension .safetensors"
        if len(start) < 8 or length > min(size - 8, _MAX_HEADER):
            yield f"damaged, or another format: a header of {length:,} bytes (at most {_MAX_HEADER:,}) in {size:,}"
        header = json.loads(content.read(length), object_pairs_hook=_once)  # the library takes a name twice
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        yield f"{len(header):,} tensors; the limit is {MAX_TENSORS:,} are loaded"
    if not header:
        yield "no tensor"
    with safe_open(file, "numpy"):
        pass


def _is(start: bytes, mark: bytes, length: int, size: int) -> bool:
    """Whether a file begins as something else; a header of just this length may begin with the same byte."""
    return start.startswith(mark) and length > min(size, _MAX_HEADER)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a repeated name")
    return found


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
