"""What people decided, written down a second time beside the ledger: no machine can make it again.

Each answer is a line under its own SHA-256, in a file that only grows. A new ledger takes an answer up again for the
very bytes that it was given for, and for nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from balancer.errors import StateError
from balancer.jobs import BlindedAnswer, Verdict

NAME = "decisions.jsonl"


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """What a person said `at` a time (ISO 8601, UTC) of an image with this content, in a blinded study or not.

    `collection` and `image` are the ledger's names. `by_screen`: the person took back what they had said, so that the
    screen's word counts again.
    """

    collection: str
    image: str
    sha256: str
    at: str
    said: Verdict | BlindedAnswer
    by_screen: bool = False


def write_down(folder: Path, decision: ReviewRecord) -> None:
    """Append a decision; it is safe on disk then.

    Raises:
        StateError: it cannot be written.
    """
    kind = "reading" if isinstance(decision.said, BlindedAnswer) else "verdict"
    fields = asdict(decision)
    fields[kind] = fields.pop("said")
    text = json.dumps(fields, sort_keys=True)
    try:
        descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"\n{_digest(text)} {text}".encode())  # first a line end: half a line spoils no other
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise StateError(
            needed=f"free space and permission to write .balance/{NAME}, which stores the decisions of people",
            found=error.strerror or str(error),
            next_step="correct this, then answer again; the same balance review continues from here",
        ) from error


def read_decisions(folder: Path) -> Iterator[ReviewRecord | None]:
    """All decisions as they were written, the earliest first; `None` for a line that is not as it was written.

    Raises:
        OSError: the file is there and cannot be read.
    """
    if not (folder / NAME).exists():
        return
    for line in filter(None, (folder / NAME).read_bytes().split(b"\n")):
        digest, _, text = line.decode(errors="replace").partition(" ")
        yield _from(text) if digest == _digest(text) else None


def _from(text: str) -> ReviewRecord:
    fields = json.loads(text)
    reading, verdict = fields.pop("reading", None), fields.pop("verdict", None)
    if reading:
        return ReviewRecord(**fields, said=BlindedAnswer(**reading))
    return ReviewRecord(**fields, said=Verdict(**{**verdict, "reasons": tuple(verdict["reasons"])}))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
