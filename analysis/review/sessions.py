"""What the page's server works with: a desk with images and answers, and the journal that the answers go into."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Protocol

from balancer.collection.scan import Collection
from balancer.errors import StateError
from balancer.store.database import Ledger
from balancer.store.state_dir import State, locked

_PATIENCE = 2.0  # seconds that an answer waits for another command's lock


class Refusal(Exception):
    """A request that cannot be carried out: its HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Desk(Protocol):
    """What the page's server needs to know of the images and the answers."""

    @property
    def blinded(self) -> bool:
        """Whether the reader is to tell real from synthetic."""
        ...

    @property
    def reader(self) -> str:
        """The name of the person who answers."""
        ...

    def overview(self) -> list[dict[str, Any]]:
        """What the page may know of every image, in order."""
        ...

    def pixels(self, name: str) -> bytes:
        """The grey values of an image by its name on the page."""
        ...

    def nearest(self, name: str) -> dict[str, Any]:
        """The real image that looks most like it."""
        ...

    def answer(self, name: str, fields: Mapping[str, Any]) -> None:
        """Append what the reader answered."""
        ...

    def undo(self) -> dict[str, Any]:
        """Take back the last answer of this run, by appending what was before; what the page may know of the image."""
        ...


@dataclass(frozen=True, slots=True)
class Journal:
    """A collection's ledger; the state folder is locked for the moment of each write alone: people read for hours."""

    state: State
    ledger: Ledger
    collection: Collection
    turn: RLock = field(default_factory=RLock)  # requests come in threads

    @contextmanager
    def writing(self) -> Iterator[Ledger]:
        """The ledger, with nobody else writing to it.

        Raises:
            StateError: another command holds the lock, and did so for two seconds.
        """
        until = time.monotonic() + _PATIENCE
        with self.turn, ExitStack() as held:
            while True:
                try:
                    held.enter_context(locked(self.state))
                    break
                except StateError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)
            yield self.ledger
