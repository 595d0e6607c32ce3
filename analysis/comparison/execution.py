"""Training the arms of a comparison, and concluding from what they say of the test split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.comparison.inference.external_result import ExternalResult, measure_external
from analysis.comparison.inference.real_image_equivalent import exchange_rate
from analysis.comparison.inference.result import Comparison, Facts, conclude
from analysis.comparison.inference.selection import Selection, choose
from analysis.comparison.inference.text import as_json as exchange_as_json
from analysis.comparison.inputs.study import Outcomes
from analysis.comparison.predictions import EXTERNAL, NAME, write_predictions
from analysis.comparison.preparation import ComparisonInputs
from analysis.comparison.request import Request
from analysis.comparison.training.arm_selection import choose_arms
from analysis.comparison.training.arms import Arm
from analysis.comparison.training.learning_curve import learning_curve
from analysis.comparison.training.replicates import (
    Replicate,
    Trained,
    across_redraws,
    all_trained,
    as_json,
    keys,
    run_replicates,
)
from analysis.comparison.training.run_files import digest
from analysis.comparison.training.tuning import Tuning
from analysis.comparison.training.worker_pool import TrainingPool
from analysis.data.endpoint import primary_endpoint
from analysis.statistics.convergence import Course
from balancer import __version__
from balancer.collection.pseudonyms import Pseudonyms
from balancer.progress import Phases, Progress
from balancer.text import printable
from balancer.workspace.fill_origin import refit_key

_FEW = "few arms without synthetic images were compared: an arm that was left out may be better than the baseline"


@dataclass(frozen=True, slots=True)
class TrainedArms:
    """A comparison whose arms are trained: its inputs with their schedules, the arms, and why others are left out."""

    request: Request
    inputs: ComparisonInputs
    arms: tuple[Arm, ...]
    left_out: Mapping[str, str]

    @property
    def primary(self) -> str:
        """The primary endpoint."""
        return primary_endpoint(self.inputs.study.rare)

    @property
    def steps(self) -> int | None:
        """The steps of every training; of folds, the longest."""
        return max(
            (replicate.schedule.steps for replicate in self.inputs.replicates if replicate.schedule), default=None
        )

    def outcomes(self, part: Any) -> Outcomes | list[Outcomes]:
        """What the arms said of "validation" or of "test"."""
        return self.inputs.outcomes(self.request, self.arms, part)

    def on_validation(self) -> Selection:
        """The arms of the verdict, and the primary endpoint of every arm on the validation split."""
        asked, names = self.request.judged(self.arms), [each.name for each in self.arms]
        return choose(self.outcomes("validation"), asked.baseline, asked.synthetic, names, self.primary)

    def trainings(self) -> list[Trained]:
        """Every training, and how its loss fell."""
        return all_trained(self.inputs.replicates, self.arms, self.request.runs, self.request.home)


def train_arms(request: Request, inputs: ComparisonInputs, pool: TrainingPool, progress: Progress) -> TrainedArms:
    """Find how long to train, and train what is not trained yet.

    Raises:
        BalanceError: a training has no memory, or its process was killed.
    """
    how = {**request.which_arms, "only": request.settings.arm or None}
    chosen = [choose_arms(replicate.study, request.runs.backbone, **how) for replicate in inputs.replicates]
    left_out = {name: why for _, some in chosen for name, why in some.items()}
    arms = tuple(each for each in chosen[0][0] if each.name not in left_out)
    for name, why in left_out.items():
        progress.message(f"Left out: {printable(name)}: {printable(why)}.")
    tuning = _tuning(request, arms, pool, progress)
    inputs = replace(inputs, replicates=tuple(tuning.find(inputs.replicates, shared=not inputs.folds)))
    for replicate in inputs.replicates:
        if replicate.schedule is not None:
            progress.message(printable(_schedule_in_words(replicate)))
    run_replicates(inputs.replicates, arms, request.runs, request.home, progress.start, pool=pool)
    return TrainedArms(request, inputs, arms, left_out)


def _tuning(request: Request, arms: Sequence[Arm], pool: TrainingPool, progress: Progress) -> Tuning:
    asked, by_name = request.judged(arms), {each.name: each for each in arms}
    beside = {*asked.synthetic, *(asked.controls[name] for name in asked.synthetic)} - {asked.baseline}
    beside |= {by_name[name].counter for name in asked.synthetic}
    return Tuning(
        by_name[asked.baseline],
        tuple(each for each in arms if each.name in beside),
        request.runs,
        request.home,
        progress.start,
        pool,
    )


def _schedule_in_words(replicate: Replicate) -> str:
    """How long every arm trains, and at which rates."""
    where, schedule = f"{replicate.name}: " if replicate.name else "", replicate.schedule
    if schedule is None:
        return ""
    rates = ", ".join(f"{arm} {rate:g}" for arm, rate in schedule.rates.items())
    chosen = f"; learning rates chosen on validation: {rates}" if rates else ""
    return f"{where}every arm trains for {schedule.steps} steps{chosen}."


def judge(trained: TrainedArms, power: Mapping[str, Any], pool: TrainingPool, progress: Progress) -> Comparison:
    """Open the test split, which is counted, and conclude."""
    request, session = trained.request, trained.request.session
    session.ledger.add_opening(session.collection, session.split.sha256, _name_of(trained))
    validation, test = trained.outcomes("validation"), trained.outcomes("test")
    _keep_predictions(trained, [test] if isinstance(test, Outcomes) else test)
    exchange = None if isinstance(test, list) else _exchange(trained, test, pool, progress)
    external = None if trained.inputs.external is None else _external(trained)
    courses: dict[str, list[Course]] = {}
    for each in trained.trainings():
        courses.setdefault(each.training.arm.name, []).append(each.course)
    found = conclude(
        validation,
        test,
        {each.name: each.kind for each in trained.arms},
        _facts(trained, power, exchange),
        replace(request.judged(trained.arms), courses=courses),
        primary=trained.primary,
        progress=Phases(progress),
    )
    if external is not None and found.grounds.invalid:
        external = replace(external, sentence=f"INVALID: {external.sentence}")
    return replace(found, external=external)


def _external(trained: TrainedArms) -> ExternalResult:
    """What the arms came to on the other collection; their predictions are kept beside those of the test split."""
    request, inputs, external = trained.request, trained.inputs, trained.inputs.external
    assert external is not None
    legs = [[each] for each in inputs.replicates] if inputs.folds else [list(inputs.replicates)]
    tested = [across_redraws(leg, trained.arms, request.runs, request.home, "external") for leg in legs]
    seeds = [seed for each in legs[0] for seed in each.seeds]
    names = Pseudonyms(request.session.state.pseudonym_key())
    write_predictions(request.home / _name_of(trained) / EXTERNAL, tested, seeds, external.patients, names)
    choice, said = trained.on_validation(), trained.outcomes("external")
    assert isinstance(said, Outcomes)
    arms = [each.name for each in trained.arms]
    return measure_external(
        said, external.name, arms, choice.baseline, choice.synthetic, trained.primary, left_out=external.left_out
    )


def _keep_predictions(trained: TrainedArms, tested: Sequence[Outcomes]) -> None:
    """Keep what every arm said of every test image in the comparison's folder."""
    inputs, session = trained.inputs, trained.request.session
    # all folds have the same seeds; redraws share them
    replicates = inputs.replicates[:1] if inputs.folds else inputs.replicates
    seeds = [seed for replicate in replicates for seed in replicate.seeds]
    patients = {str(path): str(name) for path, name in session.collection.images["patient"].dropna().items()}
    place = trained.request.home / _name_of(trained) / NAME
    write_predictions(place, tested, seeds, patients, Pseudonyms(session.state.pseudonym_key()))


