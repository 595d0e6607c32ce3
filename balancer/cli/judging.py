"""Who judges, and what the balanced folder says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balancer import __version__
from balancer.cli.console import message

if TYPE_CHECKING:
    from balancer.candidates import Judged, Screen
    from balancer.cli.session import Session
    from balancer.jobs import Candidate, Verdict

BY_WORD = "screening: none, by the user's word (--no-screen)"
ELSEWHERE = "generator exposure unknown: what made the images from elsewhere was trained on is not on record here"
_REASONS = 5


@dataclass(frozen=True, slots=True)
class NoScreen:
    """Judges nothing but that a file can be read; every verdict says by whose word."""

    name: str = "no screen"  # as balancer.candidates.NO_SCREEN, which is not imported for the sake of --help

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [self._judge(candidate) for candidate in batch]

    def _judge(self, candidate: Candidate) -> Verdict:
        from balancer.errors import ImageError
        from balancer.images import read_grey
        from balancer.jobs import Verdict

        try:
            read_grey(candidate.path)
        except ImageError as error:
            return Verdict("reject", {}, (f"unreadable: {error.found}",), self.name)
        return Verdict("unscreened", {}, (BY_WORD,), self.name)


def make_screen(session: Session, *, no_screen: bool = False) -> Screen:
    """The judge of synthetic images, whoever made them."""
    if no_screen:
        return NoScreen()
    from analysis.screening import Soundness

    root = session.collection.root
    return Soundness.fit([root / path for path in session.split.paths("train")])


def unscreened(judged: Sequence[Judged]) -> list[str]:
    """Why images were merged without being screened, each reason once with the number of images."""
    found = Counter(reason for _, v in judged if v.decision == "unscreened" for reason in v.reasons)
    return [
        reason if count == len(judged) else f"{reason} ({count} of {len(judged)} synthetic images)"
        for reason, count in found.most_common(_REASONS)
    ]


def show_unscreened(judged: Sequence[Judged]) -> None:
    """Say what was not screened, and why."""
    for reason in unscreened(judged):
        message(f"{reason[:1].upper()}{reason[1:]}." if reason.startswith(BY_WORD) else f"Not screened: {reason}.")


def facts_of(
    session: Session, run: Mapping[str, str], stamps: Sequence[str], judged: Sequence[Judged]
) -> dict[str, str]:
    """What the balanced folder says of the run that made it and of who judged; the same on every run."""
    split, collection = session.split, session.collection
    said = unscreened(judged)
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


def _screening(judged: Sequence[Judged]) -> str:
    """Who decided what about how many of the merged images."""
    found = Counter((verdict.reviewer, verdict.decision) for _, verdict in judged)
    return "; ".join(
        f"{BY_WORD.removeprefix('screening: ') if who == NoScreen().name else who}: {count} {decision}"
        for (who, decision), count in sorted(found.items())
    )
