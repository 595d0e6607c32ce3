"""What is known of patients and views, its distribution in the training part, and one draw for all classes."""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import pandas as pd

SEXES = ("female", "male")
VIEWS = ("PA", "AP", "lateral")
_UPPER_BOUNDS = {"0-4": 5, "5-17": 18, "18-39": 40, "40-64": 65, "65+": math.inf}
AGE_GROUPS = tuple(_UPPER_BOUNDS)

Wordings = Mapping[str, Mapping[tuple[str, ...], str]]
"""For each slot its wordings, each under the values that must hold: `{"patient": {("female", "65+"): "of an ..."}}`."""


class Attributes(NamedTuple):
    """What is known of one image: sex, age group and view; None where it is not."""

    sex: str | None = None
    age: str | None = None
    view: str | None = None


def age_group(age: float | None) -> str | None:
    """The group of an age in years, None for an unknown one.

    >>> age_group(4.9), age_group(18), age_group(None)
    ('0-4', '18-39', None)
    """
    if age is None or math.isnan(age):
        return None
    return next(group for group, bound in _UPPER_BOUNDS.items() if age < bound)


def attributes_of(images: pd.DataFrame) -> dict[str, Attributes]:
    """What the rows of a table of images tell, by path."""
    columns = (images[name] for name in ("sex", "age", "view"))
    return {
        path: Attributes(_text(sex), age_group(age), _text(view))
        for path, sex, age, view in zip(images.index, *columns, strict=True)
    }


def sites_of(images: pd.DataFrame) -> pd.Series:
    """The hospital of each row of a table of images, where a column of a table, or a group of a pattern, is its site.

    >>> import pandas as pd
    >>> sites_of(pd.DataFrame({"told": ['{"site": "North"}', None]})).tolist()
    ['North', None]
    """
    import pandas as pd

    known = {text: json.loads(text).get("site") for text in images["told"].dropna().unique()}
    return pd.Series([known.get(text) for text in images["told"]], images.index, dtype=object)


def slot_words(wordings: Wordings, slots: Iterable[str], known: Attributes) -> dict[str, str]:
    """The texts of the slots that are known: the wording with the most values that hold; the first of several.

    A slot called sex, age or view without a fitting wording takes the value itself.

    >>> words = {"patient": {("female",): "of a woman", ("female", "65+"): "of an elderly woman"}}
    >>> slot_words(words, ["view"], Attributes("female", "65+", "PA"))
    {'view': 'PA', 'patient': 'of an elderly woman'}
    """
    values = {name: value for name, value in known._asdict().items() if value is not None}
    words = {name: value for name, value in values.items() if name in set(slots)}
    for slot, options in wordings.items():
        fitting = [key for key in options if set(key) <= set(values.values())]
        if fitting:
            words[slot] = options[max(fitting, key=len)]
    return words


def stated_in(wordings: Wordings, texts: Mapping[str, str]) -> Attributes:
    """What the texts of slots state: `slot_words` read backwards. What two wordings of one text disagree about is not.

    >>> words = {"patient": {("female",): "of a woman", ("female", "65+"): "of an elderly woman"}}
    >>> stated_in(words, {"view": "PA", "patient": "of an elderly woman", "exposure": "soft contrast"})
    Attributes(sex='female', age='65+', view='PA')
    """
    found: dict[str, str] = {}
    for slot, text in texts.items():
        keys = [set(key) for key, wording in wordings.get(slot, {}).items() if wording == text]
        if keys:
            found |= {_attribute_of(value): value for value in set.intersection(*keys)}
        elif slot == "view" or (slot in Attributes._fields and _attribute_of(text) == slot):
            found[slot] = text
    return Attributes(**found)


def _attribute_of(value: str) -> str:
    """The attribute that a value is one of; a table may have views of its own."""
    return "sex" if value in SEXES else "age" if value in AGE_GROUPS else "view"


@dataclass(frozen=True, slots=True)
class JointDistribution:
    """How often each combination of sex, age group and view occurs, unknown ones too."""

    counts: tuple[tuple[Attributes, int], ...] = ()

    @classmethod
    def fit(cls, images: pd.DataFrame) -> Self:
        """The distribution in these rows of a table of images, whatever their class.

        It is empty where nothing is known of any of them.
        """
        counts = Counter(attributes_of(images).values())
        if counts.keys() <= {Attributes()}:
            return cls()
        return cls(tuple(sorted(counts.items(), key=lambda item: str(item[0]))))

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> Self:
        """The distribution whose counts went through JSON."""
        return cls(tuple((Attributes(*values), count) for values, count in fields))

    def draw(self, index: int, seed: int = 0) -> Attributes:
        """The combination of image number `index`, the same in every class.

        Among the first N images each combination occurs as often as the distribution says, less than one more or
        less, for every N; so a longer run begins like a shorter one.

        >>> both = JointDistribution(((Attributes(view="AP"), 1), (Attributes(view="PA"), 2)))
        >>> sorted(str(both.draw(index).view) for index in range(6))
        ['AP', 'AP', 'PA', 'PA', 'PA', 'PA']
        """
        return self.counts[_order(self.counts, seed).place(index)][0] if self.counts else Attributes()


@dataclass(slots=True)
class _Order:
    """Which combination comes when (R. Tijdeman 1980, The chairman assignment problem, Discrete Mathematics 32).

    Occurrence j of a combination of share p has a first and a last place that keep its count within one of its
    share; of those that may come, the one comes whose last place is the earliest.
    """

    counts: Sequence[int]
    ranks: Sequence[int]
    places: list[int] = field(default_factory=list)
    later: list[tuple[int, int, int]] = field(default_factory=list)  # first place, combination, occurrence
    ready: list[tuple[int, int, int, int]] = field(default_factory=list)  # last place, rank, combination, occurrence

    def __post_init__(self) -> None:
        for which in range(len(self.counts)):
            self._await(which, 0)

    def place(self, index: int) -> int:
        while len(self.places) <= index:
            self._next()
        return self.places[index]

    def _next(self) -> None:
        now = len(self.places) + 1
        while self.later and self.later[0][0] <= now:
            _, which, occurrence = heapq.heappop(self.later)
            heapq.heappush(self.ready, (self._last(which, occurrence), self.ranks[which], which, occurrence))
        _, _, which, occurrence = heapq.heappop(self.ready)
        self.places.append(which)
        self._await(which, occurrence + 1)

    def _await(self, which: int, occurrence: int) -> None:
        slack, total = self._slack(), sum(self.counts)
        first = -(-total * (occurrence * slack + 1) // (self.counts[which] * slack)) if len(self.counts) > 1 else 0
        heapq.heappush(self.later, (first, which, occurrence))

    def _last(self, which: int, occurrence: int) -> int:
        slack = self._slack()
        return sum(self.counts) * ((occurrence + 1) * slack - 1) // (self.counts[which] * slack)

    def _slack(self) -> int:
        return max(1, 2 * len(self.counts) - 2)


@lru_cache(maxsize=16)
def _order(counts: tuple[tuple[Attributes, int], ...], seed: int) -> _Order:
    """The seed decides between combinations that could equally well come next."""
    by_chance = sorted(
        range(len(counts)), key=lambda which: hashlib.sha256(f"{seed}/{counts[which][0]}".encode()).digest()
    )
    ranks = {which: rank for rank, which in enumerate(by_chance)}
    return _Order([count for _, count in counts], [ranks[which] for which in range(len(counts))])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
