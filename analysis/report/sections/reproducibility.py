"""What the sections with settings, hashes and commands to repeat the work show."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from analysis.report.data import Facts
from analysis.report.formatting import clean

_PLACE = re.compile(r"(?:(?<![\w.:/])(?:~|[A-Za-z]:)?[/\\](?:[^/\\\s,;'\"]+[/\\])+)")
_OWN = ("stamps", "screening")  # told elsewhere; the second names readers


def record(facts: Facts) -> Mapping[str, Any]:
    """Settings and hashes, and what the synthetic images were made with."""
    split = facts.split
    rows: list[list[object]] = [
        ["tool", f"balance {facts.version}"],
        ["collection", facts.name],
        ["patients", f"found by {facts.patients}" if facts.patients else "unknown"],
        ["split", f"{_ORIGINS.get(split.origin, split.origin)}, seed {split.seed}"],
        ["folds for cross-fitting", split.fold_count or "none"],
        ["split, SHA-256", split.sha256],
    ]
    known = {} if facts.balanced is None else facts.balanced.facts
    rows += [[f"fill: {name}", portable(value)] for name, value in sorted(known.items()) if name not in _OWN]
    if facts.results is not None:
        rows += [[f"compare: {name}", in_words(value)] for name, value in sorted(facts.results.settings.items())]
    made = [] if facts.balanced is None else facts.balanced.made
    origins = [
        (count, [[name.replace("_", " "), value] for name, value in each.items() if value]) for each, count in made
    ]
    return {"rows": rows, "origins": origins}


_ORIGINS = {
    "collection": "the collection's own splits",
    "drawn": "created by patient",
    "file": "the user's table",
    "none": "none: all images are for training",
}


def repeat(facts: Facts) -> Mapping[str, Any]:
    """The commands to do it again."""
    return {"lines": commands(facts)}


def commands(facts: Facts) -> list[str]:
    """The commands that lead here, in their order."""
    lines = [_scan(facts), *_split(facts)]
    if facts.balanced is not None:
        lines += [*facts.typed, f"balance verify {quoted(facts.name + '-balanced')}"]
    if facts.probe:
        lines.append("balance probe")
    if facts.quality:
        lines.append("balance quality")
    if facts.results is not None:
        lines.append(portable(facts.results.design.command) or "balance compare")
    return [clean(line).replace("\n", "\ufffd") for line in [*lines, "balance report"]]


def _scan(facts: Facts) -> str:
    line = f"balance scan {quoted(facts.name)}"
    if facts.patients and not facts.patients.startswith("column "):
        line += f" --patient {quoted(facts.patients)}"
    return line + (f" --patients {quoted(facts.table)}" if facts.table else "")


def _split(facts: Facts) -> list[str]:
    if facts.split.origin == "file":
        return ["balance split --splits YOUR-TABLE"]
    folds = f" --folds {facts.split.fold_count}" if facts.split.fold_count else ""
    return [f"balance split --seed {facts.split.seed}{folds}"] if facts.split.origin == "drawn" else []


def quoted(value: str) -> str:
    """A word of a command, as a shell takes it."""
    return shlex.quote(value)


def portable(value: str) -> str:
    """Text without the folders of a machine: of an absolute path its last part alone.

    >>> portable("--weights /srv/someone/nets/w.safetensors, BACTERIAL/VIRAL")
    '--weights w.safetensors, BACTERIAL/VIRAL'
    """
    return _PLACE.sub("", value)


def in_words(value: Any) -> str:
    """Format the value of a setting for the table.

    >>> in_words(["a", 1]), in_words(None)
    ('["a", 1]', 'none')
    """
    if value is None:
        return "none"
    return portable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
