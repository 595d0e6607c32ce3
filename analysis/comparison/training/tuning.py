"""How long to train and how fast, found on validation images before the test split is opened.

Equal steps favour whatever learns fastest, as long as there are too few: so the baseline says how many there must be,
twice as many as it takes until its validation loss stops improving, for all arms alike. The learning rate is chosen
from the same few for both arms of the verdict and for the matched control: tuning the baseline alone would favour it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.comparison.training.arms import Arm
from analysis.comparison.training.replicates import Replicate, Schedule, Watch, run_watched
from analysis.comparison.training.run_files import PredictionStore
from analysis.comparison.training.runs import RunSettings
from analysis.comparison.training.worker_pool import Training, TrainingPool
from analysis.statistics.convergence import Course


@dataclass(frozen=True, slots=True)
class Tuning:
    """Whose length of training is found, and whose learning rate is chosen: the baseline, and the arms beside it."""

    baseline: Arm
    beside: tuple[Arm, ...]
    settings: RunSettings
    home: Path
    watch: Watch
    pool: TrainingPool | None = None

    def find(self, replicates: Sequence[Replicate], *, shared: bool) -> list[Replicate]:
        """The replicates with their schedules; `shared`: all have the first one's, since they share its real images.

        Folds do not: who validates in one is tested in another. Without validation images, or where a backbone has no
        learning rate, nothing is looked for.

        Raises:
            BalanceError: a training has no memory, or its process was killed.
        """
        usual = Schedule(self.settings.steps or self.settings.backbone.steps)
        looked_at = [
            replicate
            for replicate in (replicates[:1] if shared else replicates)
            if self._rates and len(replicate.study.validation)
        ]
        schedules = dict(zip(map(id, looked_at), self._schedules(looked_at), strict=True)) if looked_at else {}
        first = schedules.get(id(replicates[0]), usual)
        return [
            replace(replicate, schedule=first if shared else schedules.get(id(replicate), usual))
            for replicate in replicates
        ]

    @property
    def _rates(self) -> tuple[float | None, ...]:
        """Those that are tried, or the usual one."""
        rates = self.settings.backbone.rates
        return rates if self.settings.tries_rates else (None,) * len(rates[:1])

    def _schedules(self, replicates: Sequence[Replicate]) -> list[Schedule]:
        found = [Schedule(0)] * len(replicates)
        if self.settings.steps is None or len(self._rates) > 1:
            steps, ends = self.settings.steps or self.settings.longest, self.settings.steps is None
            first = [
                [Training(self.baseline, replicate.seeds[0], steps, rate, ends) for rate in self._rates]
                for replicate in replicates
            ]
            self._train(replicates, first, "Finding how long to train")
            found = [self._of_baseline(replicate, tried) for replicate, tried in zip(replicates, first, strict=True)]
        else:
            found = [Schedule(self.settings.steps)] * len(replicates)
        if self.beside and len(self._rates) > 1:
            found = self._with_rates(replicates, found)
        return found

    def _of_baseline(self, replicate: Replicate, tried: Sequence[Training]) -> Schedule:
        """Its best rate, and the steps that it took to the end that was found."""
        best = min(tried, key=lambda each: self._course(replicate, each).lowest)
        steps = self.settings.steps or self._course(replicate, best).steps[-1]
        return Schedule(steps, {} if best.rate is None else {self.baseline.name: best.rate})

    def _with_rates(self, replicates: Sequence[Replicate], schedules: Sequence[Schedule]) -> list[Schedule]:
        tried = [
            [Training(each, replicate.seeds[0], schedule.steps, rate) for each in self.beside for rate in self._rates]
            for replicate, schedule in zip(replicates, schedules, strict=True)
        ]
        self._train(replicates, tried, "Choosing learning rates")
        return [
            replace(schedule, rates={**schedule.rates, **self._best_rates(replicate, some)})
            for replicate, schedule, some in zip(replicates, schedules, tried, strict=True)
        ]

    def _best_rates(self, replicate: Replicate, tried: Sequence[Training]) -> dict[str, float]:
        best: dict[str, Training] = {}
        for each in tried:
            before = best.get(each.arm.name)
            if before is None or self._course(replicate, each).lowest < self._course(replicate, before).lowest:
                best[each.arm.name] = each
        return {name: each.rate for name, each in best.items() if each.rate is not None}

    def _train(self, replicates: Sequence[Replicate], trainings: Sequence[Sequence[Training]], title: str) -> None:
        runs = [
            replicate.run(some, self.settings, self.home) for replicate, some in zip(replicates, trainings, strict=True)
        ]
        run_watched(runs, self.watch, pool=self.pool, title=title)

    def _course(self, replicate: Replicate, training: Training) -> Course:
        run = replicate.run([training], self.settings, self.home)
        return PredictionStore(run.study, run.folder).course(training)
