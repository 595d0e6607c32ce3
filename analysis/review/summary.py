"""What a reader is told at the end of a session, and the figures of all answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import ReviewError
from balancer.filling.verdicts import judged_labels
from balancer.workspace.last_fill import portable

if TYPE_CHECKING:
    from analysis.review.decision_session import ReviewDesk
    from analysis.review.reader_study import BlindedDesk
    from analysis.statistics.agreement import Accuracy, Agreement, Proportion, Study
    from balancer.workspace.workspace import Session


@dataclass(frozen=True, slots=True)
class ReviewResults:
    """The figures of blinded studies, and by reader the verdicts that count."""

    studies: Sequence[Study]
    verdicts: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """The results of readers as JSON; shares are between 0 and 1, intervals are 95%."""
        studies = [
            {
                "study": study.name,
                "readers": [_accuracy_as_json(each) for each in study.readers],
                "agreement": [asdict(each) for each in study.agreements],
            }
            for study in self.studies
        ]
        return {"studies": studies, "verdicts": {name: dict(each) for name, each in self.verdicts.items()}}


def results_of(session: Session) -> ReviewResults:
    """The figures of all answers.

    Raises:
        ReviewError: nobody has answered anything yet.
    """
    return ReviewResults(_studies(session), _decided(session))


def review_summary(session: Session, desk: ReviewDesk, count: int, out: Path | None) -> list[str]:
    """What was decided, and what to run next."""
    counts = desk.counts()
    said = [
        f"{desk.reader}: {counts['accept']} accepted, {counts['reject']} rejected, {counts['review']} unsure; "
        f"{count - counts.total()} of {count} not judged."
    ]
    if counts.total():
        said.append(
            "Next: balance fill, with the same --target. It adds the accepted images, generates others for "
            "the rejected ones, and leaves out those that you were unsure about."
        )
    return said + _still_merged(session, desk.taken_out(), out)


def blinded_summary(session: Session, desk: BlindedDesk) -> list[str]:
    """How well this reader told real from synthetic."""
    found = [study for study in _studies(session) if study.name == desk.study]
    mine = [each for study in found for each in study.readers if each.reader == desk.reader and each.all.total]
    left = len(desk.overview()) - desk.answered
    if not mine:
        return [f"{desk.reader}: nothing answered yet."]
    said = [f"{desk.reader}: {_in_words(mine[0].all)}. {meaning(mine[0])}"]
    if left:
        said.append(f"Not answered: {left}; the same command continues there.")
    kappas = [kappa_in_words(each) for study in found for each in study.agreements if desk.reader in each.readers]
    return [*said, *kappas, "All results: balance review --results"]


def _studies(session: Session) -> list[Study]:
    from analysis.statistics.agreement import studies

    return studies(session.ledger.readings(session.collection), _patients(session))


def _patients(session: Session) -> dict[str, str]:
    """The patient of each image of a blinded study: an image made from a real one belongs to that one's patient."""
    from analysis.review.cases import REAL, SYNTHETIC

    known = session.collection.images["patient"].dropna()
    found = {f"{REAL} {name}": str(patient) for name, patient in known.items()}
    for label in judged_labels(session.ledger, session.collection):
        for key, (candidate, _) in session.ledger.candidates(session.collection, label).items():
            if candidate.job and (source := candidate.job.method.source):
                found[f"{SYNTHETIC} {key}"] = found.get(f"{REAL} {source.path}", f"{REAL} {source.path}")
    return found


def _decided(session: Session) -> dict[str, dict[str, int]]:
    """By reader: the verdicts of theirs that count, and their answers to the two questions.

    Raises:
        ReviewError: nobody has answered anything yet.
    """
    from analysis.review.decision_session import QUESTIONS, SAID

    found: dict[str, dict[str, int]] = {}
    kinds = [*SAID, *(f"{question}_{answer}" for question in QUESTIONS for answer in ("yes", "no"))]
    for label in judged_labels(session.ledger, session.collection):
        for _, verdict in session.ledger.candidates(session.collection, label).values():
            if not SAID.get(verdict.decision, "") or SAID[verdict.decision] not in verdict.reasons[:1]:
                continue
            mine = found.setdefault(verdict.reviewer, dict.fromkeys(kinds, 0))
            mine[verdict.decision] += 1
            for question in QUESTIONS:
                if question in verdict.scores:
                    mine[f"{question}_{'yes' if verdict.scores[question] else 'no'}"] += 1
    if not found and not session.ledger.readings(session.collection):
        raise ReviewError(
            needed="answers of a reader",
            found="none yet",
            next_step="balance review --reader 'A. Reader', or the same with --blinded",
        )
    return found


def _still_merged(session: Session, taken_out: set[str], out: Path | None) -> list[str]:
    """A sentence when the balanced folder holds images that are no longer accepted."""
    from balancer.dataset.merge import default_out
    from balancer.dataset.metadata_files import read_manifest, read_rows
    from balancer.errors import OutputError

    place = out or default_out(session.collection.root)
    name = portable(place, session.state)
    marker = read_manifest(place) if taken_out else None
    if marker is None:
        return []
    try:
        rows = read_rows(place, marker).values()
    except OutputError:
        return [f"{name} cannot be read: check it with balance verify."]
    count = sum(row.is_synthetic and row.sha256 in taken_out for row in rows)
    if not count:
        return []
    what = "1 image that is" if count == 1 else f"{count} images that are"
    return [f"{name} still contains {what} no longer accepted; balance fill removes them."]


def _in_words(found: Proportion) -> str:
    return f"right on {found.hits} of {found.total} images, {percent(found)}"


def meaning(found: Accuracy) -> str:
    """What an accuracy says, for two kinds half and half."""
    from analysis.data.minimums import READER_IMAGES

    few = min(found.real.total, found.synthetic.total) < READER_IMAGES
    if found.all.low > 0.5:
        return "This reader can distinguish the synthetic images from real ones."
    if found.all.high < 0.5:
        return "Worse than guessing: the reader sees a difference, but interprets it the wrong way round."
    if few:
        return f"Not shown to be better than guessing, but {found.all.total} answers are few."
    return f"No better than guessing: this reader is right on at most {found.all.high:.0%}, with 95% confidence."


def kappa_in_words(pair: Agreement) -> str:
    """How far two readers agree beyond chance, with its 95% interval."""
    names = " and ".join(pair.readers)
    if not pair.images:
        return f"{names}: no image in common yet."
    if pair.kappa is None:
        return (
            f"{names}: kappa is not defined, because both gave the same answer to all {pair.images} images in common."
        )
    interval = "no interval" if pair.low is None or pair.high is None else f"{pair.low:.2f} to {pair.high:.2f}"
    return f"{names}: Cohen's kappa {pair.kappa:.2f} ({interval}) over {pair.images} images."


def percent(found: Proportion) -> str:
    """A share with its 95% interval; a dash where nothing was counted."""
    if found.share is None:
        return "-"
    return f"{found.share:.0%} ({found.low:.0%} to {found.high:.0%})"


def _accuracy_as_json(found: Accuracy) -> dict[str, Any]:
    parts = {"all": found.all, "real": found.real, "synthetic": found.synthetic}
    shares = {name: {**asdict(each), "share": each.share} for name, each in parts.items()}
    return {"reader": found.reader, **shares, "meaning": meaning(found)}
