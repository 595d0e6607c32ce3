"""What a comparison is made of: the images, what the arms said of them, and what that came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.images import Greys
from analysis.data.targets import Flags, Targets, count_each, has_several, having
from analysis.statistics.intervals import Groups
from balancer.collection.attributes import attributes_of, sites_of

Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

ATTRIBUTES = ("sex", "age_group", "view", "site")
"""What a table of patients may know of an image; a test part is looked at by each."""
EXTRA = "extra:"
"""Begins the name of the user's own images (`--extra NAME=FOLDER`), and of the arm that adds them."""


def attributes_table(images: pd.DataFrame) -> pd.DataFrame:
    """The `ATTRIBUTES` of the rows of a collection's table of images, in their order; missing where unknown."""
    known = attributes_of(images)
    told = pd.DataFrame([known[path] for path in images.index], columns=list(ATTRIBUTES[:-1]), dtype=object)
    return told.assign(**{ATTRIBUTES[-1]: sites_of(images).to_numpy(object)})


@dataclass(frozen=True, slots=True)
class Part:
    """Real images, decoded once: (N, side, side), and for each its targets, its patient and what a table knows of it.

    `targets` are numbers of the study's classes, or marks of its findings (see `analysis.data.targets`); `groups`
    number the patients, the same in every part; `paths` are relative to the collection. `attributes` has N rows and the
    columns of `ATTRIBUTES`, missing where unknown.
    """

    images: Greys
    targets: Targets
    groups: Groups
    paths: tuple[str, ...]
    attributes: pd.DataFrame

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Added:
    """Images that an arm may add to the real training images: (N, side, side) and their targets."""

    images: Greys
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Study:
    """Everything that the arms of a comparison may know; where images have several findings, these are its `classes`.

    `added` has, by name, what else than real training images there is: "synthetic" (what the balanced folder holds),
    "unscreened" (as many as that, in the order in which they were drawn, whatever the gates said), "reconstructed"
    (real ones, pushed through the generator's autoencoder), "transplanted" (real lesions put into other real images),
    and the user's own. `rare` is the class of the primary
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
        """Real training images of each class or finding."""
        return dict(zip(self.classes, count_each(self.train.targets, len(self.classes)).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the arms said of the same real images: for each arm (S, N, C) probabilities, a row of the first axis a seed.

    C are the classes or the findings, as `targets` have it.

    Seeds are paired: the same place means the same seed in every arm. `folds` is the fold that tested each image,
    where there are several: its scores come from models of its own. `paths` name the images, where they are known.
    """

    classes: tuple[str, ...]
    rare: str
    targets: Targets
    groups: Groups
    attributes: pd.DataFrame
    probabilities: Mapping[str, Probabilities]
    folds: Numbers | None = None
    paths: tuple[str, ...] = ()

    @property
    def has_several(self) -> bool:
        """Whether images have several findings."""
        return has_several(self.targets)

    @property
    def judged(self) -> Flags:
        """(N,) the images that have the class of the primary endpoint."""
        return having(self.targets, self.classes.index(self.rare))

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
