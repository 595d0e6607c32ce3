"""Damage the ledger in every way a disk can, and demand that it is found, set aside and made anew without guessing.

`python -m tests.torture.damaged 200` flips that many pages beside the other damages; names after it choose some.
`python -m tests.torture.damaged --found 20000` only looks whether so many flipped pages and bytes are found. Every one
must be that changes what a row says: each has a checksum.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from balancer.errors import StateError
from balancer.store.database import Ledger
from balancer.store.review_log import NAME
from balancer.store.state_dir import State
from balancer.workspace.recovery import set_aside_if_damaged
from tests.torture import forked
from tests.torture.kills import place
from tests.torture.scenarios import FREE, SCAN, Arena, Case, done, snapshot

_PAGE = 4096
Damage = Callable[[Path], object]


def decide(folder: Path) -> None:
    """What a person decided: two images are rejected."""
    state = State(folder / ".balance")
    with Ledger(state) as ledger:
        collection = ledger.load_collection()
        assert collection is not None
        judged = ledger.candidates(collection, "NODULE")
        for key, (_, verdict) in list(judged.items())[:2]:
            rejected = replace(verdict, decision="reject", reasons=("rejected by a reader",), reviewer="A. Reader")
            ledger.add_verdict(collection, key, rejected)


CASE = Case(FREE, (SCAN, FREE), then=decide)


def damages(flips: int) -> Iterator[tuple[str, Damage]]:
    """What is done to the file, in words and in deed."""
    size = 40 * _PAGE
    yield "emptied", lambda path: path.write_bytes(b"")
    yield "garbage", lambda path: path.write_bytes(random.Random(0).randbytes(size))
    yield "garbage behind a sound header", lambda path: path.write_bytes(path.read_bytes()[:100] + b"\xff" * size)
    for share in (0.01, 0.3, 0.6, 0.9, 0.99):
        yield f"cut at {share:.0%}", lambda path, share=share: _cut(path, share)
    for table in ("candidates", "verdicts", "settings", "images", "split_parts"):
        yield f"without {table}", lambda path, table=table: _change(path, f"DROP TABLE {table}")
    yield "another job", lambda path: _change(path, "UPDATE candidates SET job = replace(job, 'seed\":', 'seed\":1')")
    yield "another class", lambda path: _change(path, "UPDATE candidates SET job = replace(job, 'NODULE', 'NORMAL')")
    yield "no job", lambda path: _change(path, "UPDATE candidates SET job = '{'")
    yield "no verdict", lambda path: _change(path, "UPDATE verdicts SET scores = substr(scores, 2)")
    yield "no text", lambda path: _change(path, "UPDATE settings SET value = CAST(x'ff22' AS TEXT)")
    for number in range(flips):
        yield f"page {number} of noise", lambda path, number=number: _flip(path, number)


def survive(arena: Arena, what: str, damage: Damage) -> str:
    """Damage the ledger and go on; what came of it, in a word."""
    arena.reset()
    ledger = arena.now / ".balance" / "ledger.sqlite"
    damage(ledger)
    first = forked.run(arena.now, FREE)
    assert first.code in (0, 2), f"{what}: {first.said}"
    assert "Traceback" not in first.output, f"{what}: {first.said}"
    again = done(forked.run(arena.now, SCAN))
    aside = list(arena.now.glob(".balance/ledger.sqlite.damaged-*"))
    if first.code == 2:
        assert "balance scan" in first.output, f"{what}: {first.said}"
        assert aside, f"{what}: refused, and not set aside\n{first.said}{again.said}"
    filled = done(forked.run(arena.now, FREE))
    if aside and "Nothing to do" not in filled.output:
        assert "Reused: " in filled.output, f"{what}: {filled.said}"
    found = snapshot(arena.now)
    assert (arena.now / ".balance" / NAME).read_bytes() == (arena.folder / "begin" / ".balance" / NAME).read_bytes()
    other = {name for name in arena.wanted if found.get(name) != arena.wanted[name]}
    assert other <= ({"table images"} if aside else set()), f"{what}: {sorted(other)} is another"
    return "set aside and made anew" if aside else "harmless"


def _cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def _change(path: Path, text: str) -> None:
    base = sqlite3.connect(path)
    base.execute(text)
    base.commit()
    base.close()


def _flip(path: Path, number: int) -> None:
    """A page that came back from the disk as something else."""
    content, chance = bytearray(path.read_bytes()), random.Random(number)
    at = chance.randrange(len(content) // _PAGE) * _PAGE
    size = chance.choice((16, 512, _PAGE))
    content[at : at + size] = chance.choice((bytes(size), chance.randbytes(size)))
    path.write_bytes(content)


def look(arena: Arena, rounds: int, flip: Callable[[Path, int], None]) -> Counter[str]:
    """Damage the ledger so often and look at it alone: found, harmless (every row as it was), or not found."""
    ledger, home = arena.now / ".balance" / "ledger.sqlite", arena.folder / "looked" / ".balance"
    (home / "candidates").mkdir(parents=True)
    content, rows, found = ledger.read_bytes(), _rows(ledger), Counter[str]()
    for number in range(rounds):
        for left in home.glob("ledger*"):
            left.unlink()
        damaged = home / ledger.name
        damaged.write_bytes(content)
        flip(damaged, number)
        if damaged.read_bytes() == content:
            continue
        if _is_noticed(State(home)):
            found["found"] += 1
        else:
            found["harmless" if _rows(damaged) == rows else "not found"] += 1
    shutil.rmtree(home)
    return found


def _is_noticed(state: State) -> bool:
    """Whether it is set aside, or refused: a turned byte of the version may look like a newer one."""
    try:
        return set_aside_if_damaged(state) is not None
    except StateError:
        return True


def _rows(path: Path) -> dict[str, list[str]]:
    """All that a ledger says, whatever its letters."""
    base = sqlite3.connect(path)
    base.text_factory = bytes
    names = [name.decode() for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: sorted(map(repr, base.execute(f"SELECT * FROM {name}"))) for name in names}
    base.close()
    return found


def _turn(path: Path, number: int) -> None:
    """Some bytes anywhere that came back as others."""
    content, chance = bytearray(path.read_bytes()), random.Random(number)
    size = chance.choice((1, 4, 16))
    at = chance.randrange(len(content) - size)
    content[at : at + size] = chance.choice((bytes(size), chance.randbytes(size)))
    path.write_bytes(content)


def main_found(rounds: int) -> None:
    """Print how many flipped pages and turned bytes were found; every page must be."""
    with place() as folder:
        arena = Arena(folder / "damaged", CASE)
        pages = look(arena, rounds, _flip)
        print(f"pages: {dict(pages)}", flush=True)
        assert pages.keys() <= {"found", "harmless"}, pages
        turned = look(arena, rounds, _turn)
        print(f"bytes: {dict(turned)}")
        assert turned.keys() <= {"found", "harmless"}, turned


def main(flips: int, names: list[str]) -> None:
    """Print what came of every damage, or of those named."""
    with place() as folder:
        arena = Arena(folder / "damaged", CASE)
        for what, damage in damages(flips):
            if not names or what in names:
                print(f"{what}: {survive(arena, what, damage)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--found":
        main_found(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]), sys.argv[2:])
