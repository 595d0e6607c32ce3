"""Screening as `balancer` wants it handed in, and as a function of its own for images of another generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from balancer.errors import ScreenError
from balancer.filling.acceptance import TOO_FEW, USER_OVERRIDE
from balancer.progress import SILENT, Progress
from balancer.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.screening.screen import Screen
    from balancer.collection.scan import Collection
    from balancer.filling.external_import import ImportResult
    from balancer.filling.verdicts import Judged, ScreeningSummary
    from balancer.jobs import Candidate, Verdict
    from balancer.splits.split import Split
    from balancer.workspace.settings import ScreenSettings
    from balancer.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ScreenResult:
    """What was decided about each image, in order of their paths."""

    images: Sequence[ImportResult]

    def to_json(self) -> dict[str, Any]:
        """The decisions as JSON-compatible fields."""
        return {"images": [each.to_json() for each in self.images]}


@dataclass(frozen=True, slots=True)
class CollectionScreen:
    """All screening checks, to be fitted to the training images of one workspace: a `balancer` `ScreenSource`."""

    workspace: Workspace
    accept_unscreened: bool = False

    @property
    def overrides(self) -> Mapping[str, bool]:
        """The setting by which another process finds the same."""
        return {"accept_unscreened": True} if self.accept_unscreened else {}

    def require(self, collection: Collection, progress: Progress) -> None:
        """Refuse a collection in which copies of patients cannot be looked for; with the override, say so.

        Raises:
            ScreenError: too few patients are known.
        """
        from analysis.screening.screen import require_patients, why_unscreened

        why = why_unscreened(collection)
        if why and self.accept_unscreened:
            progress.message(f"Copies of patients are not screened (override: --accept-unscreened): {why}.")
        else:
            require_patients(collection)

    def fit(
        self,
        collection: Collection,
        split: Split,
        *,
        exposed: frozenset[str] = frozenset(),
        elsewhere: Mapping[str, Path] = {},
        progress: Progress = SILENT,
    ) -> FittedCollectionScreen:
        """Fit all checks on the training images; `exposed` are hashes of what else the generator learned from.

        Files of it outside the collection are `elsewhere`, by their hashes.

        Raises:
            ScreenError: no patients are known in the training split, and there is no override.
            ImageError: no training image can be read.
        """
        from analysis.screening.screen import fit_checks

        cache = self.workspace.state.cache
        checks = fit_checks(collection, split, cache, exposed=exposed, elsewhere=elsewhere, watch=progress.start)
        for note in checks.notes:
            progress.message(f"Screening: {printable(note)}")
        if not checks.unscreened or self.accept_unscreened:
            return FittedCollectionScreen(checks)
        if not checks.patients:
            raise ScreenError(
                needed="known patients in the training split, to screen for copies of their images",
                found=checks.unscreened,
                next_step="scan with --patient, or accept the images without this check: --accept-unscreened",
            )
        progress.message(
            f"Warning: copies of patients not excluded, except exact ones: {printable(checks.unscreened)}."
        )
        return FittedCollectionScreen(checks, TOO_FEW)


@dataclass(frozen=True, slots=True)
class FittedCollectionScreen:
    """Fitted checks; what they find no fault with but cannot screen for copies is let in; `reviewer` says why."""

    checks: Screen
    reviewer: str = USER_OVERRIDE

    @property
    def name(self) -> str:
        """Who judges: with an override, what the checks alone had judged is judged anew."""
        return f"{self.checks.name}, {self.reviewer}" if self.checks.unscreened else self.checks.name

    def __call__(self, batch: Sequence[Candidate], accepted: Sequence[Candidate]) -> list[Verdict]:
        """Return one verdict a candidate."""
        return [
            replace(verdict, reviewer=self.reviewer) if verdict.decision == "unscreened" else verdict
            for verdict in self.checks(batch, accepted)
        ]

    def why_unfit(self, first: Sequence[Candidate]) -> str:
        """Say why a model whose first images these are does not draw such images at all; "" where it is not clear."""
        return self.checks.why_unfit(first)

    def summary(self, judged: Mapping[str, Sequence[Judged]]) -> ScreeningSummary:
        """Say what all images together show: a generator that repeats its training images, and how diverse they are."""
        from balancer.filling.verdicts import ScreeningSummary

        warning = self.checks.blame([verdict for some in judged.values() for _, verdict in some])
        return ScreeningSummary(self.checks.notes, warning, self.checks.unscreened, self._diversity(judged))

    def _diversity(self, judged: Mapping[str, Sequence[Judged]]) -> dict[str, tuple[float, float]]:
        """Mean embedding distance of all images and of those that the label check left, where it rejected some."""
        found = {}
        for label, some in judged.items():
            left = [c for c, v in some if not any(reason.startswith("label:") for reason in v.reasons)]
            if len(left) < len(some):
                found[label] = (self.checks.diversity([c for c, _ in some]), self.checks.diversity(left))
        return found


def fit_screen(workspace: Workspace, *, accept_unscreened: bool = False) -> CollectionScreen:
    """The screen of a workspace, as `balancer.fill` and `balancer.merge` want it; it is fitted when they need it.

    Copies of patients can be looked for where patients are known; below 19 only exact ones, and a warning says so.
    Where none are known, images are refused, unless `accept_unscreened` takes them all the same; provenance says so.

    >>> fit_screen(Workspace.open(folder), accept_unscreened=True).overrides
    {'accept_unscreened': True}
    """
    return CollectionScreen(workspace, accept_unscreened)


def screen(workspace: Workspace, settings: ScreenSettings, *, progress: Progress = SILENT) -> ScreenResult:
    """Screen images of another generator against the scanned collection; nothing is merged, nothing is kept.

    Raises:
        CollectionError: the folder has no class folder, or is not apart from the collection.
        ImageError: no training image can be read.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> external = make_collection(folder / "external", {"nodule": 1})
    >>> screen(Workspace.open(folder), ScreenSettings(external)).images[0].verdict.reasons[0][:12]
    'a real image'
    """
    from balancer.workspace.external_run import screen_external

    source = CollectionScreen(workspace, accept_unscreened=True)
    return ScreenResult(screen_external(workspace, settings.candidates, source, progress))
