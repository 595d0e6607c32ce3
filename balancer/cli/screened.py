"""What `balance fill` does about screening: whether it is possible, what it found, and what must be said of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import Progress, message, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analysis.screening import Screen
    from balancer.cli.filling import Work
    from balancer.cli.session import Session
    from balancer.fill import FillReport
    from balancer.scan import Collection

_ADVICE = {
    "sound": "look at what the model draws (balance prompts --sample), train it longer, or use another --model",
    "label": "the model does not show this class: train it on more images of it, or raise --guidance",
    "copy": "the model repeats its training images: train it shorter or on more images, or use another --model",
    "new": "the model repeats itself: lower --guidance, ask for fewer images, or use another --model",
}
_WAITING = "a person must look at those in review; until then a higher --retries makes others"


@dataclass(frozen=True, slots=True)
class Gate:
    """How an image gets into the balanced folder."""

    accept_unscreened: bool = False

    @property
    def usable(self) -> tuple[str, ...]:
        """The decisions that let it in."""
        return ("accept", "unscreened") if self.accept_unscreened else ("accept",)

    def require(self, collection: Collection, *, dry_run: bool = False) -> None:
        """Refuse before the first image what could only be refused after the last; a dry run is only told.

        Raises:
            ScreenError: copies of patients cannot be looked for, and the user has not said that they need not.
        """
        from analysis.screening import require_patients, why_unscreened

        why = why_unscreened(collection)
        if why and self.accept_unscreened:
            message(f"Copies of patients are not screened, at your word: {why}.")
        elif why and dry_run:
            message(f"Copies of patients cannot be screened: {why}: fill will ask for --accept-unscreened.")
        else:
            require_patients(collection)

    def open(self, session: Session, work: Work) -> Screen:
        """The gates, fitted on the training part."""
        from analysis.screening import fit_screen
        from balancer.errors import ScreenError

        watch = _Watch()
        screen = fit_screen(
            session.collection, session.split, session.state.cache, exposed=work.exposed, watch=watch.begin
        )
        watch.close()
        for note in screen.notes:
            message(f"Screening: {printable(note)}")
        if screen.unscreened and not self.accept_unscreened:
            raise ScreenError(
                needed="enough patients in the training part, to screen for copies of them",
                found=screen.unscreened,
                next_step="scan more patients, or take the images without this gate, at your word: "
                "balance fill ... --accept-unscreened",
            )
        return screen


def trained_on(checkpoint: Path) -> frozenset[str]:
    """The hashes of the images that a checkpoint says it was trained on; none where it says nothing."""
    try:
        card = json.loads((checkpoint / "card.json").read_text("utf-8"))
        return frozenset(card["training_files"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return frozenset()


def stamps(screen: Screen, report: FillReport) -> list[str]:
    """What the balanced folder must say of the screening; the same on every run."""
    said = []
    merged = sum(map(len, report.accepted.values()))
    if screen.unscreened:
        said.append(f"copies of patients were not screened, accepted at the user's word: {screen.unscreened}")
    elif merged:
        said.append(
            f"screened for copies: 0 of the {merged} synthetic images are called one, so at most "
            f"{min(1.0, 3 / merged):.1%} would be by this measure; that does not make them anonymous"
        )
    if why := _blame(screen, report):
        said.append(why)
    return [*said, *screen.notes]


def show_screening(screen: Screen, report: FillReport) -> None:
    """Which gate stopped how many, what waits for a person, and what to do about a class that stays short."""
    for label, count in report.review.items():
        message(f"In review: {printable(label)}: {count}: nearer to a real image than usual; a person must look")
    for label, (before, after) in _diversity(screen, report).items():
        message(f"Diversity of {printable(label)}: {before:.3f} before the label gate, {after:.3f} after")
    if why := _blame(screen, report):
        message(f"Warning: {why}.")
    for label, missing in report.short.items():
        gate, count = _stopped_by(report, label)
        message(
            f"Short: {printable(label)} lacks {missing}. Stopped most by the {gate} gate ({count}): {_advice(gate)}."
        )
    if screen.unscreened:
        message(f"Not screened for copies of patients: {printable(screen.unscreened)}.")


def _stopped_by(report: FillReport, label: str) -> tuple[str, int]:
    counts: Counter[str] = Counter({"copy review": report.review.get(label, 0)})
    for reason, count in report.rejected.get(label, {}).items():
        counts[reason.split(":")[0]] += count
    return counts.most_common(1)[0]


def _advice(gate: str) -> str:
    return _ADVICE.get(gate, _WAITING)


def _diversity(screen: Screen, report: FillReport) -> Mapping[str, tuple[float, float]]:
    """Of each class in which the label gate rejected images: mean embedding distance of all, and of what it left."""
    found = {}
    for label, judged in report.judged.items():
        left = [c for c, v in judged if not any(reason.startswith("label:") for reason in v.reasons)]
        if len(left) < len(judged):
            found[label] = (screen.diversity([c for c, _ in judged]), screen.diversity(left))
    return found


def _blame(screen: Screen, report: FillReport) -> str:
    return screen.blame([verdict for judged in report.judged.values() for _, verdict in judged])


class _Watch:
    """A progress line for each thing that takes long, one after the other."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def begin(self, what: str) -> Callable[[int, int], None]:
        """Begin a new line."""
        self.close()
        self._bar = Progress(what)
        return self._bar

    def close(self) -> None:
        """End the line."""
        if self._bar is not None:
            self._bar.close()
