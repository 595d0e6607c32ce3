"""A folder that is ready for a hub: files of ours as they are, and a card whose head a hub reads; nothing is sent."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from balancer.dataset import staging
from balancer.dataset.croissant import CROISSANT, describe
from balancer.dataset.metadata_files import CARD, MANIFEST, Row, require_manifest
from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.parallel import in_threads

_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def write_dataset(folder: Path, rows: Mapping[str, Row], out: Path, licence: str, progress: Callable[..., None]) -> int:
    """Put a balanced folder together again as `out`, with its card and its Croissant; how many files that are.

    Images are hard links to the balanced folder's own files where the disk can, else copies; all else is copied. A
    file behind a symbolic link is copied, since it may be one of the collection.
    """
    manifest = require_manifest(folder)
    own = {path for path in staging.files_below(folder) if not (folder / path).is_symlink()}  # in no linked folder
    tables = [path for path in manifest.files if path != CARD]
    described = describe(folder, manifest, rows, licence, out.name)
    card = with_head((folder / CARD).read_bytes() if CARD in own else b"", {**licence_head(licence), **_splits(rows)})
    written = {CARD: card, CROISSANT: to_json(described)}
    paths = [*rows, *tables, MANIFEST]
    fresh = staging.open_staging(out)
    staging.prune(fresh, {*paths, *written})
    for above in sorted({path.rpartition("/")[0] for path in paths}):
        (fresh / above).mkdir(parents=True, exist_ok=True)

    def bring(path: str) -> None:
        bring_file(folder / path, fresh / path, fresh, link=path in rows and path in own)

    for _ in in_threads(bring, paths, progress):
        pass
    _publish(fresh, out, written)
    return len(paths) + len(written)


def write_model(folder: Path, out: Path, head: Mapping[str, Any], card: Mapping[str, Any], card_name: str) -> int:
    """Copy a model's folder as `out`, its page below a head and `card` in place of its own; how many files that are."""
    paths = sorted(set(staging.files_below(folder)) - {CARD, card_name})
    page = (folder / CARD).read_bytes() if (folder / CARD).is_file() else b""
    written = {CARD: with_head(page, head), card_name: to_json(card)}
    fresh = staging.open_staging(out)
    staging.prune(fresh, {*paths, *written})
    for path in paths:
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        bring_file(folder / path, fresh / path, fresh, link=False)
    _publish(fresh, out, written)
    return len(paths) + len(written)


def _publish(fresh: Path, out: Path, written: Mapping[str, bytes]) -> None:
    for path, content in written.items():
        write_whole(fresh / path, content)
    staging.publish(out)


def bring_file(source: Path, target: Path, scratch: Path, *, link: bool) -> None:
    """A file under another name: a hard link to it, or a copy that appears whole."""
    target.unlink(missing_ok=True)
    if link:
        try:
            target.hardlink_to(source)
            return
        except OSError:  # another disk, or one that has no hard links
            pass
    staging.copy(os.fspath(source), target, scratch)


def with_head(page: bytes, changes: Mapping[str, Any]) -> bytes:
    r"""A card in Markdown with fields changed in, or added to, the YAML at its head.

    >>> with_head(b"---\nlicense: unknown\n---\n# Images\n", {"license": "cc0-1.0"})
    b'---\nlicense: cc0-1.0\n---\n# Images\n'
    """
    text, head = page.decode("utf-8", "replace"), {}
    if text.startswith("---\n") and "\n---\n" in text:
        above, _, below = text[4:].partition("\n---\n")
        try:
            found = yaml.safe_load(above)
        except yaml.YAMLError:  # its reader has edited it
            found = None
        if isinstance(found, dict):
            text, head = below, found
    lines = yaml.safe_dump({**head, **changes}, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{lines}---\n{text}".encode()


def licence_head(licence: str) -> dict[str, str]:
    """The fields for a licence in the head of a card: its identifier, or "other" with its name.

    >>> licence_head("cc-by-4.0"), licence_head("Our terms")
    ({'license': 'cc-by-4.0'}, {'license': 'other', 'license_name': 'Our terms'})
    """
    return {"license": licence} if _IDENTIFIER.fullmatch(licence) else {"license": "other", "license_name": licence}


def _splits(rows: Mapping[str, Row]) -> dict[str, Any]:
    """Which folder is which split, where the folders are splits."""
    from balancer.collection.walk import canonical_part

    parts = {first: canonical_part(first) for first in sorted({path.partition("/")[0] for path in rows})}
    if not parts or not all(parts.values()):
        return {}
    names = {"val": "validation"}
    files = [{"split": names.get(str(part), str(part)), "path": f"{first}/**"} for first, part in parts.items()]
    return {"configs": [{"config_name": "default", "data_files": files}]}


def to_json(value: Mapping[str, Any]) -> bytes:
    """JSON for a file that people look at too."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")


def require_new(out: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        OutputError: it does, or it is no folder.
    """
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(
            needed="a new or an empty folder for --hub-folder",
            found=f"{out}, which {'holds something' if out.is_dir() else 'is a file'}",
            next_step="name another: balance export --hub-folder NEW_FOLDER",
        )
