"""Kill workers and drivers of `fill --engine ray`, and demand the tree of an undisturbed run in one process.

`python -m tests.torture.engine_kills 40 10` kills 40 workers and 10 drivers. Only processes below the driver that was
started here are killed. The generator is the free one, each batch of which takes a moment, so that kills meet work.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psutil

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


def main(of_workers: int, of_drivers: int) -> None:
    """Print what came of so many kills."""
    if find_spec("ray") is None:
        print("nothing killed: Ray is not installed (pip install 'xray-balancer[ray]')")
        return
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        one, many = Path(place) / "one", Path(place) / "many"
        install(Path(place) / "site", "slow", "Slow")
        for folder in (one, many):
            folder.mkdir()
            write_xrays(folder / "xrays", {"NORMAL": 24, "EFFUSION": 12, "NODULE": 8})
            reset(folder)
        finish(one, _FILL)
        left, drivers, runs = of_workers, of_drivers, 0
        while left or drivers:
            driver, before = start(many, _RAY), made(many)
            runs += 1
            while driver.poll() is None:
                time.sleep(chance.uniform(0.2, 1.5))
                there = workers(driver)
                if made(many) <= before or not there:
                    continue
                if left and (not drivers or chance.random() < 0.8):
                    chance.choice(there).send_signal(signal.SIGKILL)
                    left -= 1
                elif drivers:
                    driver.kill()
                    driver.wait()
                    drivers -= 1
                    time.sleep(2)
            if driver.returncode == 0:
                compare(one, many)
                reset(many)
            else:
                assert driver.returncode == -signal.SIGKILL, (Path(place) / "many.log").read_text()[-3000:]
            print(f"{of_workers - left} workers and {of_drivers - drivers} drivers killed", flush=True)
        finish(many, _RAY)
        compare(one, many)
        print(f"{of_workers} workers and {of_drivers} drivers killed in {runs} runs: nothing lost, nothing twice")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
