"""What is printed of images of another generator: how many were decided how, and why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.text import printable

if TYPE_CHECKING:
    from balancer.filling.external_import import ImportResult
    from balancer.filling.verdicts import Judged

_SHOWN = 5
_CHECKS = {"sound": "quality", "new": "repetition"}
"""What a reader sees for the names of checks in stored reasons and `--json`."""
_DECISIONS = ("accept", "unscreened", "review", "reject")
_OF_ONE_FILE = ("unreadable:", "repeated:", "a real image:", "two classes:")


def show_screened(images: Sequence[ImportResult], sheet: Path) -> None:
    """A table by class and decision, the reasons with some of the files, and what was let in unscreened."""
    from balancer.filling.acceptance import is_accepted

    counts: Counter[tuple[str, str]] = Counter((each.seen.given.label, each.verdict.decision) for each in images)
    labels = sorted({label for label, _ in counts})
    result(table(["class", *_DECISIONS], [[label, *(counts[label, each] for each in _DECISIONS)] for label in labels]))
    _show_reasons(images)
    judged = [(each.candidate, each.verdict) for each in images if each.candidate is not None]
    show_unscreened([each for each in judged if is_accepted(each[1])])
    message(f"Contact sheet, by class and decision: {shown(sheet)}")


def show_unscreened(judged: Sequence[Judged]) -> None:
    """Say what was not screened, and why."""
    from balancer.workspace.dataset_facts import unscreened_reasons

    for reason in unscreened_reasons(judged):
        message(f"{reason[:1].upper()}{reason[1:]}.")


def reason_in_words(reason: str) -> str:
    """A reason, or the name of a check, with the name of the check that a reader sees.

    >>> reason_in_words("sound: blurred"), reason_in_words("label")
    ('quality: blurred', 'label')
    """
    check, colon, rest = reason.partition(":")
    return f"{_CHECKS.get(check, check)}{colon}{rest}"


def _show_reasons(images: Sequence[ImportResult]) -> None:
    files: dict[tuple[str, str, str], list[str]] = {}
    for each in images:
        for reason in each.verdict.reasons if each.verdict.decision in ("review", "reject") else ():
            key = each.verdict.decision, each.seen.given.label, _kind(reason)
            files.setdefault(key, []).append(each.seen.given.path)
    for (decision, label, reason), paths in sorted(files.items()):
        more = ", ..." if len(paths) > _SHOWN else ""
        names = ", ".join(map(printable, paths[:_SHOWN]))
        result(f"{decision}: {printable(label)}: {len(paths)} {printable(reason_in_words(reason))}: {names}{more}")


def _kind(reason: str) -> str:
    """A reason without what differs from image to image."""
    return reason.partition(":")[0] if reason.startswith(_OF_ONE_FILE) else reason
