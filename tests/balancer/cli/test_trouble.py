"""Poor machines: little memory, no locale, a narrow terminal, a home that cannot be written, no shared memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from balancer.cli import console

ROOT = Path(__file__).parents[3]
FAILURES = [
    MemoryError(),
    ImportError("libtorch_cuda.so: failed to map segment from shared object"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes"),
    OSError(12, "Cannot allocate memory"),
]


def run(folder, *arguments, **environment):
    program = "from balancer.cli.app import main; main()"
    kept = {name: value for name, value in os.environ.items() if name not in ("LANG", "COLUMNS", "HOME")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("failure", FAILURES, ids=lambda each: type(each).__name__)
def test_too_little_memory_is_a_message(failure, capsys):
    with pytest.raises(SystemExit) as ended:
        console._explain(failure)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "needed: more memory" in said
    assert "next:" in said


def test_another_error_of_a_library_is_not_hidden():
    with pytest.raises(RuntimeError, match="shape"):
        console._explain(RuntimeError("shape mismatch"))


def test_no_locale_a_narrow_terminal_a_home_that_is_not_there_and_output_piped(tmp_path, xrays):
    (xrays / "NODULE").rename(xrays / "Lungenrundherd gr\u00f6\u00dfer")
    nowhere = str(tmp_path / "nowhere" / "home")
    done = run(tmp_path, "scan", "xrays", LC_ALL="C", LANG="C", COLUMNS="40", HOME=nowhere)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert "gr\u00f6\u00dfer".encode() in done.stdout or b"gr\\xf6\\xdfer" in done.stdout
    assert not Path(nowhere).exists()
