"""Who judges, and what the balanced folder says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from balancer import __version__
from balancer.cli.console import Progress, message
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.screening.screen import Screen as Gates
    from balancer.collection.scan import Collection
    from balancer.filling.screening import Judged, Screen
    from balancer.jobs import Candidate, Verdict
    from balancer.workspace.workspace import Session

NONE = "screening: none, by the user's word (--no-screen)"
ELSEWHERE = "generator exposure unknown: what made the images from elsewhere was trained on is not on record here"
_COPY = "copy: not screened: "
_WORD = "copies of patients not screened, accepted at the user's word: "
_REASONS = 5


@dataclass(frozen=True, slots=True)
class NoScreen:
    """Judges nothing but that a file can be read; every verdict says by whose word."""

    name: str = "no screen"  # as balancer.filling.screening.NO_SCREEN, which is not imported for the sake of --help

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [self._judge(candidate) for candidate in batch]

    def _judge(self, candidate: Candidate) -> Verdict:
        from balancer.errors import ImageError
        from balancer.imaging.decode import raise_if_disk_failed, read_grey
        from balancer.jobs import Verdict

        try:
            read_grey(candidate.path)
        except ImageError as error:
            raise_if_disk_failed(error)
            return Verdict("reject", {}, (f"unreadable: {error.found}",), self.name)
        return Verdict("unscreened", {}, (NONE,), self.name)


@dataclass(frozen=True, slots=True)
class AtTheUsersWord:
    """Lets in what the gates find no fault with but cannot screen for copies; the verdict says whose word that was."""

    gates: Gates

    @property
    def name(self) -> str:
        """Who judges: what the gates alone had judged is judged anew."""
        return f"{self.gates.name}, unscreened at the user's word"

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [
            replace(verdict, reviewer="user's word") if verdict.decision == "unscreened" else verdict
            for verdict in self.gates(batch, accepted)
        ]


@dataclass(frozen=True, slots=True)
class Word:
    """What the user says of screening: whether to do it, and whether to take what cannot be screened."""

    no_screen: bool = False
    accept_unscreened: bool = False

    def require(self, collection: Collection, *, dry_run: bool = False) -> None:
        """Refuse before the first image what could only be refused after the last; a dry run is only told.

        Raises:
            ScreenError: copies of patients cannot be looked for, and the user has not said that they need not.
        """
        if self.no_screen:
            message("Screening: none, by your word (--no-screen). Provenance and card will say so.")
            return
        from analysis.screening.screen import require_patients, why_unscreened

        why = why_unscreened(collection)
        if why and self.accept_unscreened:
            message(f"Copies of patients are not screened, at your word: {why}.")
        elif why and dry_run:
            message(f"Copies of patients cannot be screened: {why}: fill will ask for --accept-unscreened.")
        else:
            require_patients(collection)


def fit_gates(session: Session, exposed: frozenset[str] = frozenset()) -> Gates:
    """All gates, fitted on the training part; `exposed` are hashes of what else the generator learned from."""
    from analysis.screening.screen import fit_screen

    watch = Watch()
    gates = fit_screen(session.collection, session.split, session.state.cache, exposed=exposed, watch=watch.begin)
    watch.close()
    for note in gates.notes:
        message(f"Screening: {printable(note)}")
    return gates


def choose_screen(gates: Gates | None, word: Word) -> Screen:
    """The judge of synthetic images, whoever made them; without gates nothing is screened.

    Raises:
        ScreenError: copies of patients cannot be looked for, and the user has not said that they need not.
    """
    from balancer.errors import ScreenError

    if gates is None:
        return NoScreen()
    if not gates.unscreened:
        return gates
    if word.accept_unscreened:
        return AtTheUsersWord(gates)
    raise ScreenError(
        needed="enough patients in the training part, to screen for copies of them",
        found=gates.unscreened,
        next_step="scan more patients, or take the images without this gate, at your word: --accept-unscreened",
    )


class Watch:
    """A progress line for each thing that takes long, one after the other."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def begin(self, what: str) -> Progress:
        """Begin a new line."""
        self.close()
        self._bar = Progress(what)
        return self._bar

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()


def unscreened(judged: Sequence[Judged]) -> list[str]:
    """Why images were merged without being screened, each reason once with the number of images."""
    found = Counter(_told(reason, v) for _, v in judged if v.decision == "unscreened" for reason in v.reasons)
    return [
        reason if count == len(judged) else f"{reason} ({count} of {len(judged)} synthetic images)"
        for reason, count in found.most_common(_REASONS)
    ]


def _told(reason: str, verdict: Verdict) -> str:
    """A reason with whose word let the image in all the same."""
    return f"{_WORD}{reason.removeprefix(_COPY)}" if verdict.reviewer == "user's word" else reason


def show_unscreened(judged: Sequence[Judged]) -> None:
    """Say what was not screened, and why."""
    for reason in unscreened(judged):
        message(
            f"{reason[:1].upper()}{reason[1:]}." if reason.startswith((NONE, _WORD)) else f"Not screened: {reason}."
        )


def facts_of(
    session: Session, run: Mapping[str, str], stamps: Sequence[str], judged: Sequence[Judged]
) -> dict[str, str]:
    """What the balanced folder says of the run that made it and of who judged; the same on every run."""
    split, collection = session.split, session.collection
    said = [*_screened_for_copies(judged), *unscreened(judged)]
    if collection.images["patient"].isna().any():
        said.append("patient leakage not excluded: patients unknown")
    if any(candidate.job is None for candidate, _ in judged):
        said.append(ELSEWHERE)
    said += stamps
    if split.origin == "none":
        said.append("nothing was held out: whether these images help cannot be shown")
    return {
        "tool": f"balance {__version__}",
        **run,
        "split": f"{split.origin}, seed {split.seed}, sha256 {split.sha256}",
        **({"screening": _screening(judged)} if judged else {}),
        "stamps": "; ".join(said),
    }


def _screened_for_copies(judged: Sequence[Judged]) -> list[str]:
    """What may be said of copies among the merged images, and what may not: of those that passed nothing is counted."""
    count = sum("copy_percentile" in verdict.scores and verdict.decision == "accept" for _, verdict in judged)
    if not count:
        return []
    return [f"screened for copies of patients: {count} synthetic images passed; that does not make them anonymous"]


def _screening(judged: Sequence[Judged]) -> str:
    """Who decided what about how many of the merged images."""
    found = Counter((verdict.reviewer, verdict.decision) for _, verdict in judged)
    return "; ".join(
        f"{NONE.removeprefix('screening: ') if who == NoScreen().name else who}: {count} {decision}"
        for (who, decision), count in sorted(found.items())
    )
