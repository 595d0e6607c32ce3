"""A leak between training and testing."""

from __future__ import annotations

from dataclasses import dataclass

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Breach:
    """A leak into the test split: its kind, what was found, all examples, and what to do.

    Kinds: synthetic, patient, duplicate, near-duplicate, generator, split, screening, source, extra.

    >>> print(Breach("patient", "2 patients are in the training and the test split", ("p1", "p2"), "move them"))
    2 patients are in the training and the test split (p1, p2)
    """

    kind: str
    found: str
    examples: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        more = len(self.examples) - _SHOWN
        shown = ", ".join(self.examples[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return f"{self.found} ({shown})" if shown else self.found
