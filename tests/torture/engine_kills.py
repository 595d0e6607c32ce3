"""Kill workers and drivers of `fill --engine ray`, and demand the tree of an undisturbed run in one process.

`python -m tests.torture.engine_kills 40 10 [FOLDER]` kills 40 workers and 10 drivers; with a folder, the same command
goes on where an earlier one was stopped. Only processes below the driver that was
started here are killed. The generator is the free one, each batch of which takes a moment, so that kills meet work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from balancer.files import write_whole
from tests.support.cli_process import ROOT, tree_hash
from tests.support.tiny_models import write_xrays
from tests.torture.noise_generator import install

_FILL = ("fill", "--target", "120", "--max-ratio", "20", "--model", "slow:4", "--batch-size", "4", "--no-screen")
_RAY = (*_FILL, "--engine", "ray", "--workers", "2")
_PROGRAM = "from balancer.cli.app import main; main()"


def start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Run `balance WORDS` in a folder, with one thread, its output in a file there."""
    places = os.pathsep.join((str(folder.parent / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")))
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words], cwd=folder, env=environment, stdout=log, stderr=log
        )


def finish(folder: Path, words: tuple[str, ...]) -> None:
    """Run a command that must succeed."""
    code = start(folder, words).wait()
    assert code == 0, (folder.parent / f"{folder.name}.log").read_text("utf-8", "replace")[-3000:]


def workers(driver: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The generators below a driver that are there now."""
    try:
        below = psutil.Process(driver.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for each in below:
        try:
            found += [each] if "RayWorker" in " ".join(each.cmdline()) else []
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def made(folder: Path) -> int:
    """How many images there are."""
    return len(list((folder / ".balance" / "candidates").glob("*.png")))


def reset(folder: Path) -> None:
    """Back to where the fill begins."""
    shutil.rmtree(folder / "xrays-balanced", ignore_errors=True)
    shutil.rmtree(folder / ".balance", ignore_errors=True)
    finish(folder, ("scan", "xrays", "--patient", r"(p\d+)-"))


def compare(one: Path, many: Path) -> None:
    """Demand the same balanced folder and the same candidates."""
    for place in ("xrays-balanced", ".balance/candidates"):
        assert tree_hash(one / place) == tree_hash(many / place), f"another {place}"


@dataclass(slots=True)
class Count:
    """What was done so far, kept in a file at every kill."""

    place: Path
    workers: int = 0
    drivers: int = 0
    runs: int = 0
    compared: int = 0
    starts: int = 0

    @classmethod
    def at(cls, place: Path) -> Count:
        """Go on counting."""
        told = json.loads(place.read_text("utf-8")) if place.exists() else {}
        found = cls(place, **told)
        found.starts += 1
        return found

    def keep(self) -> None:
        """Write it, whole or not at all."""
        fields = {name: value for name, value in asdict(self).items() if name != "place"}
        write_whole(self.place, json.dumps(fields).encode())

    def __str__(self) -> str:
        """One line on all of it."""
        return f"{self.workers} workers and {self.drivers} drivers killed in {self.runs} runs"


def attack(place: Path, count: Count, of_workers: int, of_drivers: int) -> None:
    """Kill so many, those that were counted before included; the numbers are shared out by chance."""
    chance, one, many = random.Random(count.starts), place / "one", place / f"many-{count.starts}"
    folders = [many] if (place / "one.done").exists() else [one, many]
    shutil.rmtree(place / "site", ignore_errors=True)
    install(place / "site", "slow", "Slow")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_xrays(folder / "xrays", {"NORMAL": 24, "EFFUSION": 12, "NODULE": 8})
        reset(folder)
    if one in folders:
        finish(one, _FILL)
        (place / "one.done").touch()
    while count.workers < of_workers or count.drivers < of_drivers:
        driver, before = start(many, _RAY), made(many)
        count.runs += 1
        while driver.poll() is None:
            time.sleep(chance.uniform(0.2, 1.5))
            there = workers(driver)
            if made(many) <= before or not there:
                continue
            if count.workers < of_workers and (count.drivers >= of_drivers or chance.random() < 0.8):
                chance.choice(there).send_signal(signal.SIGKILL)
                count.workers += 1
            elif count.drivers < of_drivers:
                driver.kill()
                driver.wait()
                count.drivers += 1
                time.sleep(2)
            count.keep()
        if driver.returncode == 0:
            compare(one, many)
            count.compared += 1
            reset(many)
        else:
            assert driver.returncode == -signal.SIGKILL, (place / f"{many.name}.log").read_text()[-3000:]
        count.keep()
        print(count, flush=True)
    finish(many, _RAY)
    compare(one, many)
    count.compared += 1
    count.keep()


def main(of_workers: int, of_drivers: int, folder: str | None = None) -> None:
    """Print what came of so many kills; with a folder, go on where an earlier call was stopped."""
    if find_spec("ray") is None:
        print("nothing killed: Ray is not installed (pip install 'xray-balancer[ray]')")
        return
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch if folder is None else folder).resolve()
        place.mkdir(parents=True, exist_ok=True)
        count = Count.at(place / "count.json")
        count.keep()
        try:
            attack(place, count, of_workers, of_drivers)
        except BaseException:
            print(f"so far: {count}; {count.compared} trees compared, all of them alike", flush=True)
            raise
        print(f"{count}, {count.compared} trees compared: nothing lost, nothing twice")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:4])
