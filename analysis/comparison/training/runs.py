"""Arms x seeds, each run kept in files as soon as it is finished, so that a stopped comparison goes on where it was.

What an arm says of the validation part and of the test part is kept apart: the second is not read before the test part
is opened.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import Added, Chances, Part, Study
from analysis.comparison.training.arms import Arm, Recipe, Rows
from analysis.comparison.training.backbones import SmallNetwork
from analysis.comparison.training.training_spec import Learner, Progress, Seen
from analysis.comparison.training.worker_pool import Job, Layout, one_thread, run_here, run_in_processes
from balancer.errors import StateError
from balancer.files import write_whole
from balancer.parallel import cores

Which = Literal["validation", "test"]
_PARTS: tuple[Which, ...] = ("test", "validation")  # the order in which they are written: with the last, a run is done
_MEANING = 1  # to be raised when the same name of an arm comes to mean something else
_WORTH_PROCESSES = 400  # steps, about as long as it takes to start them
_TEMPORARY = ".seen-"
_Pair = tuple[Arm, int]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How every arm is run: with which backbone, for how many optimiser steps, with which seeds.

    `recipe` is how arms train on synthetic images: "strong" evens the classes out and augments strongly.
    """

    learner: Learner
    steps: int = 600
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    recipe: Recipe = "strong"

    @classmethod
    def usual(cls) -> RunSettings:
        """Five seeds of the small network."""
        return cls(SmallNetwork())

    def facts(self) -> dict[str, object]:
        """Everything but the seeds that a run depends on, as JSON has it."""
        return {**self.learner.facts(), "steps": self.steps, "recipe": self.recipe}


@dataclass(frozen=True, slots=True)
class Run:
    """Arms to be run on a study; `folder`, where what they say is kept, belongs to this study and these settings."""

    study: Study
    arms: Sequence[Arm]
    settings: RunSettings
    folder: Path


def study_key(study: Study, settings: RunSettings) -> str:
    """16 hexadecimal digits of the real images, their classes and the settings: the name of a folder of runs.

    What else an arm adds, and the seed, is in the names of its files: another extra folder repeats no run.
    """
    parts = [digest(part) for part in (study.train, study.validation, study.test)]
    return _hash([_MEANING, list(study.classes), parts, settings.facts()])[:16]


def run_all(
    study: Study,
    arms: Sequence[Arm],
    settings: RunSettings,
    folder: Path,
    *,
    progress: Progress = lambda done, total: None,
    looking: Progress = lambda done, total: None,
    workers: int | None = None,
) -> None:
    """The same as `run_together` for a single run.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    run_together([Run(study, arms, settings, folder)], progress=progress, looking=looking, workers=workers)


def run_together(
    runs: Sequence[Run],
    *,
    progress: Progress = lambda done, total: None,
    looking: Progress = lambda done, total: None,
    workers: int | None = None,
) -> None:
    """Run each arm with each seed, unless its files are there; all runs, which have one learner, share the processes.

    `progress` hears of training steps over all runs that are left to do, `looking` of features that are computed
    before. `workers` processes train at once, as many as there are cores and memory for if it is `None`; the results
    do not depend on it. A run that is finished is kept, whatever stops the others.

    Raises:
        BalanceError: a run has no memory, or its process was killed.
    """
    piles = [_Pile(run) for run in runs]
    jobs = (job for number, pile in enumerate(piles) for job in pile.jobs(number, looking))
    total = sum(len(pile.training) for pile in piles)
    try:
        if total:
            for job, said in _done(jobs, total, runs[0].settings, progress, workers):
                piles[job.pile].put(job, said)
    finally:
        for pile in piles:
            pile.clear()
    for pile in piles:
        pile.adjust()


def load(study: Study, arms: Sequence[Arm], settings: RunSettings, folder: Path, part: Which) -> dict[str, Chances]:
    """What each arm says of one part, by its name: (S, N, C), in the order of the seeds.

    Raises:
        StateError: a run is missing.
    """
    shelf = _Shelf(study, settings, folder)
    return {each.name: np.stack([shelf.get(each, seed, part) for seed in settings.seeds]) for each in arms}


class _Shelf:
    """The files of the runs: ARM-KEY/SEED.validation.npy, where KEY is of what the arm adds."""

    def __init__(self, study: Study, settings: RunSettings, folder: Path) -> None:
        self._study, self._folder = study, folder
        self._digests: dict[str, str] = {}

    def has(self, each: Arm, seed: int) -> bool:
        return all(self._path(each, seed, part).is_file() for part in _PARTS)

    def get(self, each: Arm, seed: int, part: Which) -> Chances:
        path = self._path(each, seed, part)
        try:
            found: Chances = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StateError(
                needed=f"what {each.name} with seed {seed} says of the {part} images",
                found=f"{path.name}: {'damaged' if path.exists() else 'not there'}",
                next_step="run balance compare again: what is finished is not repeated",
            ) from error
        return found

    def put(self, each: Arm, seed: int, said: tuple[Chances, Chances]) -> None:
        for part, chances in zip(_PARTS, reversed(said), strict=True):
            path = self._path(each, seed, part)
            path.parent.mkdir(exist_ok=True)
            held = io.BytesIO()
            np.save(held, chances, allow_pickle=False)
            write_whole(path, held.getvalue())

    def _path(self, each: Arm, seed: int, part: Which) -> Path:
        name = each.adds or ""
        if name not in self._digests:
            self._digests[name] = digest(self._study.added[name]) if name else _hash(["real"])
        return self._folder / f"{quote(each.name, safe='')}-{self._digests[name][:12]}" / f"{seed}.{part}.npy"


class _Pile:
    """What is left to do of one run; its images are laid out for the first job, and cleared away after the last."""

    def __init__(self, run: Run) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        for left in run.folder.glob(f"{_TEMPORARY}*"):  # by a command that was killed
            shutil.rmtree(left, ignore_errors=True)
        self._run, self._shelf = run, _Shelf(run.study, run.settings, run.folder)
        pairs = [(each, seed) for seed in run.settings.seeds for each in run.arms if not self._shelf.has(each, seed)]
        self.training = [pair for pair in pairs if pair[0].learn is not None]
        self._adjusting = [pair for pair in pairs if pair[0].adjust is not None]
        self._open, self._left = ExitStack(), len(self.training)

    def jobs(self, number: int, looking: Progress) -> Iterator[Job]:
        if self.training:
            layout = self._open.enter_context(_laid_out(self._run, self.training, looking))
            yield from (Job(number, layout, each, seed) for each, seed in self.training)

    def put(self, job: Job, said: tuple[Chances, Chances]) -> None:
        self._shelf.put(job.arm, job.seed, said)
        self._left -= 1
        if not self._left:
            self.clear()

    def clear(self) -> None:
        self._open.close()

    def adjust(self) -> None:
        for each, seed in self._adjusting:
            self._shelf.put(each, seed, _adjusted(each, seed, self._shelf, self._run.study))


def _done(
    jobs: Iterator[Job], count: int, settings: RunSettings, progress: Progress, workers: int | None
) -> Iterator[tuple[Job, tuple[Chances, Chances]]]:
    done, total = 0, settings.learner.units(settings.steps) * count

    def stepped(steps: int) -> None:
        nonlocal done
        done = min(done + steps, total)
        progress(done, total)

    at_once = min(count, usual_workers(settings.learner, total) if workers is None else workers)
    progress(0, total)
    yield from run_here(jobs, stepped) if at_once <= 1 else run_in_processes(jobs, at_once, stepped)
    progress(total, total)


def usual_workers(learner: Learner, steps: int) -> int:
    """As many as there are cores and memory for; one for a GPU, and for what is done before processes have started."""
    if learner.device != "cpu" or steps < _WORTH_PROCESSES:
        return 1
    return max(1, min(cores(), _free_memory() // learner.memory))


def _free_memory() -> int:
    """Bytes that programs can still have; plenty where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return 10**12
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else 10**12


