"""How long to train and at which rate, on a learner whose losses are known beforehand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from analysis.comparison.training.arms import ARMS
from analysis.comparison.training.replicates import Replicate, Schedule, all_trained, run_replicates
from analysis.comparison.training.runs import RunSettings
from analysis.comparison.training.tuning import Tuning
from analysis.comparison.training.worker_pool import WorkerPool
from analysis.statistics.convergence import Course, is_over, next_check
from tests.support.comparison_fixtures import Remembered, Scribe, study

HERE = WorkerPool(1)
RATES = (0.1, 0.01, 1.0)
BASELINE, BESIDE = ARMS["strong-augmentation"], (ARMS["two-stage"], ARMS["pretraining"])


@dataclass(frozen=True)
class Falling(Scribe):
    """The loss falls by exp(-step / 50) to a floor that is lowest at one rate."""

    rates: tuple = RATES
    best: float = 0.01

    def learn(self, seen, spec, progress):
        Scribe.learn(self, seen, spec, progress)
        rate = spec.learning_rate or self.rates[0]
        floor, course = 0.3 + 0.1 * abs(np.log10(rate / self.best)), Course()
        step = 0
        while True:
            course = Course((*course.steps, step), (*course.losses, floor + float(np.exp(-step / 50))))
            if step >= spec.steps or (spec.watched.to_plateau and is_over(course, 100, guess=2.0)):
                return replace(Remembered(spec.rows[0]), course=course)
            step = min(spec.steps, next_check(step))


def nobody(what):
    return lambda done, total: None


def found(tmp_path, backbone, replicates=None, shared=True, **settings):
    settings = RunSettings(backbone, **{"steps": None, "seeds": (0, 1), "longest": 1000, **settings})
    replicates = replicates or [Replicate("", study(), settings.seeds)]
    tuning = Tuning(BASELINE, BESIDE, settings, tmp_path, nobody, HERE)
    return tuning.find(replicates, shared=shared), settings


def test_the_baseline_says_how_long_and_each_arm_of_the_verdict_has_its_best_rate(tmp_path):
    backbone = Falling()
    (replicate,), settings = found(tmp_path, backbone)
    assert 350 <= replicate.schedule.steps <= 500  # twice the steps at which exp(-step / 50) is about 0.015
    assert replicate.schedule.rates == dict.fromkeys(("strong-augmentation", "two-stage", "pretraining"), 0.01)
    stages = [each.steps for each in backbone.specs[3:]]
    assert (
        stages == [replicate.schedule.steps // 2, replicate.schedule.steps - replicate.schedule.steps // 2] * 6
    )  # pretraining counted
    before = len(backbone.specs)
    run_replicates([replicate], [BASELINE, *BESIDE, ARMS["real"]], settings, tmp_path, nobody, pool=HERE)
    # the first seed is there already
    again = [(each.seed, each.learning_rate) for each in backbone.specs[before:]]
    assert again == [
        (0, None),
        (1, 0.01),
        (1, 0.01),
        (1, 0.01),
        (1, 0.01),
        (1, 0.01),
        (1, None),
    ]
    assert {each.training.steps for each in all_trained([replicate], [BASELINE], settings, tmp_path)} == {
        replicate.schedule.steps
    }


def test_steps_that_are_given_are_kept_and_rates_that_are_not_wanted_are_not_tried(tmp_path):
    (replicate,), _ = found(tmp_path / "given", Falling(), steps=40)
    assert replicate.schedule == Schedule(40, dict.fromkeys(("strong-augmentation", "two-stage", "pretraining"), 0.01))
    backbone = Falling()
    (replicate,), _ = found(tmp_path / "usual", backbone, tries_rates=False)
    assert (len(backbone.specs), replicate.schedule.rates) == (1, {})
    (replicate,), _ = found(tmp_path / "both", Falling(), steps=40, tries_rates=False)
    assert replicate.schedule == Schedule(40)


def test_a_loss_that_never_rests_is_stopped_at_the_limit(tmp_path):
    (replicate,), _ = found(tmp_path, Falling(), longest=150)
    assert replicate.schedule.steps == 150


def test_redraws_share_what_was_found_and_folds_look_for_themselves(tmp_path):
    other = replace(study(), train=study(train=(50, 30, 6)).train)
    replicates = [Replicate("1", study(), (0,)), Replicate("2", other, (1,))]
    for shared, count in ((True, 3), (False, 6)):
        backbone = Falling()
        both, _ = found(tmp_path / str(shared), backbone, replicates, shared=shared)
        assert sum(each.sampling == "balanced" and each.start is None for each in backbone.specs) == 3 * count
        assert both[0].schedule == both[1].schedule


@pytest.mark.parametrize("rates", [(), RATES])
def test_without_rates_or_without_validation_images_the_usual_steps_are_taken(tmp_path, rates):
    bare = study() if not rates else study(validation=(0, 0, 0))
    (replicate,), _ = found(tmp_path, Falling(rates=rates), [Replicate("", bare, (0,))])
    assert replicate.schedule == Schedule(5)


def test_trainings_are_told_by_arm_and_seed(tmp_path):
    (replicate,), settings = found(tmp_path, Falling())
    run_replicates([replicate], [BASELINE], settings, tmp_path, nobody, pool=HERE)
    told = all_trained([replicate], [BASELINE], settings, tmp_path)
    assert [(each.training.arm.name, each.training.seed) for each in told] == [
        ("strong-augmentation", 0),
        ("strong-augmentation", 1),
    ]
    assert all(each.course.lowest == pytest.approx(0.3, abs=0.01) for each in told)
