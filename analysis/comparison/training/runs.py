"""Arms x seeds, each run kept in files as soon as it is finished, so that a stopped comparison goes on where it was.

What an arm says of the validation part and of the test part is kept apart: the second is not read before the test part
is opened.
"""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

import analysis.comparison.training.arms
import analysis.comparison.training.frozen
import analysis.comparison.training.networks
import analysis.data.targets
import analysis.vision.augmentation
import analysis.vision.checkpoints
import analysis.vision.classifier
import analysis.vision.objectives
from analysis.comparison.inputs.study import Added, Part, Probabilities, Study
from analysis.comparison.training.arms import ARMS, RECIPES, Arm, Recipe, Rows
from analysis.comparison.training.networks import SmallNetwork
from analysis.comparison.training.run_files import PredictionStore, Which, digest, hash_of
from analysis.comparison.training.training_spec import Backbone, Progress, Seen, Watched
from analysis.comparison.training.worker_pool import Job, Layout, Said, Training, TrainingPool, WorkerPool
from analysis.data.targets import count_each, rarity
from balancer import __version__
from balancer.parallel import cores, free_memory, one_thread

LONGEST, LONGEST_QUICK = 2000, 500
"""Steps at which a training that looks for its own end is stopped: in six minutes --quick can make no more."""
_WORTH_PROCESSES = 400  # steps, about as long as it takes to start them
_TEMPORARY = ".seen-"
_WATCHED = 100  # validation images of a class, at the most, by which a training is watched
_CODE = (
    analysis.comparison.training.arms,
    analysis.comparison.training.frozen,
    analysis.comparison.training.networks,
    analysis.vision.augmentation,
    analysis.vision.checkpoints,
    analysis.vision.classifier,
    analysis.vision.objectives,
    analysis.data.targets,
)
"""The modules by which a training comes to its result."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How every arm is run: with which backbone, with which seeds, for how many optimiser steps.

    `recipe` is how arms train on synthetic images: "strong" evens the classes out and augments strongly. `steps` None
    asks for as many as the baseline needs, up to `longest`. `tries_rates`: learning rates are chosen on validation.
    """

    backbone: Backbone
    steps: int | None = 600
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    recipe: Recipe = "strong"
    longest: int = LONGEST
    tries_rates: bool = True

    @classmethod
    def usual(cls) -> RunSettings:
        """Five seeds of the small network."""
        return cls(SmallNetwork())

    def facts(self) -> dict[str, object]:
        """Everything that a run depends on beside its arm, seed, steps and learning rate, as JSON has it."""
        return {**self.backbone.facts(), "recipe": self.recipe}

    def trainings(self, arms: Sequence[Arm]) -> tuple[Training, ...]:
        """Every arm with every seed, at the backbone's own rate."""
        return tuple(Training(each, seed, self.steps or self.longest) for seed in self.seeds for each in arms)


@dataclass(frozen=True, slots=True)
class Run:
    """Trainings on a study; `folder`, where what they say is kept, belongs to this study and these settings."""

    study: Study
    trainings: Sequence[Training]
    settings: RunSettings
    folder: Path


def study_key(study: Study, settings: RunSettings) -> str:
    """16 hexadecimal digits of the real images, their classes, the settings and the code: a folder of runs.

    What else an arm adds, the seed, the steps and the rate are in the names of its files: another extra folder repeats
    no run.
    """
    parts = [digest(part) for part in (study.train, study.validation, study.test)]
    return hash_of([code_digest(), repr(RECIPES), list(study.classes), parts, settings.facts()])[:16]


def code_digest() -> str:
    """A hash of what trains: the versions of this package and of torch, and the source of the modules that train.

    What was trained by another version is not taken for the same.
    """
    import torch

    sources = [inspect.getsource(module) for module in _CODE]
    return hash_of([__version__, torch.__version__, sources])


