"""Did it help? The whole comparison as one function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.comparison.cost import Cost, cost_in_words, seconds_of, training_cost
from analysis.comparison.execution import judge, train_arms
from analysis.comparison.external import find_external
from analysis.comparison.inference.bootstrap import Estimates, class_patients, estimate, measure_arms
from analysis.comparison.inference.by_finding import ByFinding, judge_findings, plain_findings
from analysis.comparison.inference.metrics import metric_names
from analysis.comparison.inference.result import Comparison, as_json, plain, plain_strata, without_nan
from analysis.comparison.inference.selection import Selection
from analysis.comparison.inference.subgroups import Strata, measure_strata
from analysis.comparison.inference.verdict_rule import ArmRoles, Grounds
from analysis.comparison.inputs.study import Outcomes
from analysis.comparison.predictions import NAME, read_predictions
from analysis.comparison.preparation import cross_fitted, redrawn, require_enough_a_fold, with_external
from analysis.comparison.request import Request, request_of, require_arms
from analysis.comparison.training.ray_pool import COMMAND, RayPool
from analysis.comparison.training.worker_pool import WorkerPool
from analysis.data.endpoint import primary_endpoint
from analysis.power import text
from analysis.power.detectable_effect import Power, measure_power
from balancer.collection.scan import Collection
from balancer.errors import ComparisonError
from balancer.filling.ray_cluster import require_ray
from balancer.progress import SILENT, Phases, Progress
from balancer.text import printable
from balancer.workspace.fill_origin import not_repeated
from balancer.workspace.fold_runs import Refit, fold_refits, redraw_refits
from balancer.workspace.judging_settings import CompareSettings
from balancer.workspace.reports import METRICS, keep_report
from balancer.workspace.workspace import Session, Workspace

_TIMES = 1000
"""Draws of patients for a subgroup, as for the whole test split."""


@dataclass(frozen=True, slots=True)
class CompareResult:
    """What a comparison came to, and where its figures are kept; without either where the test split stayed closed.

    `choice` has the arms of the verdict, and of every arm the `primary` endpoint on the validation split.
    """

    choice: Selection
    primary: str
    comparison: Comparison | None = None
    place: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of `metrics.json`; of a comparison that left the test split closed, validation figures alone."""
        if self.comparison is not None:
            return as_json(self.comparison)
        return {"endpoint": {"primary": self.primary}, "validation": dict(self.choice.validation)}


@dataclass(frozen=True, slots=True)
class ComparePreview:
    """What a comparison can show and costs: what the test split detects, what is refitted, and what is trained."""

    power: Power
    refits: Sequence[Refit]
    training: Cost

    def to_json(self) -> dict[str, Any]:
        """The fields for `--json`; times in seconds."""
        return {
            "power": text.as_json(self.power),
            "refits": [each.name for each in self.refits],
            "trainings": self.training.trainings,
            "seconds": seconds_of(self.refits, self.training),
        }


def compare(
    workspace: Workspace, settings: CompareSettings = CompareSettings(), *, progress: Progress = SILENT
) -> CompareResult:
    """Train a classifier with and without the synthetic images, and judge both on unseen patients.

    Every arm is trained with each seed for as many steps. The test split is opened once for the same images, seeds and
    arms, and each look at it is counted. Stopped, the comparison goes on where it was. With `validation_only` the test
    split stays closed, and the result has no verdict.

    Raises:
        ComparisonError: too little is there to conclude from, or what is tested has seen the test split.
        PlanError: there is no such class.
        SplitError: the stored split has not so many folds, or nothing to test on.
        ModelError: there is no such backbone or device.
        SettingsError: `engine` is "ray", which is not installed, or RAY_ADDRESS names no cluster of the user's choice.
        OutputError: the folder is not a balanced folder, or its tables were changed.

    >>> _ = make_balanced(folder)
    >>> settings = CompareSettings(quick=True, seeds=2, steps="1", size=16, force=True, workers=1)
    >>> compare(Workspace.open(folder), settings).comparison.judgement
    'cannot tell'
    """
    require_arms(settings)
    if settings.engine == "ray":
        require_ray(COMMAND)
    with workspace.session(write=True, several=True) as session:
        request, preview = _previewed(session, settings, progress)
        other = _external(request)
        prepared = cross_fitted if settings.cross_fit else redrawn
        inputs = prepared(request, preview.refits, progress)
        if other is not None and not settings.validation_only:
            inputs = with_external(request, inputs, other, progress)
        with _pool(request, progress) as pool:
            trained = train_arms(request, inputs, pool, progress)
            choice = trained.on_validation()
            if settings.validation_only:
                return CompareResult(choice, trained.primary)
            power = (text.out_of_fold_json if settings.cross_fit else text.as_json)(preview.power)
            found = judge(trained, power, pool, progress)
        place = keep_report(session.state, METRICS, as_json(found), inputs.folder)
    return CompareResult(choice, trained.primary, found, place)


def preview_compare(
    workspace: Workspace, settings: CompareSettings = CompareSettings(), *, progress: Progress = SILENT
) -> ComparePreview:
    """Say what the test split can show, and what a comparison would take; nothing is trained or written.

    Raises:
        BalanceError: what `compare` would refuse before it gathers images.

    >>> _ = make_balanced(folder)
    >>> settings = CompareSettings(quick=True, steps="1", size=16, workers=1)
    >>> preview_compare(Workspace.open(folder), settings).training.trainings
    12
    """
    require_arms(settings)
    with workspace.session(write=False, several=True) as session:
        request, preview = _previewed(session, settings, progress)
        _external(request)
        return preview


