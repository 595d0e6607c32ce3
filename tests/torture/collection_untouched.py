"""Run every command to its end under strace and demand that no file of the source collection is opened to be written.

`python -m tests.torture.collection_untouched` takes strace and unshare; `make test` does the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.support import all_commands
from tests.torture.scenarios import sources


def main() -> None:
    """Print what each command did to the collection, which should be nothing."""
    with tempfile.TemporaryDirectory() as name:
        work = all_commands.prepare(Path(name))
        before = sources(work / "data")
        commands = (*all_commands.ERRANDS, *all_commands.LAST)
        for done in all_commands.run_all(work, commands):
            print(
                f"balance {' '.join(done.arguments)}: {len(done.changes)} writable calls in the collection", flush=True
            )
            assert done.code == 0, done.output + done.messages
            assert done.changes == (), done.changes
            assert sources(work / "data") == before, f"{done.arguments} changed the collection"
        print(f"{len(commands)} commands: no writable call in the collection; bytes, modes and times as before")


if __name__ == "__main__":
    main()