def run_together(
    runs: Sequence[Run],
    *,
    progress: Progress = lambda done, total: None,
    looking: Progress = lambda done, total: None,
    pool: TrainingPool | None = None,
) -> None:
    """Do each training, unless its files are there; all runs, which have one backbone, share the processes.

    `progress` hears of training steps over all runs that are left to do, `looking` of features that are computed
    before. The results do not depend on how many of the `pool` train at once: by default as many processes as there
    are cores and memory for. The processes of a `pool` stay. A finished training is kept, whatever stops the others.

    Raises:
        BalanceError: a training has no memory, or its process was killed.
    """
    piles = [_Pile(run) for run in runs]
    jobs = (job for number, pile in enumerate(piles) for job in pile.jobs(number, looking))
    backbone = runs[0].settings.backbone
    steps = sum(backbone.units(each.steps) for pile in piles for each in pile.training)
    own = steps and pool is None
    with WorkerPool(usual_workers(backbone, steps)) if own else nullcontext(pool) as opened:
        try:
            for job, said in _done(jobs, steps, opened, progress) if steps and opened is not None else ():
                piles[job.pile].put(job.training, said)
        finally:
            for pile in piles:
                pile.clear()
    for pile in piles:
        pile.adjust()


def load(run: Run, part: Which) -> dict[str, Probabilities]:
    """What each arm says of one part, by its name: (S, N, C), in the order of the trainings.

    Raises:
        StateError: a training is missing.
    """
    store, found = PredictionStore(run.study, run.folder), dict[str, list[Probabilities]]()
    for each in run.trainings:
        found.setdefault(each.arm.name, []).append(store.get(each, part))
    return {arm: np.stack(said) for arm, said in found.items()}


class _Pile:
    """What is left to do of one run; its images are laid out for the first job, and cleared away after the last."""

    def __init__(self, run: Run) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        for left in run.folder.glob(f"{_TEMPORARY}*"):  # by a command that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._run, self._store = run, PredictionStore(run.study, run.folder)
        left_to_do = [each for each in dict.fromkeys(run.trainings) if not self._store.has(each)]
        self.training = [each for each in left_to_do if each.arm.learn is not None]
        self._adjusting = [each for each in left_to_do if each.arm.adjust is not None]
        self._open, self._left = ExitStack(), len(self.training)

    def jobs(self, number: int, looking: Progress) -> Iterator[Job]:
        if self.training:
            layout = self._open.enter_context(_laid_out(self._run, self.training, looking))
            yield from (Job(number, layout, each) for each in self.training)

    def put(self, training: Training, said: Said) -> None:
        self._store.put(training, said)
        self._left -= 1
        if not self._left:
            self.clear()

    def clear(self) -> None:
        self._open.close()

    def adjust(self) -> None:
        for each in self._adjusting:
            self._store.put(each, _adjusted(each, self._store, self._run.study))


def _done(jobs: Iterator[Job], total: int, pool: TrainingPool, progress: Progress) -> Iterator[tuple[Job, Said]]:
    done = 0

    def stepped(steps: int) -> None:
        nonlocal done
        done = min(done + steps, total)
        progress(done, total)

    progress(0, total)
    yield from pool.run(jobs, stepped)
    progress(total, total)


