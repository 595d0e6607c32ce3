"""Words that look like typing errors: a vocabulary of radiographs, and the nearest word in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_WORD = re.compile(r"[^\W\d_]+")
_SHORTEST = 5  # letters; below that too many words are one letter apart
_LONG = 8  # letters from which two errors are forgiven
_SUFFIXES = ("s", "es", "ed", "d", "ing", "ly", "al", "ally", "ic", "ous", "ness", "ization", "isation")
_PREFIXES = (
    *("non", "un", "re", "pre", "post", "peri", "para", "sub", "supra", "infra", "inter", "intra", "trans", "hyper"),
    *("hypo", "micro", "macro", "multi", "bi", "uni", "retro", "pseudo", "over", "under", "mid", "extra", "poly"),
)


def misspelt(text: str) -> Iterator[tuple[str, str]]:
    """Each word of a text that looks like a typing error, and the word that it is nearest to.

    A word is suspected only if it is not known, has five letters or more, and a known word is one error away
    (two from eight letters on): an unknown term that resembles nothing is left alone.

    >>> list(misspelt("chest radiogragh with pleural effusion"))
    [('radiogragh', 'radiograph')]
    """
    for word in _WORD.findall(text):
        suspect = len(word) >= _SHORTEST and word.isascii() and not (word.isupper() and len(word) <= _SHORTEST)
        if suspect and (found := nearest(word.lower())):
            yield word, found


@lru_cache(maxsize=4096)
def nearest(word: str) -> str | None:
    """The known word that a lower-case word is a misspelling of, None for a known one and for one like no other.

    >>> nearest("efusion"), nearest("effusion"), nearest("zebra")
    ('effusion', None, None)
    """
    if is_known(word):
        return None
    limit = 2 if len(word) >= _LONG else 1
    near = (
        (distance(word, known, limit), known[0] != word[0], known)
        for known in sorted(vocabulary())
        if abs(len(known) - len(word)) <= limit and len(known) >= _SHORTEST - 1
    )
    best = min(near, default=(limit + 1, True, ""))
    return best[2] if best[0] <= (1 if best[1] else limit) else None


def is_known(word: str) -> bool:
    """Whether a lower-case word is in the vocabulary, with a usual ending or beginning or as a compound of two."""
    words = vocabulary()
    return (
        word in words
        or any(_is_stem(word.removesuffix(suffix), suffix) for suffix in _SUFFIXES if word.endswith(suffix))
        or (word.endswith("ies") and word[:-3] + "y" in words)
        or any(word.removeprefix(prefix) in words for prefix in _PREFIXES if len(word) - len(prefix) > 3)
        or any(word[:at] in words and word[at:] in words for at in range(4, len(word) - 3))
    )


def _is_stem(stem: str, suffix: str) -> bool:
    if suffix in ("s", "es") and stem.endswith("y"):  # opacitys
        return False
    doubled = len(stem) > 3 and stem[-1] == stem[-2] and stem[:-1] in vocabulary()  # splitting
    spelt = {"d": stem.endswith("e") and stem in vocabulary(), "s": stem in vocabulary()}
    return spelt.get(suffix, stem in vocabulary() or stem + "e" in vocabulary() or doubled)


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """All words of the packaged packs and of `prompt_templates/vocabulary.txt`, in lower case."""
    from importlib import resources

    files = (file for file in resources.files("prompt_templates").iterdir() if file.name.endswith((".yaml", ".txt")))
    lines = (line for file in files for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
    return frozenset(word.lower() for line in lines for word in _WORD.findall(line))


def distance(one: str, other: str, limit: int) -> int:
    """Letters to insert, drop, change or swap with their neighbour (optimal string alignment); above `limit`, more.

    >>> distance("pnuemonia", "pneumonia", 2)
    1
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        last, row, earlier = row, [i], before
        for j, b in enumerate(other, start=1):
            cost = min(last[j] + 1, row[-1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > limit and min(last) > limit:
            return limit + 1
        before = last
    return row[-1]
