"""`balance review`: a specialist decides on images, or tries to tell real from synthetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import here, message, result, result_json
from balancer.cli.views.review import blinded_summary, results_as_json, review_summary, show_results
from balancer.errors import PlanError, ReviewError
from balancer.store.settings import STUDY
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.review.cases import BlindedCase, Judged, ReviewCase
    from analysis.review.decision_session import ReviewDesk
    from analysis.review.reader_study import BlindedDesk
    from analysis.review.sessions import Desk, Journal
    from balancer.workspace.workspace import Session

_BLINDED = 50  # images in a blinded study: 25 of each kind tell 80% from chance
_NAME = 80  # letters


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader asked for."""

    reader: str
    label: str | None
    limit: int | None
    audit: int | None
    seed: int
    out: Path | None


def review(
    reader: str = typer.Option(None, help="Your name, which is stored with every answer."),
    label: str = typer.Option(None, help="Only images of this class."),
    limit: int = typer.Option(None, min=1, help=f"Largest number of images (with --blinded: {_BLINDED})."),
    audit: int = typer.Option(
        None, min=1, help="Show a random sample of this size instead of the images that wait for review."
    ),
    blinded: bool = typer.Option(
        False,
        "--blinded",
        help="Judge whether images are real or synthetic, half of each; no image is accepted or rejected.",
    ),
    seed: int = typer.Option(0, help="With --audit or --blinded: same seed, same images for every reader."),
    port: int = typer.Option(0, min=0, max=65535, help="Port on 127.0.0.1 (default: a free one)."),
    open_browser: bool = typer.Option(False, "--open", help="Open the page in your browser."),
    out: Path = typer.Option(None, help="Balanced folder that is checked for rejected images (default: as in fill)."),
    results: bool = typer.Option(False, "--results", help="Print the results of all answers so far."),
    as_json: bool = typer.Option(False, "--json", help="With --results: print the results as JSON."),
) -> None:
    """Show images to a specialist on a local page: to accept or reject them, or to judge whether they are real.

    Nothing leaves this machine: the page is served only on 127.0.0.1, and only to those who have its address.

    Example: balance review --reader 'A. Reader' --open
    """
    if results:
        with here().session(write=False) as session:
            _print_results(session, as_json=as_json)
        return
    if as_json:
        raise typer.BadParameter("belongs to --results", param_hint="--json")
    if blinded and audit:
        raise typer.BadParameter("cannot be used with --blinded: use --limit there", param_hint="--audit")
    wanted = Wanted(_name_of(reader), label, limit, audit, seed, out)
    with here().session(write=False) as session:
        desk, summary = (_blinded_desk if blinded else _review_desk)(session, wanted)
        _serve(desk, port, summary, open_browser=open_browser)


def _serve(desk: Desk, port: int, summary: Callable[[], Sequence[str]], *, open_browser: bool) -> None:
    from analysis.review.server import serve

    def ready(address: str) -> None:
        message(f"{len(desk.overview())} images. Open this page. To end, press Finish there, or Ctrl-C here:")
        result(address)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    try:
        serve(desk, port=port, ready=ready, summary=summary)
    finally:
        for sentence in summary():
            message(printable(sentence))


def _review_desk(session: Session, wanted: Wanted) -> tuple[ReviewDesk, Callable[[], Sequence[str]]]:
    from analysis.review.cases import random_sample, waiting
    from analysis.review.decision_session import ReviewDesk
    from analysis.review.nearest_real import ByCorrelation

    judged = _candidates(session, wanted.label)
    count = min(wanted.audit or 0, wanted.limit or len(judged))
    cases = random_sample(judged, count, wanted.seed) if wanted.audit else waiting(judged, wanted.reader, wanted.limit)
    if not cases:
        raise ReviewError(
            needed="images that wait for review",
            found=f"none among {len(judged)} candidates{_of(wanted.label)}",
            next_step="review a random sample instead: balance review --audit 50",
        )
    nearest = ByCorrelation(session.collection, session.split)
    cases = _present(cases)
    desk = ReviewDesk(_journal(session), wanted.reader, cases, nearest, tell=not wanted.audit)
    return desk, lambda: review_summary(session, desk, len(cases), wanted.out)