def usual_workers(backbone: Backbone, steps: int) -> int:
    """As many as there are cores and memory for; one for a GPU, and for what is done before processes have started."""
    if backbone.device != "cpu" or steps < _WORTH_PROCESSES:
        return 1
    return max(1, min(cores(), free_memory() // backbone.memory))


def _adjusted(training: Training, store: PredictionStore, study: Study) -> Said:
    """What another arm with the same seed said, each class times its factor."""
    adjust, after = training.arm.adjust, training.arm.after
    if adjust is None or after is None:
        raise ValueError(f"{training.arm.name} adjusts nothing")
    before = replace(training, arm=ARMS[after])
    counts = count_each(study.train.targets, len(study.classes))
    validation = store.get(before, "validation")
    factors = adjust(validation, study.validation.targets, counts)
    moved, test = (_times(probabilities, factors) for probabilities in (validation, store.get(before, "test")))
    external = None if study.external is None else _times(store.get(before, "external"), factors)
    return Said(moved, test, store.course(before), external)


def _times(probabilities: Probabilities, factors: npt.NDArray[np.float64]) -> Probabilities:
    moved = probabilities * factors
    shares: Probabilities = (moved / np.maximum(moved.sum(axis=1, keepdims=True), 1e-300)).astype(np.float32)
    return shares


@contextmanager
def _laid_out(run: Run, training: Sequence[Training], looking: Progress) -> Iterator[Layout]:
    """All images, or their features with each seed, in files for the time of the runs."""
    study, settings = run.study, run.settings
    names = sorted({each.arm.adds for each in training if each.arm.adds is not None})
    held = [study.validation, study.test, *([] if study.external is None else [study.external])]
    pieces: list[Part | Added] = [study.train, *(study.added[name] for name in names), *held]
    ends = np.cumsum([0, *map(len, pieces)]).tolist()
    rows = [Rows(np.arange(ends[at], ends[at + 1]), piece.targets) for at, piece in enumerate(pieces)]
    first = len(pieces) - len(held)
    bounds = [(ends[at], ends[at + 1]) for at in range(first, len(pieces))]
    seeds = list(dict.fromkeys(each.seed for each in training))
    with tempfile.TemporaryDirectory(dir=run.folder, prefix=_TEMPORARY, ignore_cleanup_errors=True) as place:
        yield Layout(
            files=_written(pieces, rows[0], study.classes, settings.backbone, seeds, Path(place), looking),
            classes=study.classes,
            real=rows[0],
            added=dict(zip(names, rows[1:first], strict=True)),
            validation=bounds[0],
            test=bounds[1],
            backbone=settings.backbone,
            recipe=settings.recipe,
            watched=_watched(rows[first]),
            external=None if study.external is None else bounds[2],
        )


def _watched(validation: Rows) -> Watched | None:
    """Some validation images of each class, or rarest finding, the same in every training."""
    if not len(validation):
        return None
    order = np.random.default_rng(0).permutation(len(validation))
    groups = rarity(validation.targets)
    some = [order[groups[order] == each][:_WATCHED] for each in np.unique(groups)]
    chosen = np.sort(np.concatenate(some))
    return Watched(validation.rows[chosen], validation.targets[chosen])


def _written(
    pieces: Sequence[Part | Added],
    real: Rows,
    classes: tuple[str, ...],
    backbone: Backbone,
    seeds: Sequence[int],
    place: Path,
    looking: Progress,
) -> dict[int, Path]:
    """What the backbone sees of all images with each seed, as files of numpy's."""
    images = place / "images.npy"
    with images.open("wb") as file:
        _write_arrays(file, [piece.images for piece in pieces])
    mapped, found = np.load(images, mmap_mode="c"), {}
    different = seeds[:1] if backbone.looks_alike else seeds
    for number, seed in enumerate(different):
        heard = partial(_part_of, looking, number, len(different))
        with one_thread():
            seen = backbone.look(mapped, real.rows, real.targets, classes, seed, heard)
        found[seed] = images if seen is mapped else place / f"features-{seed}.npy"
        if seen is not mapped:
            np.save(found[seed], seen, allow_pickle=False)
    return {seed: found.get(seed, found[seeds[0]]) for seed in seeds}


def _part_of(progress: Progress, number: int, parts: int, done: int, total: int) -> None:
    """Progress of one of several equal parts."""
    progress(number * total + done, parts * total)


def _write_arrays(file: BinaryIO, arrays: Sequence[Seen]) -> None:
    """One array after the other under one header: nothing is held twice, and a full disk is an error, not a crash."""
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(arrays[0].dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for array in arrays:
        file.write(np.ascontiguousarray(array).data)
