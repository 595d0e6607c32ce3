"""Words that look like typing errors: a vocabulary of radiographs, and the nearest word in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from rapidfuzz.distance import OSA

from balancer.prompting.packs import PACKS

_WORD = re.compile(r"[^\W\d_]+")
_SHORTEST = 5  # letters; below that too many words are one letter apart
_LONG = 10  # letters from which two errors are forgiven
_SUFFIXES = ("s", "es", "ed", "d", "ing", "ly", "al", "ally", "ic", "ous", "ness", "ization", "isation")
_LATIN = ("a", "ae", "al", "ic", "is", "itis", "um", "us", "i", "ous", "osis", "otic", "ar", "oid", "oma")
_DERIVED = ("al", "ic", "itis", "osis", "ing", "ar", "oid", "oma", "otic")  # few, or "tuberculosus" would pass
_ROOTS = (
    *("thoraco", "neuro", "pneumo", "osteo", "broncho", "cardio", "chondro", "arthro", "fibro", "tracheo", "pleuro"),
    *("spondylo", "costo", "sterno", "myo", "laryngo", "lympho", "angio", "hemo", "haemo", "gastro", "laparo", "radio"),
)
_ENDS = (
    *(
        "scopy",
        "scopic",
        "genic",
        "genesis",
        "plasty",
        "ectomy",
        "tomy",
        "tomies",
        "stomy",
        "pathy",
        "pathic",
        "megaly",
    ),
    *("graphy", "gram", "grams", "lysis", "malacia", "desis", "centesis", "cyte", "cytes", "blast", "clast", "logy"),
)
_PREFIXES = (
    *("non", "un", "re", "pre", "post", "peri", "para", "sub", "supra", "infra", "inter", "intra", "trans", "hyper"),
    *("hypo", "micro", "macro", "multi", "bi", "uni", "retro", "pseudo", "over", "under", "mid", "extra", "poly"),
)


def misspelt(text: str) -> Iterator[tuple[str, str]]:
    """Each word of a text that looks like a typing error, and the word that it is nearest to.

    A word is suspected only if it is not known, has five letters or more, and a known word is one error away
    (two from ten letters on): an unknown term that resembles nothing is left alone, and so is a name in the middle.

    >>> list(misspelt("chest radiogragh with pleural effusion"))
    [('radiogragh', 'radiograph')]
    """
    for match in _WORD.finditer(text):
        word, first = match[0], not text[: match.start()].strip()
        abbreviated, named = word.isupper() and len(word) <= _SHORTEST, word.istitle() and not first
        suspect = len(word) >= _SHORTEST and word.isascii() and not abbreviated and not named
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
        (OSA.distance(word, known, score_cutoff=limit), known[0] != word[0], known not in _words_of_packs(), known)
        for known in vocabulary()
        if len(known) >= _SHORTEST
    )
    steps, other_letter, _, found = min(near, default=(limit + 1, True, True, ""))
    return found if steps <= (1 if other_letter else limit) else None


def is_known(word: str) -> bool:
    """Whether a lower-case word is in the vocabulary, with a usual ending or beginning or as a compound of two."""
    words = vocabulary()
    return (
        word in words
        or any(_is_stem(word.removesuffix(suffix), suffix) for suffix in _SUFFIXES if word.endswith(suffix))
        or (word.endswith("ies") and word[:-3] + "y" in words)
        or any(word.removeprefix(prefix) in words for prefix in _PREFIXES if len(word) - len(prefix) > 3)
        or any(word[:at] in words and word[at:] in words for at in range(4, len(word) - 3))
        or (word.endswith("a") and word + "l" in words)  # viscera
        or any(stem in _stems() for stem in _stems_of(word, _DERIVED))
        or any(word == root + end for root in _ROOTS for end in _ENDS if word.startswith(root))
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

    file = resources.files("prompt_templates") / "vocabulary.txt"
    words = (line for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
    return _words_of_packs().union(words)


@lru_cache(maxsize=1)
def _words_of_packs() -> frozenset[str]:
    from importlib import resources

    files = [resources.files("prompt_templates") / f"{name}.yaml" for name in PACKS]
    lines = (line for file in files for line in file.read_text("utf-8").splitlines() if not line.startswith("#"))
    return frozenset(word.lower() for line in lines for word in _WORD.findall(line))


@lru_cache(maxsize=1)
def _stems() -> frozenset[str]:
    return frozenset(stem for word in vocabulary() for stem in _stems_of(word, _LATIN))


def _stems_of(word: str, endings: tuple[str, ...]) -> Iterator[str]:
    """What is left of a Latin or Greek word without its ending: bursal, bursa and bursitis have one stem."""
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST - 1:
            yield word.removesuffix(ending) + "-"
    if len(word) > _LONG - 2:  # osteoblast, pneumocyst
        yield word + "-"
