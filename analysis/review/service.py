"""A specialist decides on images, or tries to tell real from synthetic: the session, to be served as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from analysis.review.summary import ReviewResults, blinded_summary, results_of, review_summary
from balancer.collection.label_sets import findings_in
from balancer.errors import PlanError, ReviewError
from balancer.filling.acceptance import is_accepted
from balancer.filling.verdicts import judged_labels
from balancer.progress import SILENT, Progress
from balancer.store.setting_names import STUDY
from balancer.text import printable
from balancer.workspace.judging_settings import ReviewSettings

if TYPE_CHECKING:
    from analysis.review.cases import BlindedCase, Judged, ReviewCase
    from analysis.review.decision_session import ReviewDesk
    from analysis.review.reader_study import BlindedDesk
    from analysis.review.sessions import Desk, Journal
    from balancer.workspace.workspace import Session, Workspace

_BLINDED = 50  # images in a blinded study: 25 of each kind tell 80% from chance
_NAME = 80  # letters
Summary = Callable[[], Sequence[str]]


def review_results(workspace: Workspace) -> ReviewResults:
    """The figures of all answers: of blinded studies, and the verdicts that count.

    Raises:
        ReviewError: nobody has answered anything yet.
    """
    with workspace.session(write=False, several=True) as session:
        return results_of(session)


@contextmanager
def review_session(
    workspace: Workspace, settings: ReviewSettings, *, progress: Progress = SILENT
) -> Iterator[tuple[Desk, Summary]]:
    """The images for one reader, as `analysis.review.server.serve` shows them, and what is said at the end.

    Raises:
        ReviewError: the reader has no name, or there is nothing to show.
        PlanError: there is no such class.
    """
    _require_name(settings.reader)
    with workspace.session(write=False, several=True) as session:
        yield (_blinded_desk if settings.blinded else _review_desk)(session, settings, progress)


def _review_desk(session: Session, wanted: ReviewSettings, progress: Progress) -> tuple[ReviewDesk, Summary]:
    from analysis.review.cases import random_sample, waiting
    from analysis.review.decision_session import ReviewDesk
    from analysis.review.nearest_real import ByCorrelation

    judged = _candidates(session, wanted.label)
    count = min(wanted.audit or 0, wanted.limit or len(judged))
    cases = (
        random_sample(judged, count, wanted.seed) if wanted.audit else waiting(judged, _name_of(wanted), wanted.limit)
    )
    if not cases:
        raise ReviewError(
            needed="images that wait for review",
            found=f"none among {len(judged)} candidates{_of(wanted.label)}",
            next_step="review a random sample instead: balance review --audit 50",
        )
    nearest = ByCorrelation(session.collection, session.split)
    cases = _present(cases, progress)
    desk = ReviewDesk(_journal(session), _name_of(wanted), cases, nearest, tell=not wanted.audit)
    return desk, lambda: review_summary(session, desk, len(cases), wanted.out)


def _blinded_desk(session: Session, wanted: ReviewSettings, progress: Progress) -> tuple[BlindedDesk, Summary]:
    from analysis.review.reader_study import BlindedDesk

    count = wanted.limit or _BLINDED
    study = f"seed {wanted.seed}, {count} images" + (f", class {wanted.label}" if wanted.label else "")
    journal = _journal(session)
    cases = _study(session, journal, study, wanted, count, progress)
    progress.message(f"Preparing {len(cases)} images")
    desk = BlindedDesk(journal, study, _name_of(wanted), cases)
    return desk, lambda: blinded_summary(session, desk)


def _study(
    session: Session, journal: Journal, study: str, wanted: ReviewSettings, count: int, progress: Progress
) -> list[BlindedCase]:
    """The images of a study: those that its first reader saw, else a new sample, which is remembered."""
    from analysis.review.cases import half_and_half, is_there, same_again

    judged, setting = _candidates(session, wanted.label), STUDY.of(study)
    known = session.ledger.setting(session.collection, setting)
    if known is not None:
        cases = [case for case in same_again(session.collection, judged, known) if is_there(case.path, case.sha256)]
        progress.message(f"The same images as for earlier readers ({study}); another --seed selects others.")
        if len(cases) < len(known):
            progress.message(
                f"{len(known) - len(cases)} of its {len(known)} images are missing or changed, and are left out."
            )
        if cases:
            return cases
    usable = {key: each for key, each in judged.items() if is_accepted(each[1])}
    labels = _labels_of(session, wanted.label)
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
    for each in _labels_of(session, label):
        judged |= session.ledger.candidates(session.collection, each)
    if not judged:
        raise ReviewError(
            needed="synthetic images to review",
            found=f"no candidates{_of(label)}",
            next_step="generate some first: balance fill --target N",
        )
    return judged  # type: ignore[return-value]


def _labels_of(session: Session, label: str | None) -> list[str]:
    """The class that is named, or the label sets with the finding that is named; without one all that may have any."""
    every = judged_labels(session.ledger, session.collection)
    if label is None:
        return every
    return [each for each in every if label in findings_in(each)] if session.collection.is_multi_label else [label]


def _present(cases: Sequence[ReviewCase], progress: Progress) -> list[ReviewCase]:
    """The cases whose files are what was judged; the others are named."""
    from analysis.review.cases import is_there
    from balancer.dataset.layout import lost

    there = [case for case in cases if is_there(case.candidate.path, case.candidate.sha256)]
    gone = [case.candidate for case in cases if case not in there]
    if not there:
        raise lost(gone[0])
    if gone:
        some = ", ".join(candidate.path.name for candidate in gone[:3]) + (", ..." if len(gone) > 3 else "")
        progress.message(f"Left out: {len(gone)} images are missing or changed since they were screened: {some}")
        progress.message("          balance fill generates them again")
    return there


def _journal(session: Session) -> Journal:
    from analysis.review.sessions import Journal

    return Journal(session.state, session.ledger, session.collection)


def _name_of(wanted: ReviewSettings) -> str:
    return (wanted.reader or "").strip()


def _require_name(reader: str | None) -> None:
    """Refuse a reader without a name, or with one that cannot be printed.

    Raises:
        ReviewError: as it says.
    """
    name = (reader or "").strip()
    if name and name.isprintable() and len(name) <= _NAME:
        return
    raise ReviewError(
        needed=f"the name of the reader, at most {_NAME} letters, which is stored with every answer",
        found="none" if not name else f"{printable(name[:_NAME])!r}",
        next_step="balance review --reader 'A. Reader'",
    )


def _of(label: str | None) -> str:
    return f" of class {printable(label)}" if label else ""
