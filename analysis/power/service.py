"""What the test split of a workspace can detect, as one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.power.detectable_effect import Power, by_metric_and_class, measure_power
from analysis.power.text import as_json
from balancer.workspace.judging_settings import PowerSettings

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split
    from balancer.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DetectableEffect:
    """The smallest detectable differences of one class; those of the others are measured when they are asked for."""

    power: Power
    collection: Collection
    split: Split

    def to_json(self) -> dict[str, Any]:
        """The class, and below `metrics` the figures of every metric and class: a second of simulation for each."""
        return {
            **as_json(self.power),
            "metrics": by_metric_and_class(self.collection, self.split, self.power.difference),
        }


def detectable_effect(workspace: Workspace, settings: PowerSettings = PowerSettings()) -> DetectableEffect:
    r"""The smallest difference of AUPRC and of recall that the test split, and all folds together, can detect.

    Differences are shares from 0 to 1: that at which `compare` says "helps" in 80% of simulated test sets. Patients
    are the unit; where they are unknown each image counts as one.

    Raises:
        PlanError: there is no such class, or the difference is not between 0 and 1.
        SplitError: the class has no training image, or nothing to test on.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays", patient=r"(p\d+)"))
    >>> detectable_effect(Workspace.open(folder), PowerSettings("normal")).power.one_split.patients
    2
    """
    with workspace.session(write=False, several=True) as session:
        power = measure_power(session.collection, session.split, settings.label, settings.difference)
        return DetectableEffect(power, session.collection, session.split)
