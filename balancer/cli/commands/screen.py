"""`balance screen`, and what `balance merge --from` shares with it: images that another generator made."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import Progress, message, result, result_json, shown, table
from balancer.cli.judging import Word, choose_screen, fit_gates, show_unscreened
from balancer.cli.session import opened, save_report
from balancer.text import printable
from balancer.workspace.workspace import Session

if TYPE_CHECKING:
    from PIL.Image import Image

    from balancer.collection.findings import Finding
    from balancer.filling.external_folder import Seen
    from balancer.filling.external_import import Intake, Outcome
    from balancer.filling.screening import Known
    from balancer.jobs import Candidate

_SHOWN = 5
_DAY = 86_400  # seconds
_DECISIONS = ("accept", "unscreened", "review", "reject")
_OF_ONE_FILE = ("unreadable:", "repeated:", "a real image:", "two classes:")
_NO_CLASS = ("empty-class", "hidden-folder", "ignored-file", "ignored-folder")


def screen(
    candidates: Path = typer.Argument(help="Folder with a folder of synthetic images for each class."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Judge images that another generator made against the scanned collection; nothing is merged, nothing kept.

    Example: balance screen their-images/
    """
    with opened(write=True) as session, _scratch(session) as own:
        outcomes = _judge_only(session, candidates, Path(own))
        sheet = save_report(session, "screened.png", _draw(outcomes))
    if as_json:
        result_json({"images": [_as_json(outcome) for outcome in outcomes]})
        return
    _show(outcomes)
    message(f"Contact sheet, by class and decision: {shown(sheet)}")
    result(f"Next: balance merge --from {shown(candidates)}")


def take_in(session: Session, folder: Path, place: Path, word: Word) -> list[Outcome]:
    """Judge the images of a folder and remember them; what came from it earlier and is gone is taken out again."""
    from balancer.filling.external_import import Intake
    from balancer.filling.run import settle_look
    from balancer.workspace.last_fill import known_of, portable

    look = settle_look(session.collection, session.split, session.ledger, remember=True)
    known = known_of(session.ledger, session.collection)
    source = portable(folder, session.state)
    seen, refused = _at_the_door(
        session, folder, known, {"the balanced folder": place}, source=source, no_screen=word.no_screen
    )
    word.require(session.collection)
    judge = choose_screen(None if word.no_screen else fit_gates(session), word)
    store = session.state.candidates
    intake = Intake(session.collection, look, judge, store, source, known, session.ledger)
    outcomes = _take(intake, session, seen, refused)
    gone = intake.withdraw(outcomes)
    if gone:
        message(f"Taken out again: {len(gone)} images of an earlier merge that are no longer in {shown(folder)}.")
    return outcomes


def show_outcomes(session: Session, outcomes: Sequence[Outcome]) -> None:
    """What was decided, and a contact sheet of it."""
    from balancer.filling.screening import is_usable

    _show(outcomes)
    judged = [(o.candidate, o.verdict) for o in outcomes if o.candidate is not None]
    show_unscreened([each for each in judged if is_usable(each[1])])
    message(f"Contact sheet, by class and decision: {shown(save_report(session, 'screened.png', _draw(outcomes)))}")


def _scratch(session: Session) -> tempfile.TemporaryDirectory[str]:
    """A folder for what is only looked at; those that a kill left behind a day ago are removed."""
    for left in session.state.folder.glob("screen-*"):
        if time.time() - left.stat().st_mtime > _DAY:
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.TemporaryDirectory(dir=session.state.folder, prefix="screen-")


def _judge_only(session: Session, folder: Path, own: Path) -> list[Outcome]:
    from balancer.filling.external_import import Intake
    from balancer.filling.run import settle_look
    from balancer.filling.screening import Known
    from balancer.workspace.last_fill import known_of, portable

    look = settle_look(session.collection, session.split, session.ledger, remember=False)
    known = known_of(session.ledger, session.collection)
    source = portable(folder, session.state)
    seen, refused = _at_the_door(session, folder, known, {}, source=source)
    nothing = {label: Known({}, {}) for label in known}
    return _take(Intake(session.collection, look, fit_gates(session), own, source, nothing), session, seen, refused)


def _take(intake: Intake, session: Session, seen: Sequence[Seen], refused: Mapping[str, str]) -> list[Outcome]:
    judging = Progress("Judging")
    outcomes = intake.take(seen, refused, _beside(session, intake, seen), progress=judging)
    judging.close()
    return outcomes


