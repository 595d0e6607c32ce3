"""One of several parts of a fill, and which batches are its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from balancer.jobs import Job

_SHARD = re.compile(r"(\d{1,6})/(\d{1,6})")
_FOLDER = re.compile(r"shard-(\d{1,6})-of-(\d{1,6})")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    @classmethod
    def from_text(cls, text: str) -> Shard:
        """The shard that `--shard` names.

        >>> Shard.from_text("3/8")
        Shard(number=3, count=8)

        Raises:
            ValueError: it is not K/N with K from 1 to N.
        """
        return cls._matched(_SHARD.fullmatch(text), text)

    @classmethod
    def from_folder(cls, name: str) -> Shard:
        """The shard whose folder has this name.

        Raises:
            ValueError: it is the name of another folder.
        """
        return cls._matched(_FOLDER.fullmatch(name), name)

    @property
    def folder(self) -> str:
        """The name of its folder.

        >>> Shard(3, 8).folder
        'shard-3-of-8'
        """
        return f"shard-{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def own(self, batches: Iterable[Sequence[Job]], labels: Sequence[str], batch_size: int) -> list[Sequence[Job]]:
        """The batches that this shard makes."""
        return [batch for batch in batches if shard_of(batch, labels, batch_size, self.count) == self]

    @classmethod
    def _matched(cls, found: re.Match[str] | None, text: str) -> Shard:
        number, count = (0, 0) if found is None else map(int, found.groups())
        if not 1 <= number <= count:
            raise ValueError(text)
        return cls(number, count)


def shard_of(batch: Sequence[Job], labels: Sequence[str], batch_size: int, count: int) -> Shard:
    """The shard of `count` that a batch belongs to, whichever other batches there are still to make.

    Batches of a class go round the shards, and each class (of `labels`) begins with another.
    """
    first = batch[0]
    return Shard((labels.index(first.label) + first.index // batch_size) % count + 1, count)
