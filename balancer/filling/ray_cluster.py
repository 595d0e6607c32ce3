"""Ray, started here or joined: nothing is reported to anybody, and no cluster is joined that the user did not name."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.errors import GenerationError, SettingsError, lacks_memory
from balancer.offline import quieten_libraries, stay_offline
from balancer.parallel import cores

LEAST = (2, 60)
"""The oldest version of Ray that this was made for."""
_INSTALL = "pip install 'xray-balancer[ray]'; or without it: {} --engine local"
START_SECONDS = 15.0
"""What Ray takes to start on this machine, about."""
_ANSWER = 10.0  # seconds within which a cluster that is there answers
_PREFIX = "balance-ray-"
HOME_OF_WORKERS = "BALANCE_RAY_HOME"
"""The variable that tells workers the home folder of the user."""
_OFF = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A running cluster: the package, and the processors and GPUs that it has now. `joined`: it is not ours."""

    ray: Any
    joined: bool

    @property
    def gpus(self) -> int:
        """How many GPUs the cluster has."""
        return int(self.ray.cluster_resources().get("GPU", 0))

    @property
    def processors(self) -> int:
        """How many processor cores the cluster has."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    @contextmanager
    def room(self, command: str) -> Iterator[None]:
        """What is put into the cluster's memory in the block, or taken out of it, has room there.

        Raises:
            GenerationError: it has not.
        """
        errors = self.ray.exceptions
        try:
            yield
        except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
            full = "memory" if isinstance(error, errors.ObjectStoreFullError) else "memory and disk"
            raise GenerationError(
                needed="room in the memory that Ray shares between processes (its object store)",
                found=f"its {full} full",
                next_step=f"free memory and disk there, or fewer workers: {command} --engine ray --workers 1; "
                "what is finished is kept",
            ) from error


@contextmanager
def ray_cluster(workers: int | None, device: str, command: str = "balance fill") -> Iterator[RayCluster]:
    """The cluster that RAY_ADDRESS names, else one of this machine alone, which ends with the block.

    `command` is what a person types, for messages.

    Raises:
        SettingsError: Ray is not installed, or RAY_ADDRESS names no cluster of the user's choice.
        GenerationError: the cluster cannot be reached, is of another version, or has no GPU where one is asked for.
    """
    address = address_of(os.environ)
    ray = require_ray(command)
    folder = None if address else _folder()
    own = {
        "address": "local",
        "num_cpus": max(workers or 1, cores()),
        "_temp_dir": folder,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
    theirs = {"address": address}
    try:
        with _translated(ray, address, command), _surroundings(os.environ, folder):
            _require_answer(address)
            ray.init(**(theirs if address else own), log_to_driver=False, logging_level="error")
        cluster = RayCluster(ray, address is not None)
        if device.startswith("cuda") and not cluster.gpus:
            raise GenerationError(
                needed="a cluster with a GPU, for --device cuda",
                found="no GPU in it now",
                next_step=f"add a machine with a GPU to the cluster, or: {command} --engine ray --device cpu",
            )
        yield cluster
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def starting() -> str:
    """What is said before Ray is started here, or a cluster is joined."""
    if address_of(os.environ) is not None:
        return "Joining the Ray cluster that RAY_ADDRESS names; Ray's usage statistics are off."
    return f"Starting Ray, which takes about {START_SECONDS:.0f} seconds; its usage statistics and dashboard are off."


def address_of(environment: MutableMapping[str, str]) -> str | None:
    """The cluster that the user named in RAY_ADDRESS; `None`: none, so that one is started here.

    >>> address_of({}), address_of({"RAY_ADDRESS": "10.0.0.1:6379"})
    (None, '10.0.0.1:6379')

    Raises:
        SettingsError: it asks for whatever cluster is found, or its token authentication is switched off.
    """
    address = environment.get("RAY_ADDRESS", "").strip()
    if address in ("", "local"):
        return None
    if address == "auto":
        raise SettingsError(
            needed="the address of your own cluster in RAY_ADDRESS",
            found="RAY_ADDRESS=auto, which joins any cluster that is found",
            next_step="export RAY_ADDRESS=HOST:6379; or for this machine alone: unset RAY_ADDRESS",
        )
    if environment.get("RAY_AUTH_MODE", "token") == "disabled":
        raise SettingsError(
            needed="a cluster with token authentication: anybody who reaches one without it can run programs there",
            found="RAY_AUTH_MODE=disabled",
            next_step="start the cluster with a token, then: export RAY_AUTH_MODE=token",
        )
    return address


def silence(environment: MutableMapping[str, str], *, joined: bool) -> None:
    """Switch off what Ray reports, and let only who has the token talk to it; before it is imported.

    A cluster of this machine gets a token of its own, so that none is written into the home folder.

    >>> settings = {}
    >>> silence(settings, joined=False)
    >>> settings["RAY_USAGE_STATS_ENABLED"], settings["RAY_AUTH_MODE"], len(settings["RAY_AUTH_TOKEN"])
    ('0', 'token', 64)
    """
    environment.update(_OFF)
    environment["RAY_AUTH_MODE"] = "token"
    if not joined:
        environment.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def require_ray(command: str) -> Any:
    """The package, silenced before it is imported.

    Raises:
        SettingsError: it is not installed or too old, or RAY_ADDRESS names no cluster of the user's choice.
    """
    silence(os.environ, joined=address_of(os.environ) is not None)
    step = _INSTALL.format(command)
    try:
        import ray
    except ImportError as error:
        raise SettingsError(needed="Ray, for --engine ray", found="it is not installed", next_step=step) from error
    found = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if found < LEAST:
        raise SettingsError(
            needed=f"Ray {'.'.join(map(str, LEAST))} or newer", found=f"Ray {ray.__version__}", next_step=step
        )
    return ray


def _folder() -> str:
    """A folder for what Ray writes, named after this process; those of processes that were killed are removed."""
    from psutil import pid_exists

    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        number = left.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")


@contextmanager
def _surroundings(environment: MutableMapping[str, str], folder: str | None) -> Iterator[None]:
    """Processes that begin in the block find the packages that this one finds.

    Where Ray is started here, its dashboard process would ask a cloud's metadata service which cloud this is, reporting
    or not. It does not where the home folder has a configuration; workers get the user's own home folder again.
    """
    changed = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if folder is not None:
        (Path(folder) / "ray_bootstrap_config.yaml").write_text("{}\n")
        changed |= {HOME_OF_WORKERS: environment.get("HOME", ""), "HOME": folder}
    before = {name: environment.get(name) for name in changed}
    environment.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            del environment[name]
            environment.update({} if value is None else {name: value})


def prepare_worker() -> None:
    """On a worker: the user's own home folder again, and no network for the libraries that load models."""
    if home := os.environ.pop(HOME_OF_WORKERS, ""):
        os.environ["HOME"] = home
    stay_offline()
    quieten_libraries()


def _require_answer(address: str | None) -> None:
    """Raise an OSError where nobody answers at HOST:PORT; Ray itself would go on asking for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
        except OSError as error:
            raise OSError(f"no answer from {address}: {error.strerror or error}") from error


@contextmanager
def _translated(ray: Any, address: str | None, command: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if lacks_memory(error):
            raise
        lines = (str(error) or type(error).__name__).splitlines()
        python = f"Python {sys.version.split()[0]}"
        if any("ersion mismatch" in line for line in lines):
            raise GenerationError(
                needed=f"the same Ray and {python} on every machine of the cluster",
                found=" ".join(line.strip() for line in lines)[:300],
                next_step=f"install it there: pip install ray=={ray.__version__}; then: {command} --engine ray",
            ) from error
        raise GenerationError(
            needed="a Ray cluster that this machine may use" if address else "a Ray cluster on this machine",
            found=lines[0][:300],
            next_step=f"check RAY_ADDRESS and the token (export RAY_AUTH_TOKEN=...), or: {command} --engine local",
        ) from error
