"""What a comparison is made of: the images, what the arms said of them, and what that came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.images import Greys
from analysis.statistics.intervals import Groups

Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

ATTRIBUTES = ("sex", "age_group", "view", "site")
"""What a table of patients may know of an image; a test part is looked at by each."""
EXTRA = "extra:"
"""Begins the name of the user's own images (`--extra NAME=FOLDER`), and of the arm that adds them."""


@dataclass(frozen=True, slots=True)
class Part:
    """Real images, decoded once: (N, side, side), and for each its class, its patient and what a table knows of it.

    `targets` are numbers of the study's classes; `groups` number the patients, the same in every part; `paths` are
    relative to the collection. `attributes` has N rows and the columns of `ATTRIBUTES`, missing where unknown.
    """

    images: Greys
    targets: Numbers
    groups: Groups
    paths: tuple[str, ...]
    attributes: pd.DataFrame

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Added:
    """Images that an arm may add to the real training images: (N, side, side) and their classes."""

    images: Greys
    targets: Numbers

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that the arms of a comparison may know.

    `added` has, by name, what else than real training images there is: "synthetic" (what the balanced folder holds),
    "unscreened" (as many as that, in the order in which they were drawn, whatever the gates said), "reconstructed"
    (real ones, pushed through the generator's autoencoder), and the user's own. `rare` is the class of the primary
    endpoint, named before anything is trained. `stamps` say what the study cannot know. `external` are images of
    another collection, on which the trained arms are tested beside the test split.
    """

    classes: tuple[str, ...]
    rare: str
    train: Part
    validation: Part
    test: Part
    added: Mapping[str, Added] = field(default_factory=dict)
    stamps: tuple[str, ...] = ()
    external: Part | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Real training images of each class."""
        found = Counter(self.train.targets.tolist())
        return {label: found[number] for number, label in enumerate(self.classes)}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the arms said of the same real images: for each arm (S, N, C) probabilities, a row of the first axis a seed.

    Seeds are paired: the same place means the same seed in every arm. `folds` is the fold that tested each image,
    where there are several: its scores come from models of its own. `paths` name the images, where they are known.
    """

    classes: tuple[str, ...]
    rare: str
    targets: Numbers
    groups: Groups
    attributes: pd.DataFrame
    probabilities: Mapping[str, Probabilities]
    folds: Numbers | None = None
    paths: tuple[str, ...] = ()

    @property
    def fold_count(self) -> int:
        """How many folds there are; 1 where there is one split."""
        return 1 if self.folds is None else len(np.unique(self.folds))

    @classmethod
    def of(cls, study: Study, part: Part, probabilities: Mapping[str, Probabilities]) -> Outcomes:
        """What was said of one part of a study."""
        return cls(
            study.classes, study.rare, part.targets, part.groups, part.attributes, probabilities, None, part.paths
        )
