"""How many synthetic images each class lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from balancer.planning import Plan, make_plan
from balancer.workspace.settings import PlanSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


@dataclass(frozen=True, slots=True)
class PlanResult:
    """Real training images of each class (`counts`), and how many synthetic ones it gets."""

    collection: Collection
    split: Split
    counts: Mapping[str, int]
    plan: Plan

    @property
    def wanted(self) -> int:
        """How many images are to be made in all."""
        return sum(self.plan.deficits.values())

    @property
    def labels(self) -> list[str]:
        """The classes that get any."""
        return [label for label, count in self.plan.deficits.items() if count]

    def to_json(self) -> dict[str, Any]:
        """The plan of each class, for programs; `uncapped` is its deficit without --max-ratio, where that is less."""
        return {
            label: {
                "real": count,
                "target": self.plan.target_counts[label],
                "deficit": self.plan.deficits[label],
                "uncapped": self.plan.capped.get(label, self.plan.deficits[label]),
            }
            for label, count in self.counts.items()
        }


def plan(workspace: Workspace, settings: PlanSettings) -> PlanResult:
    """Turn targets, a strategy or multiples into the number of images that each class lacks; nothing is made.

    Raises:
        PlanError: nothing was asked for, or a contradiction; a value that is no number, or names no class.
        SplitError: `no_holdout` for a collection that cannot do without.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> plan(Workspace.open(folder), PlanSettings(target="max")).plan.deficits
    {'nodule': 3, 'normal': 0}
    """
    with workspace.session(write=False) as session:
        return plan_of(session.without_holdout() if settings.no_holdout else session, settings)


def plan_of(session: Session, settings: PlanSettings) -> PlanResult:
    """The plan for an opened workspace; one without a holdout where none is wanted."""
    from balancer.splits.split import training_counts

    counts = training_counts(session.collection, session.split)
    found = make_plan(
        counts,
        settings.target,
        strategy=settings.strategy,
        times=settings.times,
        max_ratio=settings.max_ratio,
        symmetric=settings.symmetric,
    )
    return PlanResult(session.collection, session.split, counts, found)
