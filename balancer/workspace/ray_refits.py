"""Folds and redraws on workers of a Ray cluster, each with one GPU. The working folder is on a disk that all share."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, Self

from balancer.devices import software_versions
from balancer.errors import BalanceError, CollectionError, ComparisonError, StateInUse
from balancer.files import private_umask, write_whole
from balancer.filling.ray_cluster import RayCluster, prepare_worker, ray_cluster, starting
from balancer.interrupt import Stopped, was_stopped
from balancer.progress import Progress, Silent
from balancer.settings import Settings
from balancer.workspace.child import RUNS
from balancer.workspace.fold_runs import gpus_of
from balancer.workspace.workspace import Workspace

COMMAND = "balance compare"
MARK = "shared.mark"
"""A file by which a worker sees that a folder is the one that it was sent for."""
LOSSES = 3
"""Times that a worker may be lost over an `adapt` or a `fill`."""
_PAUSE = 1.0  # seconds after which Ctrl-C is heard at the latest
_PATIENCE = 10.0  # seconds until a lost worker has let go of the state folder


class RayRefits:
    """Runs `adapt` and `fill` on so many workers at once: by default one for each GPU of the cluster.

    A worker calls the library function in the folder of the fold and leaves there what comes of it. What a killed
    worker was doing goes on where it was. Use it in a `with` block: Ray starts with the first run.
    """

    def __init__(self, workers: int | None, device: str, say: Callable[[str], None] = lambda text: None) -> None:
        self._asked_for, self._device, self._say = workers, device, say
        self._stack, self._lock = ExitStack(), Lock()
        self._cluster: RayCluster | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *how: object) -> None:
        self._cluster = None
        self._stack.close()

    def _open(self) -> RayCluster:
        with self._lock:
            if self._cluster is None:
                self._say(starting())
                self._cluster = self._stack.enter_context(ray_cluster(self._asked_for, self._device, COMMAND))
            return self._cluster

    @property
    def _gpus(self) -> int:
        return int(self._device.startswith("cuda"))

    def places(self) -> list[str]:
        """A name for each run that there may be at once."""
        cluster = self._open()
        return [f"worker {number}" for number in range(self._asked_for or (cluster.gpus if self._gpus else 0) or 1)]

    def run(
        self, workspace: Workspace, command: str, settings: Settings, progress: Progress, gpu: str | None = None
    ) -> dict[str, Any]:
        """Run `adapt` or `fill` on a worker; its result as JSON. Ray chooses the GPU. Messages come when it ends.

        Raises:
            ComparisonError: the worker sees another folder, another collection or other versions, or was lost again.
            BalanceError: as the function raised it there.
        """
        ray, mark = self._open().ray, secrets.token_hex(16)
        write_whole(workspace.home / MARK, mark.encode())
        gpus = self._gpus * gpus_of([settings])
        _require_gpus(ray, gpus)
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0, max_calls=1)(run_on_worker)
        losses = 0
        while True:
            with self._open().room(COMMAND):
                answer = task.remote(workspace.home.resolve(), command, settings.to_json(), mark, software_versions())
            try:
                said, found = self._heard(answer)
            except StateInUse:
                if not losses:
                    raise
                reason = "its state folder is still in use"
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, (OSError, MemoryError)):
                    raise error.cause from error
                raise RuntimeError(str(error)) from error
            except ray.exceptions.RayError as error:
                reason = str(error).strip().partition("\n")[0][:300]
            else:
                for text in said:
                    progress.message(text)
                return found
            losses += 1
            if losses >= LOSSES:
                raise _lost(command, reason)
            progress.message(f"balance {command} goes on on another worker: its worker was lost ({reason}).")
            time.sleep(_PATIENCE)

    def _heard(self, answer: Any) -> tuple[list[str], dict[str, Any]]:
        ray = self._open().ray
        while not ray.wait([answer], timeout=_PAUSE)[0]:
            if was_stopped():
                ray.cancel(answer, force=True)
                raise Stopped
        try:
            found: tuple[list[str], dict[str, Any]] = ray.get(answer)
            return found
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, BalanceError):
                raise error.cause from None
            raise


class _Kept(Silent):
    """Keeps messages, to be shown elsewhere."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def run_on_worker(
    home: Path, command: str, settings: Mapping[str, Any], mark: str, versions: Mapping[str, str]
) -> tuple[list[str], dict[str, Any]]:
    """What runs on a worker: `adapt` or `fill` in the workspace at `home`; the messages, and the result as JSON.

    Raises:
        ComparisonError: the folder, its collection or the versions are not those of the machine that asks.
        BalanceError: what `adapt` or `fill` raises.
    """
    prepare_worker()
    os.umask(private_umask())
    require_same_place(home, mark, versions)
    heard = _Kept()
    found = RUNS[command](Workspace(home), settings, heard)
    return heard.said, found


def require_same_place(home: Path, mark: str, versions: Mapping[str, str]) -> None:
    """Look whether this machine sees the folder, its collection, and has the same versions.

    Raises:
        ComparisonError: it does not.
    """
    for name, found in software_versions().items():
        if versions.get(name) != found:
            raise _another(f"{name} {versions.get(name)} on every machine of the cluster", f"{name} {found}")
    try:
        seen = (home / MARK).read_text("ascii")
    except (OSError, ValueError):
        seen = None
    if seen != mark:
        found = "no such folder" if seen is None else "another folder at this path"
        raise _another(f"the working folder on a disk that all machines share, at the same path ({home})", found)
    try:
        with Workspace(home).session(write=False, several=True):
            pass
    except CollectionError as error:
        raise _another("the collection at the same path on every machine of the cluster", error.found) from error


def _require_gpus(ray: Any, wanted: int) -> None:
    """Refuse what no machine of the cluster could ever run: Ray would wait for one for ever."""
    found = max((int(each["Resources"].get("GPU", 0)) for each in ray.nodes() if each["Alive"]), default=0)
    if found < wanted:
        raise ComparisonError(
            needed=f"a machine with {wanted} GPUs in the cluster, as many as the last adapt had --workers",
            found=f"at most {found} in one",
            next_step=f"add one, or adapt and fill here: {COMMAND} --engine local",
        )


def _another(needed: str, found: str) -> ComparisonError:
    return ComparisonError(
        needed=needed,
        found=f"{found} on {socket.gethostname()}",
        next_step=f"make it the same there, or adapt and fill here: {COMMAND} --engine local",
    )


def _lost(command: str, reason: str) -> ComparisonError:
    return ComparisonError(
        needed=f"a worker that lives until balance {command} ends",
        found=f"{LOSSES} were lost over it; the last: {reason}",
        next_step=f"see to memory and disk there, or adapt and fill here: {COMMAND} --engine local",
    )
