"""Masks as lengths of runs, down one column after the other: as numbers, and as the short text that COCO stores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_FIRST, _BITS, _MORE, _SIGN = 48, 5, 32, 16  # of COCO's text: character 48 stands for 0, and each has five bits


def from_runs(runs: Sequence[int], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The mask of shape (height, width) of lengths outside, inside, outside and so on; what is left is outside.

    >>> from_runs([1, 2], 2, 2).astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    lengths = [*runs, height * width - sum(runs)]
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    if len(lengths) % 2 == 0:
        inside[height * width - lengths[-1] :] = False
    return inside.reshape(width, height).T


def to_runs(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """The lengths of a mask; the first is of what is outside, and may be 0.

    >>> to_runs(np.array([[0, 1], [1, 0]], bool))
    (1, 2, 1)
    """
    flat = np.concatenate([[False], mask.T.ravel()])
    turns = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(np.diff(np.concatenate([[0], turns, [mask.size]])).tolist())


def runs_to_text(runs: Sequence[int]) -> str:
    """Lengths as COCO's text; from the fourth on each is told as the difference from the one before the last.

    >>> runs_to_text([5, 2, 9]), runs_from_text("529")
    ('529', (5, 2, 9))
    """
    return "".join(_digits(run - runs[place - 2] if place > 2 else run) for place, run in enumerate(runs))


def runs_from_text(text: str) -> tuple[int, ...]:
    """The lengths that COCO's text stands for.

    Raises:
        ValueError: it is no such text.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        digit = ord(letter) - _FIRST
        if not 0 <= digit < 2 * _MORE:
            raise ValueError(text)
        value |= (digit & (_MORE - 1)) << shift
        shift += _BITS
        if digit & _MORE:
            continue
        value -= (1 << shift) if digit & _SIGN else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift or any(run < 0 for run in runs):
        raise ValueError(text)
    return tuple(runs)


def _digits(value: int) -> str:
    """A number in groups of five bits, the lowest first; the last one's highest bit is its sign."""
    found = ""
    while True:
        digit = value & (_MORE - 1)
        value >>= _BITS
        done = value == (-1 if digit & _SIGN else 0)
        found += chr(_FIRST + digit + (0 if done else _MORE))
        if done:
            return found