def _facts(trained: TrainedArms, power: Mapping[str, Any], exchange: Mapping[str, Any] | None) -> Facts:
    request, session, inputs = trained.request, trained.request.session, trained.inputs
    backbone, settings = request.runs.backbone, request.settings
    return Facts(
        stamps=(*inputs.stamps, *backbone.stamps, *([_FEW] if settings.arm or settings.quick else [])),
        left_out=trained.left_out,
        train=inputs.counts,
        power=power,
        exchange=exchange,
        openings=session.ledger.openings(session.collection, session.split.sha256),
        settings={
            **request.runs.facts(),
            "steps": trained.steps,
            "seeds": list(request.runs.seeds),
            **_origin(trained),
            **_chosen_on(trained),
        },
        version=__version__,
        setting=backbone.setting,
        trainings=[as_json(each) for each in trained.trainings()],
    )


def _exchange(trained: TrainedArms, test: Outcomes, pool: TrainingPool, progress: Progress) -> Mapping[str, Any] | None:
    """What the synthetic images are worth in real ones, where there is one study to train a learning curve on.

    The curve is that of the matched control: of another recipe it would say what the recipe is worth.
    """
    request, replicates = trained.request, trained.inputs.replicates
    synthetic = trained.on_validation().synthetic
    if not request.has_curve or len(replicates) > 1 or synthetic is None:
        return None
    name = request.judged(trained.arms).controls[synthetic]
    control = next(each for each in trained.arms if each.name == name)
    points = learning_curve(replicates[0], control, request.runs, request.home, progress.start, pool=pool)
    if len({point.images for point in points}) < len(points):  # so few that fractions of them are the same
        return None
    found = exchange_as_json(exchange_rate(test, synthetic, points))
    whose = f"The curve is that of {name}, the matched control."
    return {**found, "reference": name, "sentence": f"{found['sentence']} {whose}"}


def _origin(trained: TrainedArms) -> dict[str, Any]:
    """How to ask for the same, and the split: a reader must be able to do it again, and to see what is stale."""
    inputs, session = trained.inputs, trained.request.session
    count = len(inputs.replicates)
    made: dict[str, Any] = {"folds": count} if inputs.folds else {"redraws": count}
    if count > 1:
        made |= {"refitted": list(inputs.refitted), "repeats": refit_key(session, folds=inputs.folds)}
    known = {"comparison": _name_of(trained), "split_sha256": session.split.sha256}
    made |= {"excluded": left} if (left := len(session.split.left_out)) else {}
    return {**made, "command": trained.request.again, **known}


def _chosen_on(trained: TrainedArms) -> dict[str, str]:
    """What served as validation, where it is not the split's validation images; each fold has its own."""
    held = set(trained.request.session.split.paths("holdout"))
    paths = trained.inputs.study.validation.paths
    return {} if trained.inputs.folds or held.isdisjoint(paths) else {"chosen_on": "holdout"}


def _name_of(trained: TrainedArms) -> str:
    """The name of a comparison: the same images, seeds, settings and arms, looked at again, open nothing new."""
    replicates = trained.inputs.replicates
    added = [
        [
            replicate.seeds,
            replicate.study.rare,
            {name: digest(images) for name, images in sorted(replicate.study.added.items())},
        ]
        for replicate in replicates
    ]
    facts = [keys(replicates, trained.request.runs), added, [each.name for each in trained.arms]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
