"""The commands that are attacked, where each of them begins, and what it must have left behind in the end."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.cli_process import POCKET, tree_hash
from tests.support.tiny_models import write_pipeline, write_xrays
from tests.torture.forked import Ended, run

Words = tuple[str, ...]
SCAN: Words = ("scan", "xrays", "--patient", r"(p\d+)-")
FREE: Words = ("fill", "--target", "16", "--model", "free:4", "--batch-size", "4", "--no-screen")
_SMALL: Words = ("--base", "base", "--batch-size", "2", "--rank", "4", "--learning-rate")
_FEW: Words = ("--seeds", "2", "--steps", "2", "--size", "16", "--arm", "synthetic-all", "--workers", "1")
_FROM_SCRATCH: Words = ("adapt", "--from-scratch", "--steps", "3", "--batch-size", "2", "--size", "32")
_VOLATILE = {"checksum", "at", "scanned_at", "place"}  # the arena is a copy: `place` is where it was scanned


@dataclass(frozen=True, slots=True)
class Case:
    """A command under attack; `before` are the commands that lead to where it begins, `then` what is done by hand.

    `unless`: a file that is gone once it is done: there is nothing to run again then.
    """

    command: Words
    before: Sequence[Words] = (SCAN,)
    unless: str | None = None
    then: Callable[[Path], None] = lambda folder: None


CASES = {
    "scan": Case(SCAN, ()),
    "scan-deep": Case((*SCAN, "--deep"), (SCAN,)),
    "split": Case(("split", "--test", "0.3", "--val", "0.2", "--folds", "3", "--seed", "5")),
    "fill": Case(FREE),
    "fill-more": Case(FREE, (SCAN, (*FREE, "--target", "NODULE=8"))),
    "fill-pocket": Case((*FREE, "--model", str(POCKET), "--steps", "2")),
    "merge": Case(("merge", "--from", "theirs", "--no-screen"), (SCAN, FREE)),
    "unmerge": Case(("unmerge", "xrays-balanced"), (SCAN, FREE), "xrays-balanced/balance.json"),
    "compare": Case(("compare", *_FEW, "--force"), (SCAN, FREE)),
    "adapt-scratch": Case(_FROM_SCRATCH),
    "adapt-base": Case(("adapt", *_SMALL, "0.5", "--steps", "4")),  # so that four steps change something
    "adapt-two": Case((*_FROM_SCRATCH, "--workers", "2", "--device", "cpu")),
    "adapt-200": Case(("adapt", *_SMALL, "0.01", "--steps", "200")),
}
"""Another command is attacked as soon as it stands here."""
USUAL = tuple(name for name in CASES if name not in ("adapt-200", "adapt-two"))
"""Those that are quick enough to be attacked thousands of times."""


@dataclass(slots=True)
class Arena:
    """A small collection in `folder/now`, taken back to where a case begins as often as it takes."""

    folder: Path
    case: Case
    seconds: float = field(init=False)
    wanted: dict[str, str] = field(init=False)
    sources: str = field(init=False)

    @property
    def now(self) -> Path:
        """Where the commands run."""
        return self.folder / "now"

    def __post_init__(self) -> None:
        begin = self.folder / "begin"
        begin.mkdir(parents=True)
        write_xrays(begin / "xrays", {"NORMAL": 24, "EFFUSION": 12, "NODULE": 6})
        write_xrays(begin / "theirs", {"EFFUSION": 2, "NODULE": 3, "NORMAL": 0}, size=(40, 36))
        if "base" in self.case.command:
            write_pipeline(begin / "base")
        for words in self.case.before:
            done(run(begin, words))
        self.case.then(begin)
        self.reset()
        self.seconds = done(run(self.now, self.case.command)).seconds
        self.wanted, self.sources = snapshot(self.now), sources(self.now)
        self.reset()

    def reset(self) -> None:
        """Back to where the case begins."""
        shutil.rmtree(self.now, ignore_errors=True)
        shutil.copytree(self.folder / "begin", self.now, symlinks=True)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to run again: the command was killed just after its last step."""
        return self.case.unless is not None and not (self.now / self.case.unless).exists()

    def finish(self) -> None:
        """Run it to its end, and demand what an undisturbed run leaves: no image lost, none twice, no other byte."""
        if not self.is_over:
            done(run(self.now, self.case.command))
        self.compare()

    def compare(self) -> None:
        """Demand what an undisturbed run leaves."""
        found = snapshot(self.now)
        other = {name for name in found.keys() | self.wanted.keys() if found.get(name) != self.wanted.get(name)}
        assert not other, f"not as an undisturbed run leaves it: {sorted(other)}"
        assert sources(self.now) == self.sources, "the source collection was touched"

    def require_whole(self) -> None:
        """Demand that nothing half-made can be taken for whole, at whatever moment."""
        out, state = self.now / "xrays-balanced", self.now / ".balance"
        if out.exists() and self.case.unless is None:
            whole = {tree_hash(self.folder / "begin" / out.name), self.wanted[out.name]}
            assert tree_hash(out) in whole, "half a balanced folder"
        for made in (state / "adapters").glob("*/"):
            if not made.name.endswith((".training", ".partial")):
                assert _adapter(made) == self.wanted[f"adapter {made.name}"], "half an adapter"
        require_files(state)


