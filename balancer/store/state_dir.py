"""The state folder `.balance`: where it is, what is in it, and who may write."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.errors import StateError, StateInUse
from balancer.files import write_whole

if TYPE_CHECKING:
    from filelock import BaseFileLock

NAME = ".balance"
LOCK, HOLDER = "lock", "lock.holder"
"""The file that is locked, and the number of the process that has locked it."""
PSEUDONYM_KEY = "pseudonym.key"
_KEY_BYTES = 32
_PATIENCE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class State:
    """A state folder and the places in it."""

    folder: Path

    @property
    def ledger(self) -> Path:
        """The SQLite database."""
        return self.folder / "ledger.sqlite"

    @property
    def candidates(self) -> Path:
        """Generated images, named by job id."""
        return self.folder / "candidates"

    @property
    def adapters(self) -> Path:
        """Models and adapters that `adapt` trained, a folder each."""
        return self.folder / "adapters"

    @property
    def cache(self) -> Path:
        """What can be computed again: embeddings, decoded images, thresholds."""
        return self.folder / "cache"

    @property
    def reports(self) -> Path:
        """Pictures and pages for people."""
        return self.folder / "reports"

    def pseudonym_key(self) -> bytes:
        """The key of the names that stand for patients' numbers; made when it is first asked for.

        Raises:
            StateError: there is none, and none can be written.
        """
        place = self.folder / PSEUDONYM_KEY
        try:
            if not place.is_file():
                write_whole(place, secrets.token_bytes(_KEY_BYTES))
                place.chmod(0o600)
            return place.read_bytes()
        except OSError as error:
            raise StateError(
                needed=f"a {NAME} folder that can be written, for the key of the patients' pseudonyms",
                found=error.strerror or str(error),
                next_step="see to its permissions, then: balance scan FOLDER",
            ) from error

    def portable(self, path: Path) -> str:
        """A path relative to the working folder, so that both can move together; on another drive the whole path."""
        home, path = self.folder.parent.resolve(), path.resolve()
        try:
            return Path(os.path.relpath(path, home)).as_posix()
        except ValueError:
            return path.as_posix()

    def place(self, portable: str) -> Path:
        """Where a path is that `portable` gave."""
        home = self.folder.parent
        return Path(os.path.normpath(home.resolve() / portable)) if portable.startswith("..") else home / portable


def find_state(start: Path) -> State:
    """The nearest `.balance` in `start` or above it, as git finds `.git`.

    Raises:
        StateError: there is none.
    """
    found = _nearest(start)
    if found is None:
        raise StateError(
            needed=f"a scanned collection (a {NAME} folder here or in a folder above)",
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
            needed=f"a {NAME} folder outside the collection, which balance never changes",
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
            next_step="change to a folder that you may write to: cd ELSEWHERE && balance scan FOLDER",
        ) from error
    return State(folder)


@contextmanager
def locked(state: State) -> Iterator[None]:
    """Keep other commands from writing to the state folder; a block within another one holds the same lock.

    The lock of a dead process is no lock.

    Raises:
        StateInUse: another process holds it.
    """
    from filelock import FileLock

    lock = FileLock(state.folder.resolve() / LOCK, mode=0o600, thread_local=False, is_singleton=True)
    _acquire(lock, state.folder / HOLDER)
    try:
        if lock.lock_counter == 1:
            (state.folder / HOLDER).write_text(str(os.getpid()), "ascii")
        yield
    finally:
        lock.release()


@contextmanager
def locked_near(*places: Path) -> Iterator[None]:
    """Lock the state folder of the first of these places that has one, in it or above; without one, lock nothing.

    Raises:
        StateInUse: another process holds it.
    """
    folder = next(filter(None, map(_nearest, places)), None)
    with nullcontext() if folder is None else locked(State(folder)):
        yield


def _acquire(lock: BaseFileLock, holder: Path) -> None:
    """Take the lock, or say whose it is: Windows lets nobody read a locked file, so that stands beside it."""
    from filelock import Timeout
    from psutil import pid_exists

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            lock.acquire(timeout=0)
            return
        except Timeout as error:
            number = _read(holder) or _read(Path(lock.lock_file)) or "unknown"  # version 0.1 wrote into the lock
            if not number.isdecimal() or pid_exists(int(number)) or time.monotonic() > until:
                raise StateInUse(
                    needed=f"no other balance command that uses this {NAME} folder",
                    found=f"process {number} is using it",
                    next_step=f"wait until it ends, or stop it (kill {number}); no work is lost",
                ) from error
        time.sleep(0.05)  # it is dead, and its children have not seen it yet


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _nearest(start: Path) -> Path | None:
    return next((folder / NAME for folder in (start, *start.parents) if (folder / NAME).is_dir()), None)
