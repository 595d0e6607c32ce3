"""Whole folders on disk: listed, copied into, exchanged in one step, recovered after a kill."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from balancer.dataset.metadata_files import read_manifest
from balancer.errors import OutputError
from balancer.files import sync_path

PARTIAL = ".balance-partial"
"""The file in a folder under construction or under removal that says it is ours to remove."""

_FICLONE = 0x40049409
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_CHUNK = 1 << 20


def files_below(root: Path) -> Iterator[str]:
    """The paths, relative to `root`, of all that is no folder; links are not followed."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(root / below) as entries:
            for entry in entries:
                path = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{path}/")
                else:
                    yield path


def folders_below(root: Path) -> Iterator[str]:
    """The paths, relative to `root`, of all folders; links are not followed."""
    for folder, names, _ in os.walk(root):
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in names)


def staging_of(out: Path) -> Path:
    """Where a balanced folder is put together: a hidden folder beside it."""
    return out.with_name(f".{out.name}.partial")


def leftovers_of(out: Path) -> list[Path]:
    """What a stopped merge left beside `out` and nobody needs any more."""
    beside = [staging_of(out), *([_old(out)] if out.exists() else [])]  # without `out`, the old one is to be restored
    return [folder for folder in beside if _is_ours(folder)]


def open_staging(out: Path) -> Path:
    """Make or reopen the staging folder.

    Raises:
        OutputError: there is a folder of that name which is not ours.
    """
    staging = staging_of(out)
    _require_ours(staging)
    staging.mkdir(parents=True, exist_ok=True)
    (staging / PARTIAL).touch()
    return staging


def clear_staging(out: Path) -> None:
    """Remove what a kill left after the balanced folder was already in its place."""
    staging = staging_of(out)
    if _is_ours(staging):
        discard(staging)


def prune(staging: Path, wanted: set[str]) -> None:
    """Remove all that is not wanted: another plan, or a kill, may have left it."""
    for path in [path for path in files_below(staging) if path not in wanted and path != PARTIAL]:
        (staging / path).unlink()
    for folder, _, _ in os.walk(staging, topdown=False):
        if folder != str(staging):
            with suppress(OSError):  # it is not empty
                Path(folder).rmdir()


def copy(source: str, target: Path, scratch: Path) -> str:
    """Copy a file with its time so that it appears whole under `target`; the SHA-256 of what was copied.

    It is built in the folder `scratch`, on the same file system. The blocks are shared where the file system can.
    """
    unfinished = scratch / f".copying-{threading.get_ident()}"
    with open(source, "rb") as reading, unfinished.open("wb+") as writing:  # noqa: PTH123 - a million Paths are slow
        before = os.fstat(reading.fileno())
        digest = hashlib.sha256()
        cloned = _clone(reading.fileno(), writing.fileno())
        for chunk in iter(lambda: (writing if cloned else reading).read(_CHUNK), b""):
            digest.update(chunk)
            if not cloned:
                writing.write(chunk)
    os.utime(unfinished, ns=(before.st_atime_ns, before.st_mtime_ns))
    unfinished.replace(target)
    return digest.hexdigest()


def write(content: bytes, mtime_ns: int, target: Path, scratch: Path) -> None:
    """Write a file with a time of its own so that it appears whole under `target`; it is built in `scratch`."""
    unfinished = scratch / f".copying-{threading.get_ident()}"
    unfinished.write_bytes(content)
    os.utime(unfinished, ns=(mtime_ns, mtime_ns))
    unfinished.replace(target)


def sync(folder: Path) -> None:
    """Wait until all that was written to a folder's file system lasts: a million single syncs would take hours."""
    syncfs = _libc_function("syncfs")
    if syncfs is None:
        _sync_plainly(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            raise OSError(errno.EIO, "the data could not be written to the disk", str(folder))
    finally:
        os.close(descriptor)


def _sync_plainly(folder: Path) -> None:
    if hasattr(os, "sync"):
        os.sync()
        return
    for path in files_below(folder):
        sync_path(folder / path)


def publish(out: Path) -> None:
    """Put the staging folder in the place of `out`, in one step where the system can, and remove what was there."""
    staging = staging_of(out)
    sync(staging)
    (staging / PARTIAL).unlink()
    if not out.exists():
        staging.rename(out)
        sync_path(out.parent)
    elif _exchange(staging, out):
        sync_path(out.parent)
        discard(staging)
    else:
        out.rename(_old(out))
        staging.rename(out)
        sync_path(out.parent)
        discard(_old(out))


def recover(out: Path) -> None:
    """Bring back or remove what a kill in the middle of `publish` left behind.

    Raises:
        OutputError: there is a folder of that name which is not ours.
    """
    old = _old(out)
    if not old.exists():
        return
    _require_ours(old)
    if out.exists() or read_manifest(old) is None or (old / PARTIAL).exists():
        discard(old)
    else:
        old.rename(out)


def discard(folder: Path) -> None:
    """Remove a folder of ours so that a kill leaves it recognisable."""
    if not folder.exists():
        return
    (folder / PARTIAL).touch()
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name != PARTIAL:
            Path(entry.path).unlink()
    (folder / PARTIAL).unlink()
    folder.rmdir()


def _old(out: Path) -> Path:
    return out.with_name(f".{out.name}.old")


def _is_ours(folder: Path) -> bool:
    """Whether a hidden folder is one that was made here: under construction, whole, or removed but for itself."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / PARTIAL).exists() or read_manifest(folder) is not None or not any(folder.iterdir())


def _require_ours(folder: Path) -> None:
    if not os.path.lexists(folder) or _is_ours(folder):
        return
    raise OutputError(
        needed="an unused name for a temporary folder",
        found=f"{folder}, which balance did not make",
        next_step="rename or remove it, or choose another folder: balance fill --out FOLDER",
    )


def _clone(source: int, target: int) -> bool:
    """Share the blocks of two files, where the file system can."""
    try:
        import fcntl

        fcntl.ioctl(target, _FICLONE, source)
    except (ImportError, OSError):
        return False
    return True


def _libc_function(name: str) -> Any:
    """A function of the C library; None where it has none of that name, or there is no such library (Windows)."""
    return getattr(ctypes.CDLL(None, use_errno=True), name, None) if os.name == "posix" else None


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    rename = _libc_function("renameat2")
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))
