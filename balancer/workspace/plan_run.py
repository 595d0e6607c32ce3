"""How many synthetic images each class, or finding, lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from balancer.collection.label_sets import findings_in
from balancer.errors import PlanError
from balancer.planning import Plan, make_plan
from balancer.set_planning import SetPlan, plan_sets
from balancer.workspace.settings import PlanSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


@dataclass(frozen=True, slots=True)
class FindingsPlan:
    """Real training images of each finding, what each is to get, and the label sets of new images."""

    counts: Mapping[str, int]
    plan: Plan
    sets: SetPlan

    def to_json(self) -> dict[str, Any]:
        """The plan of each finding and of the sets as JSON-compatible fields."""
        plan = self.plan
        return {
            "findings": {
                finding: {
                    "real": count,
                    "target": plan.target_counts[finding],
                    "deficit": plan.deficits[finding],
                    "uncapped": plan.capped.get(finding, plan.deficits[finding]),
                    "after": self.sets.after[finding],
                }
                for finding, count in self.counts.items()
            },
            "sets": dict(self.sets.sets),
        }


@dataclass(frozen=True, slots=True)
class PlanResult:
    """Real training images of each class (`counts`), and how many synthetic ones it gets.

    Where images have several findings, both are by label sets, and `findings` has the plan of each finding.
    """

    collection: Collection
    split: Split
    counts: Mapping[str, int]
    plan: Plan
    findings: FindingsPlan | None = None

    @property
    def wanted(self) -> int:
        """How many images are to be made in all."""
        return sum(self.plan.deficits.values())

    @property
    def labels(self) -> list[str]:
        """The classes that get any."""
        return [label for label, count in self.plan.deficits.items() if count]

    def to_json(self) -> dict[str, Any]:
        """The plan of each class, for programs; `uncapped` is its deficit without --max-ratio, where that is less.

        Of findings, `after` is what each will count; the sets that are made follow.
        """
        if self.findings is not None:
            return self.findings.to_json()
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
    with workspace.session(write=False, several=True) as session:
        return plan_of(session.without_holdout() if settings.no_holdout else session, settings)


def plan_of(session: Session, settings: PlanSettings) -> PlanResult:
    """The plan for an opened workspace; one without a holdout where none is wanted."""
    from balancer.splits.split import training_counts

    _require_fitting(session, settings)
    counts = training_counts(session.collection, session.split)
    found = make_plan(
        counts,
        settings.target,
        strategy=settings.strategy,
        times=settings.times,
        max_ratio=settings.max_ratio,
        symmetric=settings.symmetric,
    )
    sets = session.collection.label_sets
    if sets is None:
        return PlanResult(session.collection, session.split, counts, found)
    real = Counter(sets.only(session.split.paths("train", "holdout")).of_each())
    planned = plan_sets({each: number for each, number in real.items() if each}, found.deficits, alone=settings.alone)
    unreachable = {finding: missing for finding, missing in found.capped.items() if not counts[finding]}
    planned = replace(planned, unreachable={**planned.unreachable, **unreachable})
    of_sets = {name: real[findings_in(name)] for name in planned.sets}
    wanted = {name: count + planned.sets[name] for name, count in of_sets.items()}
    by_set = Plan(wanted, planned.sets, {})
    return PlanResult(session.collection, session.split, of_sets, by_set, FindingsPlan(counts, found, planned))


def _require_fitting(session: Session, settings: PlanSettings) -> None:
    """Refuse what only classes, or only findings, can be asked for."""
    several = session.collection.is_multi_label
    if settings.symmetric and several:
        raise PlanError(
            needed="one class for each image, for --symmetric",
            found="images with several findings",
            next_step="use --target N: a set with a finding has others with it, so numbers cannot be the same",
        )
    if settings.alone and not several:
        raise PlanError(
            needed="images with several findings, for --alone",
            found="one class for each image",
            next_step="leave --alone out",
        )
