"""The command line in processes that tests may kill, and one hash for a tree; `tests/torture` does the killing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

POCKET = Path(__file__).parents[2] / "examples" / "pocket"


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
    command = [sys.executable, "-c", "from balancer.cli.app import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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