@dataclass(frozen=True, slots=True)
class FiguresResult:
    """The figures of every arm of the last comparison, and how often the test split was looked at by now."""

    name: str
    arms: Mapping[str, Estimates]
    rare: str
    openings: int
    primary: str
    named: ArmRoles
    strata: Strata
    findings: ByFinding = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The comparison, the figures by arm, the subgroups, the findings and the number of looks, for JSON."""
        arms = {arm: plain(figures) for arm, figures in self.arms.items()}
        told = {"comparison": self.name, "arms": arms, "strata": plain_strata(self.strata), "openings": self.openings}
        told["findings"] = plain_findings(self.findings, plain)
        found: dict[str, Any] = without_nan(told)
        return found


def comparison_figures(workspace: Workspace, *, progress: Progress = SILENT) -> FiguresResult:
    """Compute the figures of the last comparison from its kept predictions; nothing is trained, no verdict changes.

    Figures are means over seeds with 95% intervals over patients and seeds. This counts as a look at the test split.

    Raises:
        ComparisonError: nothing was compared yet, or its predictions are not there.

    >>> _ = make_balanced(folder)
    >>> comparison_figures(Workspace.open(folder))
    Traceback (most recent call last):
    balancer.errors.ComparisonError: needed: the predictions of a completed comparison by this version
    found:  none
    next:   balance compare; completed training is not repeated
    """
    with workspace.session(write=True, several=True) as session:
        last = _last_comparison(session)
        name = str(last["settings"]["comparison"])
        outcomes = read_predictions(session.state.folder / "comparisons" / name / NAME)
        before = session.ledger.openings(session.collection, session.split.sha256)
        session.ledger.add_opening(session.collection, session.split.sha256, f"{name} figures {before + 1}")
        phases = Phases(progress)
        measured = measure_arms(outcomes, progress=lambda done, total: phases("Measuring", done, total))
        patients, folds = class_patients(outcomes), outcomes.fold_count
        arms = {arm: estimate(each, patients, folds=folds) for arm, each in measured.items()}
        named, primary = _named(last, outcomes)
        strata = measure_strata(outcomes, named, primary, _TIMES, 0, phases)
        findings = judge_findings(outcomes, measured, named, _kept_grounds(last, named))
        return FiguresResult(name, arms, outcomes.rare, before + 1, primary, named, strata, findings)


def _named(last: Mapping[str, Any], outcomes: Outcomes) -> tuple[ArmRoles, str]:
    """The arms of the verdict and its endpoint, as they were kept, as far as their predictions are there."""
    chosen, arms = last.get("chosen") or {}, outcomes.probabilities
    baseline = str(chosen["free"]) if chosen.get("free") in arms else next(iter(arms))
    synthetic = chosen.get("synthetic") if chosen.get("synthetic") in arms else None
    primary = str((last.get("endpoint") or {}).get("primary"))
    known = primary in metric_names(outcomes.classes, outcomes.has_several)
    return ArmRoles(baseline, synthetic), primary if known else primary_endpoint(outcomes.rare)


def _kept_grounds(last: Mapping[str, Any], named: ArmRoles) -> Grounds:
    """Why nothing could be told, as it was kept: a figure computed later tells no more than the comparison did."""
    unfinished = tuple(arm for arm in last.get("unfinished") or () if arm in (named.baseline, named.synthetic))
    return Grounds(
        None,
        0,
        int(last.get("seeds") or 0),
        unfinished=unfinished,
        failed=bool(last.get("baseline_failed")),
        invalid=any(str(stamp).startswith("INVALID") for stamp in last.get("stamps") or ()),
    )


def _last_comparison(session: Session) -> Mapping[str, Any]:
    """The comparison whose result is kept.

    Raises:
        ComparisonError: there is none, or it is one of an earlier version.
    """
    place = session.state.reports / METRICS
    try:
        found: Mapping[str, Any] = json.loads(place.read_text("utf-8"))
        found["settings"]["comparison"]
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ComparisonError(
            needed="the predictions of a completed comparison by this version",
            found="a damaged comparison, or one of an earlier version" if place.exists() else "none",
            next_step="balance compare; completed training is not repeated",
        ) from error


def _pool(request: Request, progress: Progress) -> WorkerPool | RayPool:
    """Where the arms are trained: by processes of this machine, or by workers of a Ray cluster."""
    if request.settings.engine == "ray":
        return RayPool(request.settings.workers, request.runs.backbone.device, progress.message)
    return WorkerPool(request.workers)


def _external(request: Request) -> Collection | None:
    """The other collection that the arms are tested on too."""
    where, session = request.settings.external, request.session
    if where is None:
        return None
    return find_external(session, where, session.collection.labels, request.wanted.rare or session.collection.labels[0])


def _previewed(session: Session, settings: CompareSettings, progress: Progress) -> tuple[Request, ComparePreview]:
    """The request, and what it costs, which is said."""
    power = measure_power(
        session.collection, session.split, settings.label, command="balance compare", pooled=bool(settings.cross_fit)
    )
    request = request_of(session, settings, power.label)
    progress.message(printable(text.sentence(power)))
    folds = settings.cross_fit
    if folds and folds == session.split.fold_count:
        require_enough_a_fold(request)
    refits = fold_refits(session, folds) if folds else redraw_refits(session, settings.redraw)
    for note in not_repeated(session, folds=bool(folds)) if refits else ():
        progress.message(f"Note: {note}.")
    made = bool(folds) or (settings.folder or session.balanced_folder()) is not None
    cost = training_cost(request, made=made)
    progress.message(cost_in_words(request, refits, cost))
    return request, ComparePreview(power, refits, cost)
