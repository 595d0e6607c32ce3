"""Kill commands at random moments, resumes included, and demand what undisturbed runs leave.

`python -m tests.torture.kills 50 fill merge` kills each of the two 50 times; without names, all that are quick.
"""

from __future__ import annotations

import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture import forked, noise_generator
from tests.torture.scenarios import CASES, USUAL, Arena

_MEMORY = Path("/dev/shm")  # where there is one: thousands of syncs are slow on a disk


@contextmanager
def place(*names: str) -> Iterator[Path]:
    """A folder for arenas of these cases, with the free generator installed and what they need imported."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        noise_generator.install(Path(folder) / "site")
        forked.preload(networks=any(name.startswith(("adapt", "fill-pocket")) for name in names))
        yield Path(folder)


def kill_and_resume(arena: Arena, kills: int, chance: random.Random, sign: int = signal.SIGKILL) -> int:
    """Stop so many runs, each gone on with; whenever one gets through, compare and begin anew. How many got through."""
    through = 0
    while kills:
        ended = forked.run(arena.now, arena.case.command, after=chance.uniform(0.01, 1) * arena.seconds, sign=sign)
        if ended.code == 0:
            arena.compare()
            arena.reset()
            through += 1
            continue
        _require_stopped(ended, sign)
        kills -= 1
        arena.require_whole()
        if arena.is_over:
            arena.compare()
            arena.reset()
    arena.finish()
    return through + 1


def _require_stopped(ended: forked.Ended, sign: int) -> None:
    if ended.code == -sign:  # a kill; or a signal so early that the command had not begun
        return
    assert (sign, ended.code) != (signal.SIGKILL, 130)
    assert ended.code == 130, ended.said
    assert "run again: balance" in ended.output, ended.said
    assert "Traceback" not in ended.output, ended.said


def main(kills: int, names: list[str], signs: tuple[int, ...] = (signal.SIGKILL,)) -> None:
    """Print what came of so many kills of each command."""
    names = names or list(USUAL)
    with place(*names) as folder:
        for name in names:
            for sign in signs:
                arena = Arena(folder / f"{name}-{sign}", CASES[name])
                through = kill_and_resume(arena, kills, random.Random(f"{name} {sign}"), sign)
                kind = signal.Signals(sign).name
                print(
                    f"{name}: {kills} {kind}, {through} runs got through ({arena.seconds:.2f} s): nothing lost",
                    flush=True,
                )


if __name__ == "__main__":
    gentle = sys.argv[1] == "--signals"
    count, *names = sys.argv[1 + gentle :]
    main(int(count), names, (signal.SIGINT, signal.SIGTERM) if gentle else (signal.SIGKILL,))
