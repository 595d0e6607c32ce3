"""What a user reads is plain standard English of the field: words that it does not know, or that mean two things."""

import re

import pytest

from tests.messages.listing import texts

INSTEAD = {
    r"at (your|the user's) word|by (your|the user's) word|your word": "override: --accept-unscreened",
    r"free (arm|remed)": "baseline (no synthetic images)",
    r"\bgates?\b": "screening checks",
    r"learning what a copy is": "training the copy detector",
    r"comparing patients": "calibrating the copy threshold",
    r"\bas drawn\b": "--no-intensity-matching",
    r"(images|pictures|radiographs)( that)? (were|was|are|is) drawn|drawn images": "generated",
    r"\b(test|training|validation|holdout) parts?\b|\bpart (train|val|test|holdout)\b|parts of its own": "split",
    r"\btold of\b|\bis told\b|\bare told\b": "the plain verb: known from, reports",
    r"made anew|judged anew|drawn anew|train anew|adapt anew": "again",
    r"\blooks? inside\b": "decodes",
    r"taken up\b|takes? up\b": "registered, used again",
    r"\berrand|\bworkplace|\bdesk\b|\bbench\b": "(a private picture)",
}
TEXTS = list(texts())


def test_texts_are_found():
    assert len(TEXTS) > 500


@pytest.mark.parametrize(("old", "instead"), INSTEAD.items(), ids=list(INSTEAD.values()))
def test_no_private_word_is_left(old, instead):
    assert [str(text) for text in TEXTS if re.search(old, text.words, re.IGNORECASE)] == [], f"say instead: {instead}"
