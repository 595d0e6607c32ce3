"""What a balanced folder says of the run that made it and of who screened its images; the same on every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from balancer import __version__
from balancer.dataset.finding_columns import FindingColumns
from balancer.filling.acceptance import NO_SCREEN, TOO_FEW, USER_OVERRIDE
from balancer.filling.verdicts import Judged
from balancer.text import many

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.jobs import Verdict
    from balancer.workspace.workspace import Session

EXTERNAL = "generator exposure unknown: there is no record of what the generator of the external images was trained on"
_COPY = "copy: not screened: "
_REASONS = 5


def dataset_facts(
    session: Session, run: Mapping[str, str], stamps: Sequence[str], judged: Sequence[Judged]
) -> dict[str, str]:
    """The facts for card and manifest: nothing that changes from run to run is among them."""
    split, collection = session.split, session.collection
    said = [*_screened_for_copies(judged), *unscreened_reasons(judged)]
    if collection.images["patient"].isna().any():
        said.append("patient leakage not excluded: patients unknown")
    if any(candidate.job is None for candidate, _ in judged):
        said.append(EXTERNAL)
    said += stamps
    if split.origin == "none":
        said.append("no test split: it cannot be shown whether these images help")
    return {
        "tool": f"balance {__version__}",
        **run,
        "split": f"{split.origin}, seed {split.seed}, sha256 {split.sha256}",
        **({"screening": _screening(judged)} if judged else {}),
        **unknown_after_edits(collection, judged),
        **({"left out by --exclude": many(left, "image")} if (left := len(split.left_out)) else {}),
        "stamps": "; ".join(said),
    }


def unknown_after_edits(collection: Collection, judged: Sequence[Judged]) -> dict[str, str]:
    """Of how many edited images it is unknown whether they kept a finding of their source, by finding."""
    columns = FindingColumns.of(collection, "")
    if columns is None:
        return {}
    found = Counter(finding for candidate, _ in judged for finding in columns.unknown_of(candidate))
    told = ", ".join(f"{finding} of {many(count, 'image')}" for finding, count in sorted(found.items()))
    return {"unknown after an edit": told} if told else {}


def unscreened_reasons(judged: Sequence[Judged]) -> list[str]:
    """Why images were merged without being screened, each reason once with the number of images."""
    found = Counter(_reason(reason, v) for _, v in judged if v.decision == "unscreened" for reason in v.reasons)
    return [
        reason if count == len(judged) else f"{reason} ({count} of {len(judged)} synthetic images)"
        for reason, count in found.most_common(_REASONS)
    ]


def _reason(reason: str, verdict: Verdict) -> str:
    """A reason, with what let the image in all the same."""
    if verdict.reviewer == NO_SCREEN:
        return reason
    if verdict.reviewer == TOO_FEW:
        return f"copies of patients not excluded, except exact ones: {reason.removeprefix(_COPY)}"
    return f"copies of patients not screened ({USER_OVERRIDE}): {reason.removeprefix(_COPY)}"


def _screened_for_copies(judged: Sequence[Judged]) -> list[str]:
    """What may be said of copies among the merged images, and what may not: of those that passed nothing is counted."""
    count = sum("copy_percentile" in verdict.scores and verdict.decision == "accept" for _, verdict in judged)
    if not count:
        return []
    return [f"screened for copies of patients: {count} synthetic images passed; this does not make them anonymous"]


def _screening(judged: Sequence[Judged]) -> str:
    """Who decided what about how many of the merged images."""
    found = Counter((verdict.reviewer, verdict.decision) for _, verdict in judged)
    return "; ".join(
        f"{'none (override: --no-screen)' if who == NO_SCREEN else who}: {count} {decision}"
        for (who, decision), count in sorted(found.items())
    )