def _blinded_desk(session: Session, wanted: Wanted) -> tuple[BlindedDesk, Callable[[], Sequence[str]]]:
    from analysis.review.reader_study import BlindedDesk

    count = wanted.limit or _BLINDED
    study = f"seed {wanted.seed}, {count} images" + (f", class {wanted.label}" if wanted.label else "")
    journal = _journal(session)
    cases = _study(session, journal, study, wanted, count)
    message(f"Preparing {len(cases)} images")
    desk = BlindedDesk(journal, study, wanted.reader, cases)
    return desk, lambda: blinded_summary(session, desk)


def _study(session: Session, journal: Journal, study: str, wanted: Wanted, count: int) -> list[BlindedCase]:
    """The images of a study: those that its first reader saw, else a new sample, which is remembered."""
    from analysis.review.cases import half_and_half, is_there, same_again

    judged, setting = _candidates(session, wanted.label), STUDY.of(study)
    known = session.ledger.setting(session.collection, setting)
    if known is not None:
        cases = [case for case in same_again(session.collection, judged, known) if is_there(case.path, case.sha256)]
        message(f"The same images as for earlier readers ({study}); another --seed selects others.")
        if len(cases) < len(known):
            message(f"{len(known) - len(cases)} of its {len(known)} images are missing or changed, and are left out.")
        if cases:
            return cases
    usable = {key: each for key, each in judged.items() if each[1].decision == "accept"}
    labels = [wanted.label] if wanted.label else session.collection.labels
    usable = {key: each for key, each in usable.items() if is_there(each[0].path, each[0].sha256)}
    cases = half_and_half(session.collection, session.split, usable, labels, count, wanted.seed)
    if not cases:
        raise ReviewError(
            needed="accepted or unscreened synthetic images, real images of the same class, and at least 2 images",
            found=f"{len(usable)} such synthetic images{_of(wanted.label)}, and --limit {count}",
            next_step="generate some: balance fill --target N; or decide about those that wait: balance review",
        )
    with journal.writing() as ledger:
        ledger.save_setting(session.collection, setting, [case.key for case in cases])
    return cases


def _candidates(session: Session, label: str | None) -> Judged:
    """All candidates, or those of one class, each with the verdict that counts."""
    labels = session.collection.labels
    if label is not None and label not in labels:
        raise PlanError(
            needed=f"a class of the collection: {', '.join(labels)}",
            found=f"{label!r} in --label",
            next_step=f"use, for example: --label {labels[0]}",
        )
    judged: dict[str, object] = {}
    for each in [label] if label is not None else labels:
        judged |= session.ledger.candidates(session.collection, each)
    if not judged:
        raise ReviewError(
            needed="synthetic images to review",
            found=f"no candidates{_of(label)}",
            next_step="generate some first: balance fill --target N",
        )
    return judged  # type: ignore[return-value]


def _present(cases: Sequence[ReviewCase]) -> list[ReviewCase]:
    """The cases whose files are what was judged; the others are named."""
    from analysis.review.cases import is_there
    from balancer.dataset.layout import lost

    there = [case for case in cases if is_there(case.candidate.path, case.candidate.sha256)]
    gone = [case.candidate for case in cases if case not in there]
    if not there:
        raise lost(gone[0])
    if gone:
        some = ", ".join(candidate.path.name for candidate in gone[:3]) + (", ..." if len(gone) > 3 else "")
        message(f"Left out: {len(gone)} images are missing or changed since they were screened: {some}")
        message("          balance fill generates them again")
    return there


def _journal(session: Session) -> Journal:
    from analysis.review.sessions import Journal

    return Journal(session.state, session.ledger, session.collection)


def _print_results(session: Session, *, as_json: bool) -> None:
    if as_json:
        result_json(results_as_json(session))
    else:
        show_results(session)


def _name_of(reader: str | None) -> str:
    """The name of the reader, from --reader.

    Raises:
        ReviewError: there is none, or one that cannot be printed.
    """
    name = (reader or "").strip()
    if name and name.isprintable() and len(name) <= _NAME:
        return name
    raise ReviewError(
        needed=f"the name of the reader, at most {_NAME} letters, which is stored with every answer",
        found="none" if not name else f"{printable(name[:_NAME])!r}",
        next_step="balance review --reader 'A. Reader'",
    )


def _of(label: str | None) -> str:
    return f" of class {printable(label)}" if label else ""