def done(ended: Ended) -> Ended:
    """Demand that a command succeeded."""
    assert ended.code == 0, ended.said
    return ended


def snapshot(folder: Path) -> dict[str, str]:
    """Hashes of all that a command leaves behind, but for times; and the names of what should not be there."""
    state = folder / ".balance"
    found = {name: tree_hash(folder / name) for name in ("xrays-balanced",) if (folder / name).exists()}
    found |= {"candidates": tree_hash(state / "candidates"), **_ledger(state / "ledger.sqlite")}
    for made in (state / "adapters").glob("*/"):
        found[f"adapter {made.name}"] = _adapter(made)
    for said in (state / "comparisons").rglob("*.npy"):
        found[f"run {said.relative_to(state)}"] = hashlib.sha256(said.read_bytes()).hexdigest()
    left = [
        path.name for path in (*folder.glob(".*"), *state.rglob(".*")) if ".partial" in path.name or "tmp" in path.name
    ]
    return found | {"leftovers": " ".join(left)}


def sources(folder: Path) -> str:
    """Names, bytes, modes and times of the source collection."""
    lines = []
    for path in sorted((folder / "xrays").rglob("*")):
        stat = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        times = stat.st_mtime_ns if path.is_file() else 0  # copytree makes the folders anew
        lines.append(f"{path.relative_to(folder)} {content} {stat.st_mode} {times}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def require_files(state: Path) -> None:
    """Demand that each candidate on record has its file, whole, and that no id is there twice."""
    path = state / "ledger.sqlite"
    if not path.exists() or not _query(path, "SELECT name FROM sqlite_master WHERE name = 'candidates'"):
        return  # killed before it held anything
    rows = _query(path, "SELECT id, file, sha256 FROM candidates")
    assert len({key for key, _, _ in rows}) == len(rows)
    for _, file, sha256 in rows:
        assert hashlib.sha256((state / "candidates" / file).read_bytes()).hexdigest() == sha256, f"{file} is damaged"


def _adapter(folder: Path) -> str:
    kept = [path for path in sorted(folder.rglob("*")) if path.suffix in (".safetensors", ".png", ".txt")]
    hashes = (hashlib.sha256(path.read_bytes()).hexdigest() for path in kept)
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _ledger(path: Path) -> dict[str, str]:
    """A hash of each table's rows, but for times."""
    found = {}
    if not path.exists():
        return found
    for (name,) in _query(path, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = [row[1] for row in _query(path, f"PRAGMA table_info({name})") if row[1] not in _VOLATILE]
        timed = " WHERE name NOT LIKE 'seconds of %' AND name NOT LIKE 'run of %'" if name == "settings" else ""
        rows = sorted(map(repr, _query(path, f"SELECT {', '.join(columns)} FROM {name}{timed}")))
        found[f"table {name}"] = f"{len(rows)} rows " + hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def _query(path: Path, text: str) -> list[tuple[object, ...]]:
    base = sqlite3.connect(path)
    try:
        return base.execute(text).fetchall()
    finally:
        base.close()
