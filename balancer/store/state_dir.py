"""The state folder `.balance`: where it is, what is in it, and who may write."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from balancer.errors import StateError

NAME = ".balance"
_PATIENCE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class State:
    """A state folder and the places in it."""

    folder: Path

    @property
    def ledger(self) -> Path:
        """The SQLite file."""
        return self.folder / "ledger.sqlite"

    @property
    def candidates(self) -> Path:
        """Generated images, named by job id."""
        return self.folder / "candidates"

    @property
    def adapters(self) -> Path:
        """What `adapt` made."""
        return self.folder / "adapters"

    @property
    def cache(self) -> Path:
        """What can be computed again: embeddings, decoded images, thresholds."""
        return self.folder / "cache"

    @property
    def reports(self) -> Path:
        """Pictures and pages for people."""
        return self.folder / "reports"

    def portable(self, path: Path) -> str:
        """A path relative to the working folder where it lies in it, so that both can move together."""
        home, path = self.folder.parent.resolve(), path.resolve()
        return path.relative_to(home).as_posix() if path.is_relative_to(home) else path.as_posix()

    def place(self, portable: str) -> Path:
        """The same back."""
        return self.folder.parent / portable


def find_state(start: Path) -> State:
    """The nearest `.balance` in `start` or above it, as git finds `.git`.

    Raises:
        StateError: there is none.
    """
    found = _nearest(start)
    if found is None:
        raise StateError(
            needed=f"a scanned collection (a {NAME} folder here or above)",
            found="none",
            next_step="scan it first: balance scan FOLDER",
        )
    return State(found)


def find_or_make_state(start: Path, collection: Path) -> State:
    """The nearest state folder, or a new one in `start`; never inside the collection, which is not ours to write.

    Raises:
        StateError: the state folder is, or would be, inside the collection; or may not be written.
    """
    folder = _nearest(start) or start / NAME
    if folder.resolve().is_relative_to(collection.resolve()):
        raise StateError(
            needed=f"a {NAME} folder outside the collection, which balance never writes to",
            found=f"{folder.parent} is inside {collection}",
            next_step="change to a folder outside the collection: cd ELSEWHERE && balance scan FOLDER",
        )
    try:
        folder.mkdir(mode=0o700, exist_ok=True)  # whatever the umask lets others see elsewhere
        (folder / ".gitignore").write_text("*\n")  # patients' data must not slip into a repository
    except PermissionError as error:
        raise StateError(
            needed=f"a working folder in which {NAME} can be written",
            found=f"no permission in {folder.parent}",
            next_step="change to a folder of yours: cd ELSEWHERE && balance scan FOLDER",
        ) from error
    return State(folder)


@contextmanager
def locked(state: State) -> Iterator[None]:
    """Keep other commands from writing to the state folder. The lock of a dead process is no lock.

    Raises:
        StateError: another process holds it.
    """
    descriptor = os.open(state.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_near(*places: Path) -> Iterator[None]:
    """The same for the first of these places that has a state folder, in it or above; where none has, no lock.

    Raises:
        StateError: another process holds it.
    """
    folder = next(filter(None, map(_nearest, places)), None)
    with nullcontext() if folder is None else locked(State(folder)):
        yield


def _lock(descriptor: int) -> None:
    until = time.monotonic() + _PATIENCE
    while not _is_locked(descriptor):
        holder = os.pread(descriptor, 20, 0).decode() or "unknown"
        if _is_dead(holder) and time.monotonic() < until:  # its children have not seen it yet
            time.sleep(0.05)
            continue
        raise StateError(
            needed=f"to be the only balance command that writes to this {NAME} folder",
            found=f"process {holder} is at work in it",
            next_step=f"wait until it ends, or stop it (kill {holder}); it loses nothing",
        )


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        return False
    return True


def _is_dead(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


def _nearest(start: Path) -> Path | None:
    return next((folder / NAME for folder in (start, *start.parents) if (folder / NAME).is_dir()), None)
