"""Which images a step learns from: classes by the square root of their size, no image more often than a cap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from balancer.adapting.common import rng
from balancer.adapting.common.class_mixing import class_shares, class_weight, common_classes


@dataclass(slots=True)
class CappedSqrtSampler:
    """Draws batches like cards: a class is drawn by the square root of its size, its images in shuffled rounds.

    So no image of a class is seen twice before all are seen once, and none more than `cap` times: a class that is
    used up is left out, and the others are drawn in their old proportions. A batch is a pure function of the labels,
    the cap, the seed and the step. With a `prior` the common classes, larger than the mean class, have that share of
    every batch, to the next image, as long as others are left.

    >>> sampler = CappedSqrtSampler(["common"] * 4 + ["rare"], batch_size=2, cap=3, seed=0)
    >>> sampler.steps, len(sampler.draw(0))
    (7, 2)
    """

    labels: Sequence[str]
    batch_size: int
    cap: int
    seed: int
    prior: float | None = None
    common: Sequence[str] = field(init=False)
    _members: dict[str, list[int]] = field(init=False)
    _drawn: Counter[str] = field(init=False)
    _next: int = field(init=False, default=0)
    _rounds: dict[str, tuple[int, list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        self._members = {}
        for place, label in enumerate(self.labels):
            self._members.setdefault(label, []).append(place)
        self.common = common_classes(self.sizes)
        self._begin()

    @property
    def sizes(self) -> dict[str, int]:
        """How many images each class has."""
        return {name: len(members) for name, members in self._members.items()}

    @property
    def shares(self) -> dict[str, float]:
        """How often each class is drawn, before any is used up."""
        return class_shares(self.sizes, self.common, self.prior)

    @property
    def steps(self) -> int:
        """Steps until every image was seen as often as the cap allows."""
        return max(1, self.cap * len(self.labels) // self.batch_size)

    def draw(self, step: int) -> Tensor:
        """The places of the step's images, (batch_size,); one that was drawn before is worked out again."""
        if step < self._next:
            self._begin()
        while self._next < step:
            self._take()
        return torch.tensor(self._take())

    def exhausted(self, step: int) -> list[str]:
        """The classes that the first `step` steps have used up."""
        other = CappedSqrtSampler(self.labels, self.batch_size, self.cap, self.seed, self.prior)
        if step:
            other.draw(step - 1)
        return [label for label, members in other._members.items() if other._left(label, members) <= 0]

    def _begin(self) -> None:
        self._next, self._drawn, self._rounds = 0, Counter(), {}

    def _left(self, label: str, members: Sequence[int]) -> int:
        return self.cap * len(members) - self._drawn[label]

    def _take(self) -> list[int]:
        chance = rng.generator(self.seed, "deck", self._next)
        self._next += 1
        names = list(self._members)
        uniform = torch.rand(self.batch_size, generator=chance, dtype=torch.float64)
        if self.prior is not None:  # evenly spread shares, the common classes first
            names = sorted(names, key=lambda name: name not in self.common)
            uniform = (torch.arange(self.batch_size) + uniform[0]) / self.batch_size
        return [self._card(self._class(names, share)) for share in uniform.tolist()]

    def _class(self, names: Sequence[str], share: float) -> str:
        """The class at a share, from 0 to 1, of those that are left; of all, where none is."""
        open_classes = [name for name in names if self._left(name, self._members[name]) > 0] or names
        sizes = {name: len(self._members[name]) for name in open_classes}
        if self.prior is None:
            weights = [class_weight(size) for size in sizes.values()]
        else:
            weights = [*class_shares(sizes, self.common, self.prior).values()]
        place = share * sum(weights)
        for name, weight in zip(open_classes, weights, strict=True):
            place -= weight
            if place < 0:
                return name
        return open_classes[-1]

    def _card(self, label: str) -> int:
        number, members = self._drawn[label], self._members[label]
        self._drawn[label] += 1
        turn, place = divmod(number, len(members))
        if self._rounds.get(label, (-1, []))[0] != turn:
            order = torch.randperm(len(members), generator=rng.generator(self.seed, f"round of {label}", turn))
            self._rounds[label] = (turn, order.tolist())
        return members[self._rounds[label][1][place]]