def _adjusted(each: Arm, seed: int, shelf: _Shelf, study: Study) -> tuple[Chances, Chances]:
    """What another arm with the same seed said, each class times its factor."""
    from analysis.comparison.training.arms import ARMS

    if each.adjust is None or each.after is None:
        raise ValueError(f"{each.name} adjusts nothing")
    before = ARMS[each.after]
    counts = np.bincount(study.train.targets, minlength=len(study.classes))
    validation = shelf.get(before, seed, "validation")
    factors = each.adjust(validation, study.validation.targets, counts)
    first, second = (_times(chances, factors) for chances in (validation, shelf.get(before, seed, "test")))
    return first, second


def _times(chances: Chances, factors: npt.NDArray[np.float64]) -> Chances:
    moved = chances * factors
    shares: Chances = (moved / np.maximum(moved.sum(axis=1, keepdims=True), 1e-300)).astype(np.float32)
    return shares


@contextmanager
def _laid_out(run: Run, training: Sequence[_Pair], looking: Progress) -> Iterator[Layout]:
    """All images, or their features with each seed, in files for the time of the runs."""
    study, settings = run.study, run.settings
    names = sorted({each.adds for each, _ in training if each.adds is not None})
    pieces: list[Part | Added] = [study.train, *(study.added[name] for name in names), study.validation, study.test]
    ends = np.cumsum([0, *map(len, pieces)])
    rows = [Rows(np.arange(ends[at], ends[at + 1]), piece.targets) for at, piece in enumerate(pieces)]
    seeds = list(dict.fromkeys(seed for _, seed in training))
    with tempfile.TemporaryDirectory(dir=run.folder, prefix=_TEMPORARY, ignore_cleanup_errors=True) as place:
        yield Layout(
            files=_written(pieces, rows[0], study.classes, settings.learner, seeds, Path(place), looking),
            classes=study.classes,
            real=rows[0],
            added=dict(zip(names, rows[1:-2], strict=True)),
            validation=(int(ends[-3]), int(ends[-2])),
            test=(int(ends[-2]), int(ends[-1])),
            learner=settings.learner,
            steps=settings.steps,
            recipe=settings.recipe,
        )


def _written(
    pieces: Sequence[Part | Added],
    real: Rows,
    classes: tuple[str, ...],
    learner: Learner,
    seeds: Sequence[int],
    place: Path,
    looking: Progress,
) -> dict[int, Path]:
    """What the learner sees of all images with each seed, as files of numpy's."""
    images = place / "images.npy"
    with images.open("wb") as file:
        _write_arrays(file, [piece.images for piece in pieces])
    mapped, found = np.load(images, mmap_mode="c"), {}
    different = seeds[:1] if learner.looks_alike else seeds
    for number, seed in enumerate(different):
        heard = partial(_part_of, looking, number, len(different))
        with one_thread():
            seen = learner.look(mapped, real.rows, real.targets, classes, seed, heard)
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


def digest(images: Part | Added) -> str:
    """A hash of the images and of their classes."""
    found = hashlib.sha256(repr((images.images.shape, images.images.dtype.str)).encode())
    found.update(np.ascontiguousarray(images.images).data)
    found.update(np.ascontiguousarray(images.targets).data)
    return found.hexdigest()


def _hash(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
