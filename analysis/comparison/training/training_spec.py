"""What a backbone is asked to train, and the Protocols of backbones and trained models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.data.images import Greys
from analysis.data.targets import Targets, evened, has_several, log_odds, strata
from analysis.statistics.convergence import Course
from analysis.vision.augmentation import Augmentation

Floats = npt.NDArray[np.float32]
Seen = npt.NDArray[Any]
"""What a backbone sees of N images: (N, side, side) greys, or (N, D) features."""
Progress = Callable[[int, int], None]
Sampling = Literal["plain", "balanced", "weighted"]
Ability = Literal["augmentation", "sampling", "head", "pretraining", "mixup"]


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """Seconds, with one thread: of one look at all images, and of one training with what it says in the end."""

    look: float
    training: float


class Model(Protocol):
    """What was learned; `course` is that of the training by its validation loss, empty where it was not watched."""

    @property
    def course(self) -> Course: ...  # noqa: D102

    def probabilities(self, seen: Seen) -> Probabilities:
        """(N, C) probabilities of the classes."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """The validation images by which a training is watched: their rows (V,) and targets, (V,) or (V, F).

    By their class-balanced loss a training's checkpoint is taken, and what else a backbone has to choose. With
    `to_plateau` a training looks for its own end, and the steps of a training spec are its limit.
    """

    rows: Numbers
    targets: Targets
    to_plateau: bool = False


@dataclass(frozen=True, slots=True)
class TrainingSpec:
    """What is to be learned, and how: which rows of the images, (M,), of which targets, for how many steps.

    `targets` are classes, (M,), or marks of findings, (M, F): see `analysis.data.targets`.

    `sampling` shows every image equally often ("plain"), every class or label set ("balanced"), or each row as
    `row_weights` (M,) say ("weighted"); with `mixup` each batch is mixed with a plain one. Without a `learning_rate` it
    is the backbone's. `class_weights` (C,) weigh the loss, of findings that of the images which have them; `log_prior`
    (C,) is added to the logits in the loss alone, of classes only (balanced softmax, Ren et al. 2020, arXiv:2007.10740;
    logit adjustment, Menon et al. 2021, arXiv:2007.07314). The training goes on from `start`; with `head_only` its body
    stays as it is and a new last layer is trained.
    """

    rows: Numbers
    targets: Targets
    classes: tuple[str, ...]
    steps: int
    seed: int
    sampling: Sampling = "plain"
    augmentation: Augmentation = field(default_factory=Augmentation)
    row_weights: Floats | None = None
    mixup: float = 0.0
    class_weights: Floats | None = None
    log_prior: Floats | None = None
    start: Model | None = None
    head_only: bool = False
    learning_rate: float | None = None
    watched: Watched | None = None

    def assumed_shares(self) -> npt.NDArray[np.float64]:
        """The share of each class, (C,), that a classifier takes for granted which learns this.

        >>> spec = TrainingSpec(np.arange(4), np.array([0, 0, 0, 1]), ("a", "b"), 1, 0)
        >>> spec.assumed_shares().tolist()
        [0.75, 0.25]
        """
        size = len(self.classes)
        if self.sampling == "balanced" or self.log_prior is not None:
            return np.full(size, 1 / size)
        rows = np.ones(len(self.targets)) if self.row_weights is None else self.row_weights
        shares = np.bincount(self.targets, rows, minlength=size) * (
            1 if self.class_weights is None else self.class_weights
        )
        shares = np.maximum(shares, shares.max() * 1e-6)  # of a class without images
        found: npt.NDArray[np.float64] = shares / shares.sum()
        return found

    def assumed_log_prior(self) -> npt.NDArray[np.float64]:
        """What a classifier takes for granted in its logits, (C,): log shares of classes, or log odds of findings.

        >>> spec = TrainingSpec(np.arange(3), np.array([[1], [0], [0]]), ("a",), 1, 0, class_weights=np.ones(1) * 2)
        >>> spec.assumed_log_prior().round(3).tolist()
        [0.0]
        """
        if not has_several(self.targets):
            return np.log(self.assumed_shares())
        rows = np.ones(len(self.targets)) if self.row_weights is None else self.row_weights.astype(np.float64)
        if self.sampling == "balanced":
            rows = evened(strata(self.targets))
        weights = np.ones(len(self.classes)) if self.class_weights is None else self.class_weights
        return log_odds(self.targets, rows) + np.log(weights.astype(np.float64))


class Backbone(Protocol):
    """A backbone.

    `side`: the pixels that images are decoded at. `steps`: what it usually takes. `stamps`: what must be said of its
    results. `unable`: what it cannot do, and why; arms that need it are left out. `memory`: bytes that one training
    takes beside the images. `device`: "cpu", or one that trainings have to take turns on. `looks_alike`: what it sees
    does not depend on the seed. `rates`: the learning rates that are tried, the usual one first; none where it has no
    such thing. `setting`: its name and size for a verdict.
    """

    @property
    def side(self) -> int: ...  # noqa: D102
    @property
    def steps(self) -> int: ...  # noqa: D102
    @property
    def setting(self) -> str: ...  # noqa: D102
    @property
    def stamps(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def unable(self) -> Mapping[Ability, str]: ...  # noqa: D102
    @property
    def memory(self) -> int: ...  # noqa: D102
    @property
    def device(self) -> str: ...  # noqa: D102
    @property
    def looks_alike(self) -> bool: ...  # noqa: D102
    @property
    def rates(self) -> tuple[float, ...]: ...  # noqa: D102

    def facts(self) -> dict[str, object]:
        """Everything that its results depend on, as JSON has it."""
        ...

    def units(self, steps: int) -> int:
        """How often a training of so many steps reports progress."""
        ...

    def look(
        self, images: Greys, real: Numbers, targets: Targets, classes: tuple[str, ...], seed: int, progress: Progress
    ) -> Seen:
        """What it sees of every image; `real` are the rows of the real training images, of these `targets`."""
        ...

    def pace(self, steps: int, learned: int, others: int) -> TimeEstimate:
        """By a short try how long it takes here, to learn from so many images and to speak of so many others."""
        ...

    def learn(self, seen: Seen, spec: TrainingSpec, progress: Progress) -> Model:
        """Train; `progress` hears of each step."""
        ...
