"""What a user reads is plain standard English of the field: words that it does not know, or that mean two things."""

import re

import pytest

from tests.messages.listing import PACKAGES, ROOT, texts

INSTEAD = {
    r"at (your|the user's) word|by (your|the user's) word|your word": "override: --accept-unscreened",
    r"free (arm|remed)": "baseline (no synthetic images)",
    r"\bgates?\b": "screening checks",
    r"learning what a copy is": "training the copy detector",
    r"comparing patients": "calibrating the copy threshold",
    r"\bas drawn\b": "--no-intensity-matching",
    r"(images|pictures|radiographs)( that)? (were|was|are|is) drawn|drawn images": "generated",
    r"\b(test|training|validation|holdout) parts?\b|\bpart (train|val|test|holdout)\b|parts of its own": "split",
    r"(?<!generator )\bholdout (loss|images|part|split)": "generator holdout",
    r"\btold (of|apart|by|from)\b|\b(is|are) told\b": "the plain verb: known from, distinguished, reports",
    r"anew\b": "again",
    r"\blooks? inside\b": "decodes",
    r"taken up\b|takes? up\b": "registered, used again",
    r"\berrand|\bworkplace|\bdesk\b|\bbench\b": "(a private picture)",
    r"\b(draws|drew|drawing) (images|from text|the rest|with it)": "generates",
    r"\bon record\b": "recorded, there is no record of",
    r"\bso many\b": "number of, this many",
    r"\bstale\b": "out of date",
    r"\bmend\b": "correct",
    r"\bteach|\btaught\b": "train",
    r"\bhand(ed)? (it |them )?(in|over)\b": "pass, import",
    r"as it was written|to the user's|half-way|half taken": "damaged, unchanged",
    r"\bis (gone|no more)\b|\bare gone\b": "is missing",
    r"see to that|look into it": "say what to check or correct",
}
"""What must not come back, and what to say instead."""
MOST_WORDS = 30
TEXTS = list(texts())


def test_texts_are_found():
    assert len(TEXTS) > 1500


@pytest.mark.parametrize(("old", "instead"), INSTEAD.items(), ids=list(INSTEAD.values()))
def test_no_private_word_is_left(old, instead):
    found = [str(text) for text in TEXTS if re.search(old, text.words, re.IGNORECASE)]
    assert found == [], f"say instead: {instead}"


def test_docstrings_say_something():
    """What a function gives, and not that it is the same as another."""
    empty = re.compile(r'"""(?:The same(?: back)?[,.]|The same,? for programs|Those of|As it was|For a program)')
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    places = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}
    assert [name for name, text in places.items() if empty.search(text)] == []


def test_sentences_are_short():
    sentences = ((text, each) for text in TEXTS for each in re.split(r"(?<=[.!?:;])\s|\n", text.words))
    assert [f"{text.place}: {each}" for text, each in sentences if len(each.split()) > MOST_WORDS] == []
