"""The long part: bombs of all formats, every byte of the structure turned, random damage, and all names.

`python -m tests.hostile.torture [ROUNDS]` takes about half an hour with 20,000 rounds; exit 1 at a fault.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.files import bombs, hostile_files
from tests.hostile.test_files import misdeeds, read_all

ROOT = Path(__file__).parents[2]
_AT_ONCE, SECONDS = 500, 10


def main() -> None:
    """Everything, and what must not be."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        faults = [*_judged(folder, hostile_files(every=1)), *_judged(folder, bombs())]
        faults += _judged(folder, _damaged(rounds))
    print("\n".join(faults) or "no fault in any file")
    tests = [f"tests/hostile/test_{name}.py" for name in ("names", "weights", "texts", "server")]
    environment = {**os.environ, "TORTURE": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", *tests], cwd=ROOT, env=environment, check=False)
    sys.exit(bool(faults or done.returncode))


def _judged(folder: str, files: Iterator[tuple[str, bytes]]) -> list[str]:
    """Write files, read them within limits and remove them, some at once; the faults."""
    faults, count, heaviest, slowest = [], 0, 0, 0.0
    while some := [file for file, _ in zip(files, range(_AT_ONCE), strict=False)]:
        for name, content in some:
            Path(folder, name).write_bytes(content)
        rows = read_all([Path(folder, name) for name, _ in some])
        faults += misdeeds(rows)
        faults += [f"{row['path']}: {row['seconds']} s" for row in rows if row["seconds"] > SECONDS]
        count += len(rows)
        heaviest = max(heaviest, *(row["bytes"] for row in rows))
        slowest = max(slowest, *(row["seconds"] for row in rows))
        for name, _ in some:
            Path(folder, name).unlink()
    print(f"{count} files: at most {slowest} s and {heaviest >> 20} MiB, {len(faults)} faults", flush=True)
    return faults


def _damaged(rounds: int) -> Iterator[tuple[str, bytes]]:
    """Hostile files with some bytes turned, taken out or doubled at random places; the same at every run."""
    chance = random.Random(0)
    small = [(name, content) for name, content in hostile_files() if 0 < len(content) < 20_000]
    for number in range(rounds):
        name, content = chance.choice(small)
        found = bytearray(content)
        for _ in range(chance.randrange(1, 9)):
            at = (
                chance.randrange(len(found) + 1)
                if chance.random() < 0.5
                else chance.randrange(min(len(found), 200) + 1)
            )
            found[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        yield f"r{number}-{name}", bytes(found)


if __name__ == "__main__":
    main()
