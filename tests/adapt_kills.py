"""Kill `balance adapt` at random moments, run it again, and compare with a run that nobody disturbed.

Run it alone for the long version: `python -m tests.adapt_kills 5` kills five runs of `adapt --base ... --steps 200`.
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

from tests.kills import balance, finished
from tests.tiny import write_pipeline, write_xrays

STEPS = 200
WEIGHTS = "pytorch_lora_weights.safetensors"


class Arena:
    """A scanned collection and a tiny base that is adapted to it again and again."""

    def __init__(self, folder: Path, steps: int = STEPS) -> None:
        self.folder, self._scanned = folder / "now", folder / "scanned"
        self._adapt = ("adapt", "--base", "base", "--steps", str(steps), "--device", "cpu", "--learning-rate", "0.01")
        self._scanned.mkdir(parents=True)
        write_xrays(self._scanned / "xrays", {"NORMAL": 60, "EFFUSION": 30, "NODULE": 8})
        write_pipeline(self._scanned / "base")
        finished(balance(self._scanned, "scan", "xrays", "--patient", r"(p\d+)-"))
        self.reset()
        began = time.monotonic()
        finished(balance(self.folder, *self._adapt))
        self.seconds = time.monotonic() - began
        self.wanted = self.state()

    def reset(self) -> None:
        """Back to the moment after the scan."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self._scanned, self.folder)

    def state(self) -> list[str]:
        """Hashes of the final weights and of the picture that shows what they change."""
        made = self.folder / ".balance" / "adapters" / "lora"
        return [hashlib.sha256((made / name).read_bytes()).hexdigest() for name in (WEIGHTS, "samples.png")]

    def kill_and_resume(self, kills: int, chance: random.Random) -> int:
        """Kill so many runs, each resumed; whenever one gets through, compare and begin anew. How many got through."""
        whole = 0
        while kills:
            process = balance(self.folder, *self._adapt)
            try:
                process.communicate(timeout=chance.uniform(0.2, 1) * self.seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                kills -= 1
            else:
                whole += self._compare()
                self.reset()
        finished(balance(self.folder, *self._adapt))
        return whole + self._compare()

    def _compare(self) -> int:
        assert self.state() == self.wanted
        return 1


def main(kills: int, seed: int = 0) -> None:
    """Print what came of so many kills."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder))
        whole = arena.kill_and_resume(kills, random.Random(seed))
    print(f"{kills} kills, {whole} runs got through (undisturbed: {arena.seconds:.1f} s): same weights each time")


if __name__ == "__main__":
    main(int(sys.argv[1]))
