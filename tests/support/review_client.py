"""A reader of the page that a command serves: answers its first image and presses Finish, all in one process tree.

`python -m tests.support.review_client COMMAND...` prints what the command prints, and ends with its exit code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.request import Request, urlopen

from tests.support.cli_process import PATIENCE


def main(command: list[str]) -> int:
    """Serve, answer, finish; the exit code of the command."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    address = process.stdout.readline().strip()
    read(address)
    print(address, process.stdout.read())
    return process.wait()


def read(address: str) -> None:
    """Answer the first image of a page, and finish."""
    page, _, token = address.partition("?token=")

    def ask(path: str, fields: dict[str, object] | None = None) -> dict[str, object]:
        content = None if fields is None else json.dumps(fields).encode()
        headers = {"x-balance-token": token, "content-type": "application/json"}
        with urlopen(Request(page + path, content, headers), timeout=PATIENCE) as answer:
            return dict(json.load(answer))

    shown = ask("cases")
    given = {"answer": "real"} if shown["blinded"] else {"decision": "accept"}
    ask("answer", {"id": shown["cases"][0]["id"], **given})  # type: ignore[index]
    ask("finish", {})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
