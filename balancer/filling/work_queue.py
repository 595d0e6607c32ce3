"""Which batch is made next, by whom, and what becomes of one that fails: the rules, without any engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from balancer.filling.runner import Batch, Made, SetAside

Worker = TypeVar("Worker", bound=Hashable)
STRIKES, FAILURES, LOSSES = 3, 6, 10
"""Workers on which a batch may fail; times that it may fail on fewer; times that a worker may be lost over it."""


@dataclass(slots=True)
class _Place:
    """A batch in its place in the order, and what happened to it."""

    batch: Batch
    struck: set[Hashable] = field(default_factory=set)
    failures: int = 0
    losses: int = 0
    found: Made | SetAside | None = None


@dataclass(slots=True)
class WorkQueue(Generic[Worker]):
    """Batches from `waiting` in order, handed out to workers and given back in the same order.

    At most `window` batches are on their way at once, from the oldest that is not given back: memory stays bounded
    however late one of them comes. A batch that failed goes to the front, and to another worker if one is there. After
    failing on `STRIKES` different workers it is set aside; so it is after `FAILURES` on fewer, or when `LOSSES` workers
    were lost over it. `repeated` counts the batches that went back.
    """

    waiting: Iterator[Batch]
    window: int
    repeated: int = 0
    _order: deque[_Place] = field(default_factory=deque)
    _again: deque[_Place] = field(default_factory=deque)
    _hands: dict[Worker, deque[_Place]] = field(default_factory=dict)
    _is_drained: bool = False

    def in_hand(self, worker: Worker) -> int:
        """How many batches a worker has."""
        return len(self._hands.get(worker, ()))

    def take(self, worker: Worker, ready: Iterable[Worker] = ()) -> Batch | None:
        """The next batch for a worker; `None`: there is none for it now. `ready`: all workers that are there now."""
        place = self._retried(worker, ready) or self._fresh()
        if place is None:
            return None
        self._hands.setdefault(worker, deque()).append(place)
        return place.batch

    def done(self, worker: Worker, made: Made) -> None:
        """A worker made a batch, the very one that it was handed."""
        self._removed(worker, made.batch).found = made

    def failed(self, worker: Worker, batch: Batch, reason: str) -> None:
        """A batch failed on a worker, which is there still: a strike."""
        place = self._removed(worker, batch)
        place.struck.add(worker)
        place.failures += 1
        self._back(place, len(place.struck) >= STRIKES or place.failures >= FAILURES, reason)

    def lost(self, worker: Worker, reason: str) -> int:
        """A worker is gone, or restarts: all that it had goes back, without a strike. How many batches that were.

        The first of them, which it was making, counts a loss: a batch may end every worker that makes it.
        """
        places = self._hands.pop(worker, deque())
        for number, place in enumerate(reversed(places), start=1):
            is_first = number == len(places)
            place.losses += is_first
            self._back(place, is_first and place.losses >= LOSSES, reason)
        return len(places)

    def ready(self) -> Iterator[Made | SetAside]:
        """What is finished and next in order."""
        while self._order and (found := self._order[0].found) is not None:
            self._order.popleft()
            yield found

    @property
    def is_over(self) -> bool:
        """Whether every batch was given back."""
        return self._is_drained and not self._order

    def _retried(self, worker: Worker, ready: Iterable[Worker]) -> _Place | None:
        for place in self._again:
            if worker not in place.struck or not {*ready} - place.struck:
                self._again.remove(place)
                return place
        return None

    def _fresh(self) -> _Place | None:
        if self._is_drained or len(self._order) >= self.window:
            return None
        batch = next(self.waiting, None)
        if batch is None:
            self._is_drained = True
            return None
        self._order.append(_Place(batch))
        return self._order[-1]

    def _removed(self, worker: Worker, batch: Batch) -> _Place:
        hand = self._hands[worker]
        place = next(each for each in hand if each.batch is batch)
        hand.remove(place)
        return place

    def _back(self, place: _Place, is_enough: bool, reason: str) -> None:
        if is_enough:
            place.found = SetAside(place.batch, reason)
        else:
            self.repeated += 1
            self._again.appendleft(place)
