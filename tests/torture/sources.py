"""Run every command under strace and demand that no file of the source collection is ever opened to be written.

`python -m tests.torture.sources` takes strace; names after it choose some of the commands.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tiny import write_pipeline, write_xrays
from tests.torture.arena import CASES, FREE, SCAN, sources
from tests.torture.free import install

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *(SCAN, (*SCAN, "--deep"), ("split", "--test", "0.3"), FREE, CASES["adapt-base"].command),
    *(("prompts",), ("screen", "theirs"), CASES["merge"].command, ("probe", "xrays-balanced"), ("quality",)),
    *(CASES["compare"].command, ("report",), ("power",)),
    *(("verify", "xrays-balanced"), ("unmerge", "xrays-balanced")),
)
"""Another command is watched as soon as it stands here."""
_CHANGING = "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat"
_TOUCHING = "truncate,chmod,fchmodat,chown,fchownat,lchown,utime,utimes,utimensat,setxattr,rmdir,mknod,mknodat"
_HARMLESS = re.compile(r"open\w*\((?!.*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND))")


def changes(trace: str, place: str) -> list[str]:
    """The calls of a trace that could change something below a place, which only the end of a path tells apart."""
    named = [line for line in trace.splitlines() if f"{place}/" in line or f'{place}"' in line]
    return [line for line in named if not _HARMLESS.search(line) and "resumed" not in line]


def watched(folder: Path, words: tuple[str, ...], site: Path) -> list[str]:
    """Run a command; its calls that could have changed the collection."""
    log = folder / "trace"
    program = [sys.executable, "-c", "from balancer.cli import main; main()", *words]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    trace = ["strace", "-f", "-y", "-qq", "-s", "400", "-e", f"trace={_CHANGING},{_TOUCHING}", "-o", str(log)]
    ended = subprocess.run([*trace, *program], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1, 2), ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    found = changes(log.read_text(errors="replace"), "xrays")
    print(
        f"balance {' '.join(words)}: exit {ended.returncode}, {len(found)} writable calls in the collection", flush=True
    )
    return found


def main(names: list[str]) -> None:
    """Print what each command did to the collection, which should be nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder, site = Path(name) / "work", Path(name) / "site"
        install(site)
        write_xrays(folder / "xrays", {"NORMAL": 24, "EFFUSION": 12, "NODULE": 6})
        write_xrays(folder / "theirs", {"EFFUSION": 2, "NODULE": 3}, size=(40, 36))
        write_pipeline(folder / "base")
        before = sources(folder)
        chosen = [words for words in COMMANDS if not names or words[0] in names]
        for words in chosen:
            assert watched(folder, words, site) == []
            assert sources(folder) == before, f"{words[0]} changed the collection"
        print(f"{len(chosen)} commands: no writable call in the collection; bytes, modes and times as before")


if __name__ == "__main__":
    main(sys.argv[1:])
