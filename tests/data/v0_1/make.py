"""How `work.tar.xz` beside this file was made, with the code of version 0.1 (commit 10bcc22) and nothing of today's.

    git worktree add OLD 10bcc22
    cd OLD && PYTHONPATH=. python .../tests/data/v0_1/make.py .../tests/data/v0_1

It runs against the old code only: its names are those of then. The archive keeps the times of the files.
"""

# mypy: ignore-errors
from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

TIME = 1_700_000_000  # seconds
_LEFT_OUT = ("lock", "ledger.sqlite-wal", "ledger.sqlite-shm", "reports/contact-sheet.png", "cache")


def main(target: Path) -> None:
    """Make `target/work.tar.xz`: a collection, its state folder and its balanced folder."""
    from tests.tiny import write_xrays

    from tests.torture import forked, free

    with tempfile.TemporaryDirectory() as scratch:
        free.install(Path(scratch) / "plug-in")
        forked.preload(networks=False)
        work = Path(scratch) / "work"
        write_xrays(work / "xrays", {"NORMAL": 16, "EFFUSION": 10, "NODULE": 6})
        (work / "xrays" / "NODULE" / "copy.png").write_bytes((work / "xrays" / "NODULE" / "p2000-0.png").read_bytes())
        (work / "patients.csv").write_text("patient,sex,age,view\np2000,F,30,PA\np0000,M,61,AP\n")
        for file in sorted((work / "xrays").rglob("*.png")):
            os.utime(file, (TIME, TIME))
        fill = ("fill", "--target", "12", "--model", "free:4", "--batch-size", "4", "--no-screen")
        few = ("--seeds", "2", "--steps", "2", "--size", "16", "--arm", "synthetic-all", "--workers", "1", "--force")
        for words in (
            ("scan", "xrays", "--patient", r"(p\d+)-", "--patients", "patients.csv", "--deep"),
            ("split", "--test", "0.3", "--val", "0.2", "--folds", "3", "--seed", "7"),
            fill,
        ):
            _done(forked.run(work, words))
        _decide(work)
        for words in (("merge",), ("compare", *few), ("report", "--private")):
            _done(forked.run(work, words))
        _close(work / ".balance" / "ledger.sqlite")
        for left in (work / ".balance" / name for name in _LEFT_OUT):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        _require_no_trace(work, scratch)
        with tarfile.open(target / "work.tar.xz", "w:xz") as archive:
            archive.add(work, "work", filter=_nobodys)


def _require_no_trace(work: Path, scratch: str) -> None:
    """No file may name a folder of the machine that this ran on."""
    for file in filter(Path.is_file, work.rglob("*")):
        for place in (scratch, sys.prefix, str(Path.home())):
            assert place.encode() not in file.read_bytes(), (file, place)


def _nobodys(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _done(ended) -> None:
    print(ended.output[-400:])
    assert ended.code == 0, ended.output


def _decide(work: Path) -> None:
    """A reader rejects an image and sends another to review; another reader answers in a blinded study."""
    from balancer.ledger import Ledger
    from balancer.state import State

    from balancer.jobs import Reading

    state = State(work / ".balance")
    os.chdir(work)
    with Ledger(state) as ledger:
        found = ledger.load_collection()
        judged = ledger.candidates(found, "NODULE")
        for (key, (_, verdict)), decision in zip(judged.items(), ("reject", "review"), strict=False):
            said = replace(verdict, decision=decision, reasons=(f"{decision} by a reader",), reviewer="A. Reader")
            ledger.add_verdict(found, key, said)
        image = "real NORMAL/p0000-0.png"
        study = "seed 0, 2 images"
        ledger.add_reading(found, Reading(study, "B. Reader", image, "real", "synthetic"), "00" * 32)
        ledger.save_setting(found, f"blinded study: {study}", [image])
    os.chdir("/")


def _close(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.execute("PRAGMA journal_mode=DELETE")
    base.execute("VACUUM")
    base.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
