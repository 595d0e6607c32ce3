"""Files that are there whole or not at all, and their hashes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from balancer.errors import StateError

UMASK = "BALANCE_UMASK"
MAX_TABLE, MAX_COLUMNS = 1 << 29, 10_000
"""Bytes of a user's table, some millions of rows; and its columns."""


def private_umask(environment: Mapping[str, str] = os.environ) -> int:
    """The umask for all that is written: the owner alone, unless the user asks otherwise, as for a group with 027.

    Raises:
        StateError: what the user asks for is no umask, or one that keeps the owner out.

    >>> oct(private_umask({})), oct(private_umask({"BALANCE_UMASK": "027"}))
    ('0o77', '0o27')
    """
    asked = environment.get(UMASK, "077")
    if re.fullmatch("0?0[0-7]{2}", asked):
        return int(asked, 8)
    raise StateError(
        needed=f"a umask in {UMASK} that keeps the owner's own permissions",
        found=repr(asked),
        next_step=f"for a group that may read: export {UMASK}=027; for the owner only: unset {UMASK}",
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half-written, even after a power cut.

    That it is there lasts once its folder is synchronised too: `sync_path`. A write that fails leaves nothing.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_path(path: Path) -> None:
    """Make a file's content, or the names of a folder's files, last; Windows can do so for files alone."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_if_there(path: Path) -> str | None:
    """The SHA-256 of a file's content, or `None` where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def read_plainly(path: Path, limit: int) -> bytes:
    """The content of a file that a user names; a pipe or a device would never end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a regular file, or has more than `limit` bytes.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("not a regular file")
    if size > limit:
        raise ValueError(f"{size:,} bytes; the limit is {limit:,}")
    return path.read_bytes()