def _at_the_door(
    session: Session,
    folder: Path,
    known: Mapping[str, Known],
    apart_from: Mapping[str, Path],
    *,
    source: str,
    no_screen: bool = False,
) -> tuple[list[Seen], dict[str, str]]:
    """Read every file; which are refused before anything is judged, and why."""
    from balancer.filling.external_folder import faults, find_given, look_at, real_ones, refuse_real
    from balancer.filling.pixel_hash import real_digests

    given, findings = find_given(folder, session.collection, {"the state folder": session.state.folder, **apart_from})
    _show_findings(findings)
    reading = Progress("Reading")
    seen = look_at(given, reading)
    reading.close()
    comparing = Progress("Comparing with the collection")
    sizes = {each.size for each in seen if not each.fault}
    real = real_digests(session.collection, sizes, session.ledger, comparing)
    comparing.close()
    part_of = session.split.parts.to_dict().__getitem__
    if no_screen:
        refuse_real(real_ones(seen, real), part_of)
    generated = [c for each in known.values() for c, _ in each.judged.values() if c.job is not None]
    elsewhere = [c for each in known.values() for c, _ in each.made_elsewhere()]
    others = [each for each in elsewhere if each.origin is not None and each.origin.folder != source]
    return seen, faults(seen, real, part_of, [*generated, *others])


def _beside(session: Session, intake: Intake, seen: Sequence[Seen]) -> dict[str, list[Candidate]]:
    """What is accepted of each class beside these images: the last fill's and those from other folders."""
    from balancer.workspace.last_fill import LastFill, known_of

    known, given = known_of(session.ledger, session.collection), {each.id for each in seen}
    last = LastFill.load(session.ledger, session.collection)
    found = {} if last is None else {label: [c for c, _ in judged] for label, judged in last.accepted(known).items()}
    for label, each in known.items():
        others = [c for c, _ in each.made_elsewhere() if c.origin is not None and c.origin.folder != intake.folder]
        found.setdefault(label, []).extend(c for c in others if c.id not in given)
    return found


def _show_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.kind in _NO_CLASS:
            names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
            more = f" and {len(finding.paths) - _SHOWN} more" if len(finding.paths) > _SHOWN else ""
            message(f"Not read: {names}{more} ({finding.message.removeprefix('not read: ')})")


def _show(outcomes: Sequence[Outcome]) -> None:
    """How many of each class were decided how; and why not, with some of the files."""
    counts: Counter[tuple[str, str]] = Counter((o.seen.given.label, o.verdict.decision) for o in outcomes)
    labels = sorted({label for label, _ in counts})
    result(table(["class", *_DECISIONS], [[label, *(counts[label, each] for each in _DECISIONS)] for label in labels]))
    files: dict[tuple[str, str, str], list[str]] = {}
    for o in outcomes:
        for reason in o.verdict.reasons if o.verdict.decision in ("review", "reject") else ():
            key = o.verdict.decision, o.seen.given.label, _kind(reason)
            files.setdefault(key, []).append(o.seen.given.path)
    for (decision, label, reason), paths in sorted(files.items()):
        more = ", ..." if len(paths) > _SHOWN else ""
        names = ", ".join(map(printable, paths[:_SHOWN]))
        result(f"{decision}: {printable(label)}: {len(paths)} {printable(reason)}: {names}{more}")


def _kind(reason: str) -> str:
    """A reason without what differs from image to image."""
    return reason.partition(":")[0] if reason.startswith(_OF_ONE_FILE) else reason


def _draw(outcomes: Sequence[Outcome]) -> Image:
    from analysis.report.contact_sheets import sheet_of_files

    rows: dict[str, list[Path]] = {}
    for o in sorted(outcomes, key=lambda o: (o.seen.given.label, o.verdict.decision)):
        path = o.candidate.path if o.candidate is not None else o.seen.given.file
        rows.setdefault(f"{o.seen.given.label}: {o.verdict.decision}", []).append(path)
    return sheet_of_files(list(rows.items()))


def _as_json(outcome: Outcome) -> dict[str, object]:
    verdict = outcome.verdict
    return {
        "path": outcome.seen.given.path,
        "label": outcome.seen.given.label,
        "decision": verdict.decision,
        "reasons": list(verdict.reasons),
        "scores": dict(verdict.scores),
    }
