"""What is to be compared, and how, in an opened workspace."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from analysis.comparison.inference.result import NamedArms
from analysis.comparison.inputs.build_study import Wanted
from analysis.comparison.inputs.study import EXTRA
from analysis.comparison.training.arm_selection import control_of, name_baseline, name_synthetic
from analysis.comparison.training.arms import ARMS, Arm, load_arms
from analysis.comparison.training.backbones import find_backbone
from analysis.comparison.training.runs import LONGEST, LONGEST_QUICK, RunSettings, usual_workers
from balancer.collection.regions import read_regions
from balancer.errors import ComparisonError, StateError
from balancer.settings import as_command
from balancer.workspace.judging_settings import CompareSettings
from balancer.workspace.run_record import last_run
from balancer.workspace.settings import FillSettings
from balancer.workspace.workspace import Session

_NEEDS = ("synthetic", "unscreened", "reconstructed")


@dataclass(frozen=True, slots=True)
class Request:
    """The settings of a comparison, resolved: what is gathered, and how every arm is run."""

    session: Session
    settings: CompareSettings
    wanted: Wanted
    runs: RunSettings

    @property
    def has_curve(self) -> bool:
        """Whether a learning curve is wanted, and its interval can be had."""
        return not (self.settings.quick or self.settings.arm) and len(self.runs.seeds) > 1

    @property
    def home(self) -> Path:
        """Where finished trainings are kept."""
        return self.session.state.folder / "comparisons"

    @property
    def again(self) -> str:
        """What a person types for the same."""
        return as_command(self.settings)

    @property
    def which_arms(self) -> dict[str, Any]:
        """The keyword arguments by which arms are chosen."""
        return {"quick": self.settings.quick, "only": self.settings.arm, "recipe": self.runs.recipe}

    @property
    def workers(self) -> int:
        """How many trainings there are at once."""
        backbone = self.runs.backbone
        return self.settings.workers or usual_workers(backbone, backbone.units(self.runs.steps or self.runs.longest))

    def judged(self, arms: Sequence[Arm]) -> NamedArms:
        """The arms of the verdict, and the matched control of each with synthetic images."""
        backbone, recipe = self.runs.backbone, self.runs.recipe
        controls = {each.name: control_of(each, recipe, backbone).name for each in arms if each.kind == "synthetic"}
        names = [each.name for each in arms]
        return NamedArms(name_baseline(backbone).name, name_synthetic(names, self.settings.arm), controls)


def request_of(session: Session, settings: CompareSettings, rare: str) -> Request:
    """The request; `rare` is the class of the primary endpoint.

    Raises:
        ModelError: there is no such backbone or device, or its weights are of no use.
        TableError: the regions cannot be used.
    """
    backbone = find_backbone(
        settings.backbone,
        weights=settings.weights,
        side=settings.size,
        steps=settings.fixed_steps,
        device=settings.device,
    )
    filled = _last_fill(session)
    file = settings.regions or (filled.regions if filled and filled.regions and filled.regions.exists() else None)
    regions = None if file is None else read_regions(file, session.collection)
    needs = [each for each in _NEEDS if each == "synthetic" or _is_wanted(each, settings)]
    needs += ["transplanted"] if regions is not None or (filled is not None and filled.paints) else []
    pooled, insist = bool(settings.cross_fit), settings.force
    runs = RunSettings(
        backbone,
        settings.fixed_steps,
        settings.training_seeds,
        settings.named_recipe,
        LONGEST_QUICK if settings.quick else LONGEST,
        tries_rates=not settings.quick,
    )
    wanted = Wanted(backbone.side, needs, settings.extra_folders, rare, insist=insist, pooled=pooled, regions=regions)
    return Request(session, settings, wanted, runs)


def _last_fill(session: Session) -> FillSettings | None:
    with suppress(StateError):  # of another version, which knew no regions
        filled = last_run(session, "fill", FillSettings)
        return None if filled is None else filled.settings
    return None


def _is_wanted(need: str, settings: CompareSettings) -> bool:
    return need in settings.arm if settings.arm else not settings.quick


def require_arms(settings: CompareSettings) -> None:
    """Refuse what is no arm before hours go into folds; an arm of another package is loaded where it is named.

    Raises:
        ComparisonError: one of the names is none.
        PluginError: what another package brings under a name is no arm.
    """
    load_arms(settings.arm)
    known = [*ARMS, *(f"{EXTRA}{name}" for name in settings.extra_folders)]
    unknown = [name for name in settings.arm if name not in known]
    if not unknown:
        return
    meant = get_close_matches(unknown[0], known, 1, cutoff=0.0)[0]
    raise ComparisonError(
        needed=f"names of arms: {', '.join(known)}",
        found=", ".join(map(repr, unknown)),
        next_step=f"for example: balance compare --arm {shlex.quote(meant)}",
    )
