"""Names of classes: their words, and which name of a pack a folder's name means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

_NEGATIONS = {"no", "not", "non", "none", "without", "absent", "absence", "negative", "free", "never", "nor"} | {
    *("excluded", "out", "minus", "anti"),
}
_PARTS = re.compile(r"[()\[\]{}<>/|;,+&]|\bor\b|_or_", re.IGNORECASE)
_LONGEST_ABBREVIATION = 5

Name = TypeVar("Name", bound=Hashable)


@lru_cache(maxsize=4096)
def words_of(label: str) -> tuple[str, ...]:
    """Lower-case words of a folder's name: whatever is no letter, digit or accent separates.

    >>> words_of("pleuralEffusion_2")
    ('pleural', 'effusion', '2')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", label))
    kept = (c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in spaced)
    return tuple("".join(kept).lower().split())


def find_loosely(label: str, names: Mapping[Name, Iterable[str]]) -> Name | None:
    """The one entry whose names a label means when plurals, order, numbering and synonyms in brackets are forgiven.

    Every part of the label (in brackets, behind a slash) must mean the same entry, be an abbreviation of it, or be
    a number; "Fracture (healed)" is not known to be a fracture. A label that negates anything means none.

    >>> find_loosely("NODULES_1", {"nodule": ["nodule"], "mass": ["mass"]})
    'nodule'
    >>> find_loosely("no nodules", {"nodule": ["nodule"]}) is None
    True
    """
    if _NEGATIONS & set(words_of(label)):
        return None
    known: dict[tuple[str, ...], Name] = {}
    for entry, many in names.items():
        for name in many:
            known.setdefault(_loose(name), entry)
    for whole in (_loose(label), _loose(_unnumbered(label))):
        if whole in known:
            return known[whole]
    parts = [part for part in _PARTS.split(label) if words_of(part) and not _is_number(part)]
    found = {known[_loose(part)] for part in parts if _loose(part) in known}
    if len(found) != 1:
        return None
    (entry,) = found
    rest = [part for part in parts if _loose(part) not in known]
    meant = [part for part in parts if _loose(part) in known]
    return entry if all(any(_abbreviates(short, long) for long in meant) for short in rest) else None


@lru_cache(maxsize=4096)
def _loose(label: str) -> tuple[str, ...]:
    """The words in the singular and in order of the alphabet."""
    return tuple(sorted(map(_singular, words_of(label))))


def _unnumbered(label: str) -> str:
    """Without a number behind, as in NODULE_1; but 0 may mean "not"."""
    words = words_of(label)
    return " ".join(words[:-1] if len(words) > 1 and words[-1].isdecimal() and int(words[-1]) > 0 else words)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if word.endswith(("ectases", "oses", "stases")):
        return word[:-2] + "is"
    return word[:-1] if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us", "is")) else word


def _is_number(part: str) -> bool:
    """Whether a part only counts, as in "nodule (2)" and "normal (n=120)"."""
    words = words_of(part)
    return words[-1].isdecimal() and int(words[-1]) > 0 and words[:-1] in ((), ("n",))


def _abbreviates(short: str, long: str) -> bool:
    """Whether one short word has letters of the other text, in their order, and the same first."""
    words, letters = words_of(short), "".join(words_of(long))
    if len(words) != 1 or not 2 <= len(words[0]) <= _LONGEST_ABBREVIATION or words[0][0] != letters[0]:
        return False
    rest = iter(letters)
    return all(letter in rest for letter in words[0])
