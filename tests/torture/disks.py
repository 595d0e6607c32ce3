"""Fill onto a small disk that has 10, 50, 90 or 99% of the room that is needed: refused beforehand, or nothing partial.

`python -m tests.torture.disks` mounts a tmpfs for each; it takes the right to mount.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture import forked
from tests.torture.kills import place
from tests.torture.scenarios import FREE, SCAN, Arena, Case, done

SHARES = (0.1, 0.5, 0.9, 0.99)
_PAGE = 4096
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes.

    Raises:
        PermissionError: there is no right to mount.
    """
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("may not mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def needed(arena: Arena, folder: Path) -> int:
    """What the estimate asks for where there is next to nothing."""
    with disk(folder, _PAGE) as small:
        found = re.search(r"needed: ([\d.,]+) (B|kB|MB|GB) of free disk", refuse(arena, small))
    assert found, "no estimate"
    return round(float(found[1].replace(",", "")) * _UNITS[found[2]])


def taken(folder: Path) -> int:
    """What a folder takes on a tmpfs: whole pages, and one for each folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in files)


def refuse(arena: Arena, small: Path) -> str:
    """Fill onto a disk that is too small; what it said."""
    arena.reset()
    ended = forked.run(arena.now, (*FREE, "--out", str(small / "balanced")))
    assert ended.code == 2, ended.said
    assert all(part in ended.output for part in ("needed: ", "found:  ", "next:   ")), ended.said
    assert list(small.iterdir()) == [], f"{list(small.iterdir())}: something was begun"
    assert not list(arena.now.glob(".balance/candidates/*")), "images were made in vain"
    return ended.output


def fill_up(arena: Arena, small: Path) -> None:
    """Merge onto a disk that is too small, the estimate passed over: nothing partial is to be seen."""
    arena.reset()
    out = small / "balanced"
    ended = forked.run(arena.now, (*FREE, "--out", str(out)), prepare=_no_estimate)
    assert ended.code == 2, ended.said
    assert all(part in ended.output for part in ("needed: ", "found:  ", "next:   ")), ended.said
    assert not out.exists(), "half a folder"


def _no_estimate() -> None:
    from balancer.cli.commands import fill

    fill._require_room = lambda order: None


def main() -> None:
    """Print what came of each size."""
    with place() as folder:
        arena = Arena(folder / "arena", Case(FREE, (SCAN,)))
        estimate = needed(arena, folder / "none")
        done(forked.run(arena.now, FREE))
        truth = taken(arena.now / "xrays-balanced")
        for share in SHARES:
            with disk(folder / f"estimated-{share}", round(share * estimate)) as small:
                refuse(arena, small)
            with disk(folder / f"full-{share}", int(share * truth) // _PAGE * _PAGE) as small:
                fill_up(arena, small)
            print(f"{share:.0%} of {estimate} bytes: refused; of {truth}, not estimated: nothing partial", flush=True)


if __name__ == "__main__":
    main()
