"""Reads each file in a process of its own and says what came of it: `python -m tests.hostile.reading FILE...`.

One line of JSON for each: the path, what each reader said, the processor seconds of the slowest and the most memory it
held in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path

from tests.support.cli_process import PATIENCE

BYTES = 1 << 30
READERS = ("header", "look", "grey", "marks")


def main() -> None:
    """Read all files that are named on the command line, or on stdin one a line."""

    import balancer.dataset.xmp
    import balancer.imaging.reduced_decode  # noqa: F401  # what a scan has loaded when it begins

    for name in sys.argv[1:] or (line.rstrip("\n") for line in sys.stdin):
        print(json.dumps({"path": name, **measure(name)}), flush=True)


def measure(name: str) -> dict[str, object]:
    """What the readers make of one file, in a child that may be killed."""
    ours, theirs = os.pipe()
    began, child = time.monotonic(), os.fork()
    if child == 0:
        os.close(ours)
        os.write(theirs, json.dumps(read(name)).encode())
        os._exit(0)
    os.close(theirs)
    ready, _, _ = select.select([ours], [], [], PATIENCE)
    if not ready:
        os.kill(child, signal.SIGKILL)
    said = os.read(ours, 1 << 16)
    os.close(ours)
    _, status, used = os.wait4(child, 0)
    crash = f"CRASH: status {status}" if ready else "CRASH: it hangs"
    words, seconds = json.loads(said) if said else ({"header": crash}, time.monotonic() - began)
    return {"said": words, "seconds": round(seconds, 2), "bytes": used.ru_maxrss * 1024}


def read(name: str) -> tuple[dict[str, str], float]:
    """ "accepted", why it was set aside, or the crash, for each reader."""
    from balancer.dataset.xmp import read_provenance
    from balancer.errors import ImageError
    from balancer.imaging.decode import read_grey
    from balancer.imaging.headers import read_headers
    from balancer.imaging.reduced_decode import read_draft

    path = Path(name)

    def header() -> None:
        (row,) = read_headers(path.parent, [(path.name, True)])
        if isinstance(row, ImageError):
            raise row

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found, slowest = {}, 0.0
    calls = (header, lambda: read_draft(name, 112), lambda: read_grey(path), lambda: read_provenance(path))
    for reader, call in zip(READERS, calls, strict=True):
        began = time.process_time()
        try:
            call()
            found[reader] = "accepted"
        except ImageError as error:
            found[reader] = f"aside: {error.found}"
        except BaseException as error:
            found[reader] = f"CRASH {type(error).__name__}: {error}"[:300]
        slowest = max(slowest, time.process_time() - began)
    return found, slowest


if __name__ == "__main__":
    main()
