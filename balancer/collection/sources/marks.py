"""Labels from cells: several in one, one column for each, several rows of a file."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.sources.options import ANY_OTHER
from balancer.collection.sources.reading import Labels, Places
from balancer.errors import TableError

_BLANK = {"", "nan", "n/a", "na", "null", "?"}
_NOT_TOLD, _DENIED, _UNSURE, _GIVEN = range(4)
"""What a cell says; of several columns of one label, the highest counts."""
_VALUES = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "positive", "pos", "present"), _GIVEN),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "negative", "neg", "absent"), _DENIED),
    **dict.fromkeys(("-1", "-1.0", "uncertain", "unsure", "maybe"), _UNSURE),
    **dict.fromkeys(_BLANK, _NOT_TOLD),
}
_NONE: npt.NDArray[np.int64] = np.zeros(0, np.int64)
_SEPARATORS = "|;,"
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Marks:
    """What rows say: row `owners[i]` gives label `names[which[i]]`; `unsure` in the same way what is uncertain.

    `untold` is what a row leaves open; all else it denies. `known` tells which rows say anything of labels at all.
    """

    names: tuple[str, ...]
    owners: Places
    which: Places
    unsure_owners: Places
    unsure_which: Places
    known: npt.NDArray[np.bool_]
    untold_owners: Places = field(default_factory=_NONE.copy)
    untold_which: Places = field(default_factory=_NONE.copy)


def of_cells(texts: Texts, separator: str | None, mapped: Mapping[str, str]) -> Marks:
    """Labels that stand in cells: one, several with a separator between, or a list as Python writes it.

    >>> of_cells(np.array(["Mass|Nodule", "Mass", ""], object), "|", {}).names
    ('Mass', 'Nodule')
    """
    codes, distinct = pd.factorize(texts)
    read = [_labels(text, separator, mapped) for text in distinct]
    names = sorted({label for labels in read for label in labels})
    number = {name: place for place, name in enumerate(names)}
    counts = np.array([len(labels) for labels in read], np.int64)
    flat = np.array([number[label] for labels in read for label in labels], np.int64)
    starts = np.cumsum(counts) - counts
    owners = np.repeat(np.arange(len(texts)), counts[codes])
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts[codes]) - counts[codes], counts[codes])
    which = flat[np.repeat(starts[codes], counts[codes]) + within]
    return Marks(tuple(names), owners, which, _NONE, _NONE, counts[codes] > 0)


def of_columns(
    columns: Mapping[str, Texts], uncertain: str | None, mapped: Mapping[str, str], blank: str | None = None
) -> Marks:
    """Labels that have a column each: 1, 0, -1 for uncertain, or blank.

    A row without any, uncertain ones included, has the label that "" is mapped to. A blank leaves its label open,
    unless `blank` is "negative" or "" is mapped.

    Raises:
        TableError: another value.
    """
    said: dict[str, npt.NDArray[np.int64]] = {}
    for name, texts in columns.items():
        if label := mapped.get(name, name):
            values = _values(name, texts)
            said[label] = np.maximum(said[label], values) if label in said else values
    names = sorted(said)
    rows = np.array([said[name] for name in names], np.int8).reshape(len(names), -1).T
    rows = np.where(rows == _UNSURE, {"positive": _GIVEN, "negative": _DENIED}.get(uncertain or "", _UNSURE), rows)
    bare = mapped.get("", "")
    if bare:
        names, rows = _with_bare(names, rows, bare)
    given, unsure, untold = (np.nonzero(rows == value) for value in (_GIVEN, _UNSURE, _NOT_TOLD))
    is_open = not bare and blank != "negative"
    unsaid = (untold[0], untold[1]) if is_open else (_NONE, _NONE)
    return Marks(tuple(names), given[0], given[1], unsure[0], unsure[1], np.ones(len(rows), bool), *unsaid)


def _with_bare(names: Sequence[str], rows: npt.NDArray[np.int8], bare: str) -> tuple[list[str], npt.NDArray[np.int8]]:
    """The labels with one that rows have which give no other."""
    among = sorted({*names, bare})
    found = np.full((len(rows), len(among)), _DENIED, np.int8)
    found[:, [among.index(name) for name in names]] = rows
    found[~np.isin(rows, (_GIVEN, _UNSURE)).any(axis=1), among.index(bare)] = _GIVEN
    return among, found


@dataclass(frozen=True, slots=True)
class Reduced:
    """What the rows of each key say together: labels, what is uncertain, what is open, and which keys say anything."""

    labels: Labels
    unsure: Labels
    untold: Labels
    known: npt.NDArray[np.bool_]


def reduced(marks: Marks, rows: Places, keys: int, rule: str | None) -> Reduced:
    """The labels of each key, whose rows are joined by a rule.

    `rows` are the key of each row, -1 for rows that are of no file. "any": a label of one row is the key's;
    "majority": of more than half its rows; "all": of each of them. Open is what every row leaves open.

    Raises:
        Disagreement: rows of one key differ, and there is no rule.
    """
    said = np.bincount(rows[(rows >= 0) & marks.known], minlength=keys)
    owners, which, counts = _counted(rows[marks.owners], marks.which, len(marks.names))
    whole = counts == said[owners]
    if rule is None and not whole.all():
        raise Disagreement(owners[~whole])
    kept = {"any": counts > 0, "majority": 2 * counts > said[owners]}.get(rule or "", whole)
    labels = Labels(marks.names, owners[kept], which[kept])
    unsure_owners, unsure_which, _ = _counted(rows[marks.unsure_owners], marks.unsure_which, len(marks.names))
    unsure = _without(Labels(marks.names, unsure_owners, unsure_which), labels)
    open_owners, open_which, open_counts = _counted(rows[marks.untold_owners], marks.untold_which, len(marks.names))
    by_all = open_counts == said[open_owners]
    untold = _without(Labels(marks.names, open_owners[by_all], open_which[by_all]), labels)
    return Reduced(labels, unsure, untold, said > 0)


def _without(some: Labels, others: Labels) -> Labels:
    """The pairs that are not among others."""
    known, given = (each.owners * max(len(each.names), 1) + each.which for each in (some, others))
    left = ~np.isin(known, given)
    return Labels(some.names, some.owners[left], some.which[left])


class Disagreement(Exception):
    """Rows of these keys give different labels."""

    def __init__(self, keys: Places) -> None:
        super().__init__(keys)
        self.keys = np.unique(keys)


def of_files(labels: Labels, keys: Places) -> Labels:
    """The labels of each file, whose key is known, -1 where it has none."""
    counts = labels.counts(int(keys.max(initial=-1)) + 1)
    starts = np.cumsum(counts) - counts
    own = np.where(keys >= 0, np.append(counts, 0)[keys], 0)
    owners = np.repeat(np.arange(len(keys)), own)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(own) - own, own)
    places = np.repeat(np.where(keys >= 0, np.append(starts, 0)[keys], 0), own) + within
    return Labels(labels.names, owners, labels.which[places])


def joined_values(texts: Texts) -> tuple[str, str] | None:
    """A cell that seems to hold several labels, and the mark between them: its pieces are values of their own.

    >>> joined_values(np.array(["Mass", "Nodule", "Mass|Nodule"], object))
    ('Mass|Nodule', '|')
    """
    distinct = {text.strip() for text in pd.unique(texts)} - {""}
    for mark in _SEPARATORS:
        for text in sorted(distinct):
            pieces = [piece.strip() for piece in text.split(mark)]
            if len(pieces) > 1 and len(set(pieces)) > 1 and set(pieces) <= distinct:
                return text, mark
    return None


def _labels(text: str, separator: str | None, mapped: Mapping[str, str]) -> list[str]:
    whole = text.strip()
    pieces = _listed(whole) if whole.startswith("[") and whole.endswith("]") else [whole]
    if separator and len(pieces) == 1:
        pieces = whole.split(separator)
    found = (_mapped(piece.strip(), mapped) for piece in pieces)
    return list(dict.fromkeys(each for each in found if each))


def _mapped(label: str, mapped: Mapping[str, str]) -> str:
    if label in mapped:
        return mapped[label]
    if label.casefold() in _BLANK:
        return mapped.get("", "")
    return mapped.get(ANY_OTHER, label)


def _listed(text: str) -> list[str]:
    try:
        found = ast.literal_eval(text)
        return [str(each) for each in found] if isinstance(found, list) else [text]
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return [piece.strip(" '\"") for piece in text[1:-1].split(",")]


def _values(name: str, texts: Texts) -> npt.NDArray[np.int64]:
    codes, distinct = pd.factorize(texts)
    read = [_VALUES.get(text.strip().casefold()) for text in distinct]
    if None in read:
        wrong = [text for text, value in zip(distinct, read, strict=True) if value is None]
        raise TableError(
            needed=f"1, 0, -1 or blank in the label column {name!r}",
            found=", ".join(map(repr, wrong[:3])),
            next_step="leave the column out of --labels-in-columns, or name it as the one with the labels: "
            "balance scan DATA --labels TABLE --columns 'label=COLUMN'",
        )
    return np.array(read, np.int64)[codes]


def _counted(owners: Places, which: Places, labels: int) -> tuple[Places, Places, Places]:
    """Each pair once, sorted, with how often it occurs; pairs without an owner are left out."""
    there = owners >= 0
    pairs, counts = np.unique(owners[there] * max(labels, 1) + which[there], return_counts=True)
    return pairs // max(labels, 1), pairs % max(labels, 1), counts


def counts_by_name(labels: Labels) -> dict[str, int]:
    """How many files have each label."""
    counts: Sequence[int] = np.bincount(labels.which, minlength=len(labels.names)).tolist()
    return {name: count for name, count in zip(labels.names, counts, strict=True) if count}
