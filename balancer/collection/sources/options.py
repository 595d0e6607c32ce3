"""How labels are to be read: what a user, or a preset, says of tables, paths and values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.errors import TableError

DICOM = "dicom:"
ANY_OTHER = "*"
"""In `--map`, what stands for every value that no other entry names."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options of `balance scan` that say where labels come from; each as it is written there, but parsed.

    `columns` are column names by role, the first with a value counts; `mapped` new label values by old ones, "" for a
    blank; `split_lists` pairs of a split and a file; `source` a plug-in and its argument.
    """

    labels: tuple[Path, ...] = ()
    columns: Mapping[str, tuple[str, ...]] | None = None
    on: tuple[str, ...] = ()
    separator: str | None = None
    labels_in_columns: tuple[str, ...] = ()
    uncertain: str | None = None
    blank: str | None = None
    rows: str | None = None
    mapped: Mapping[str, str] | None = None
    strip_prefix: str | None = None
    ignore: tuple[str, ...] = ()
    split_lists: tuple[tuple[str, Path], ...] = ()
    pattern: str | None = None
    target_label: str | None = None
    primary: tuple[str, ...] = ()
    source: str | None = None

    @property
    def named(self) -> Mapping[str, tuple[str, ...]]:
        """The columns that were named, by role."""
        return self.columns or {}


def parse_roles(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The pairs of `--columns`: any role, a column's name with or without quotes; a role may come more than once.

    >>> parse_roles(["file='Image Index' label=Finding Labels", "view=AP/PA view=Plane"])
    {'file': ('Image Index',), 'label': ('Finding Labels',), 'view': ('AP/PA', 'Plane')}

    Raises:
        TableError: something that is no such pair.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        quoted = {f"\0{n}\0": each[1:-1] for n, each in enumerate(re.findall(r"'[^']*'|\"[^\"]*\"", text))}
        plain = text.strip()
        for mark, inner in quoted.items():
            plain = re.sub(r"(['\"])" + re.escape(inner) + r"\1", lambda _, mark=mark: mark, plain, count=1)  # type: ignore[misc]
        before, *pieces = re.split(r"(?:^|[\s,;]+)(\w+)=", plain)
        columns = [quoted.get(column.strip(), column.strip()) for column in pieces[1::2]]
        if before.strip() or not columns or not all(columns):
            raise TableError(
                needed="pairs of a role and the name or number of a column",
                found=f"{text!r} in --columns",
                next_step="put them in quotes: balance scan DATA --labels TABLE --columns 'file=Image label=Finding'",
            )
        for role, column in zip(pieces[::2], columns, strict=True):
            found[role] = (*found.get(role, ()), column)
    return found


def parse_pairs(texts: Sequence[str], option: str, example: str) -> dict[str, str]:
    """The pairs of `--map` or `--split-list`.

    >>> parse_pairs(["Infiltrate=Infiltration", "=none"], "--map", "OLD=NEW")
    {'Infiltrate': 'Infiltration', '': 'none'}

    Raises:
        TableError: something without an equals sign.
    """
    found: dict[str, str] = {}
    for text in texts:
        old, sign, new = text.partition("=")
        if not sign:
            raise TableError(
                needed=f"a pair in {option}, separated by =",
                found=repr(text),
                next_step=f"balance scan DATA {option} '{example}'",
            )
        found[old.strip()] = new.strip()
    return found


def parse_names(text: str | None) -> tuple[str, ...]:
    """Names with commas between them.

    >>> parse_names("Edema, Pleural Effusion")
    ('Edema', 'Pleural Effusion')
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
