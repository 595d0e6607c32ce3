"""Kill `balance fill` at random moments, run it again, and compare with a run that nobody disturbed.

Run it alone for the long version: `python -m tests.kills 50`.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.tiny import write_xrays

POCKET = Path(__file__).parents[1] / "examples" / "pocket"


def tree_hash(folder: Path) -> str:
    """One hash over the names and bytes of all files below a folder."""
    lines = (
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def balance(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the command line in a folder, in a process group of its own."""
    command = [sys.executable, "-c", "from balancer.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,  # nobody is there to be asked
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a command that must succeed; what it printed."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


class Arena:
    """A scanned collection that is filled again and again."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self._scanned = folder / "now", folder / "scanned"
        how = ("--steps", "2", "--batch-size", "4", "--no-screen")
        self._fill = ("fill", "--target", "24", "--model", str(model), *how)
        self._scanned.mkdir(parents=True)
        write_xrays(self._scanned / "xrays", {"NORMAL": 30, "EFFUSION": 12, "NODULE": 6})
        finished(balance(self._scanned, "scan", "xrays", "--patient", r"(p\d+)-"))
        self.reset()
        began = time.monotonic()
        finished(balance(self.folder, *self._fill))
        self.seconds = time.monotonic() - began
        self.wanted = self.state()

    def reset(self) -> None:
        """Back to the moment after the scan."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._scanned, self.folder)

    def state(self) -> tuple[str, str]:
        """Hashes of the balanced folder and of the candidates."""
        return tree_hash(self.folder / "xrays-balanced"), tree_hash(self.folder / ".balance" / "candidates")

    def kill_and_resume(self, kills: int, chance: random.Random) -> int:
        """Kill so many runs, each resumed; whenever one gets through, compare and begin anew. How many got through."""
        whole = 0
        while kills:
            process = balance(self.folder, *self._fill)
            try:
                process.communicate(timeout=chance.uniform(0.1, 1) * self.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills -= 1
            else:
                whole += self._compare(process.returncode)
                self.reset()
        finished(balance(self.folder, *self._fill))
        return whole + self._compare(0)

    def _compare(self, code: int) -> int:
        assert code == 0
        assert self.state() == self.wanted
        finished(balance(self.folder, "verify", "xrays-balanced"))
        return 1


def main(kills: int, model: Path = POCKET, seed: int = 0) -> None:
    """Print what came of so many kills."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder), model)
        whole = arena.kill_and_resume(kills, random.Random(seed))
    print(f"{kills} kills, {whole} runs got through (undisturbed: {arena.seconds:.1f} s): same tree each time")


if __name__ == "__main__":
    main(int(sys.argv[1]))
