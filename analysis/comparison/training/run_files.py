"""What trainings said, in files: each is kept as soon as it is finished, and found again by what it hangs on."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from analysis.comparison.inputs.study import Added, Part, Probabilities, Study
from analysis.comparison.training.worker_pool import Said, Training
from analysis.statistics.convergence import Course
from balancer.errors import StateError
from balancer.files import write_whole

Which = Literal["validation", "test", "external"]
_COURSE, _END = "course.json", "end.json"


class PredictionStore:
    """The files of the trainings: ARM-KEY/SEED-STEPS-RATE.validation.npy, where KEY is of what the arm adds.

    How long a training took to find its own end is in a file beside them. Networks are not kept: of an external part
    that was not there when an arm was trained nothing is said, and the training counts as not done.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self._study, self._folder = study, folder
        self._digests: dict[str, str] = {}
        self._files: dict[Which, str] = {"test": "test.npy", "validation": "validation.npy"}
        if study.external is not None:
            self._files["external"] = f"external-{digest(study.external)[:12]}.npy"

    def has(self, training: Training) -> bool:
        """Whether all of its files are there."""
        whole = self.whole(training)
        names = (*self._files.values(), _COURSE)
        return whole is not None and all(self._path(whole, name).is_file() for name in names)

    def get(self, training: Training, part: Which) -> Probabilities:
        """What it says of a part, (N, C).

        Raises:
            StateError: it is missing, or its file is damaged.
        """
        path = self._path(self.whole(training) or training, self._files[part])
        try:
            found: Probabilities = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _missing(f"what {training.name} says of the {part} images", path) from error
        return found

    def course(self, training: Training) -> Course:
        """How its loss fell.

        Raises:
            StateError: it is missing, or its file is damaged.
        """
        path = self._path(self.whole(training) or training, _COURSE)
        try:
            found = json.loads(path.read_text("utf-8"))
            return Course(tuple(found["steps"]), tuple(found["losses"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _missing(f"the course of {training.name}", path) from error

    def put(self, training: Training, said: Said) -> None:
        """Keep what came of a training; of one that looked for its end, as one of so many steps."""
        whole = training
        if training.to_plateau:
            whole = replace(
                training, to_plateau=False, steps=said.course.steps[-1] if said.course.steps else training.steps
            )
            self._write(self._path(training, _END), json.dumps(whole.steps).encode())
        parts: dict[Which, Probabilities | None]
        parts = {"test": said.test, "validation": said.validation, "external": said.external}
        for part, probabilities in parts.items():
            if probabilities is not None:
                held = io.BytesIO()
                np.save(held, probabilities, allow_pickle=False)
                self._write(self._path(whole, self._files[part]), held.getvalue())
        self._write(self._path(whole, _COURSE), json.dumps(asdict(said.course)).encode())

    def whole(self, training: Training) -> Training | None:
        """The same with the steps at which it found its end; None where that is not known."""
        if not training.to_plateau:
            return training
        try:
            return replace(training, to_plateau=False, steps=int(self._path(training, _END).read_text("ascii")))
        except (OSError, ValueError):
            return None

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content)

    def _path(self, training: Training, name: str) -> Path:
        adds = training.arm.adds or ""
        if adds not in self._digests:
            self._digests[adds] = digest(self._study.added[adds]) if adds else hash_of(["real"])
        folder = self._folder / f"{quote(training.arm.name, safe='')}-{self._digests[adds][:12]}"
        rate = "" if training.rate is None else f"-{training.rate:g}"
        return folder / f"{training.seed}-{training.steps}{rate}.{name}"


def _missing(needed: str, path: Path) -> StateError:
    return StateError(
        needed=needed,
        found=f"{path.name}: {'damaged' if path.exists() else 'not there'}",
        next_step="run balance compare again: completed training is not repeated",
    )


def digest(images: Part | Added) -> str:
    """A hash of the images and of their classes."""
    found = hashlib.sha256(repr((images.images.shape, images.images.dtype.str)).encode())
    found.update(np.ascontiguousarray(images.images).data)
    found.update(np.ascontiguousarray(images.targets).data)
    return found.hexdigest()


def hash_of(facts: Any) -> str:
    """A hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
