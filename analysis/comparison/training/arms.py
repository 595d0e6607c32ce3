"""The arms of a comparison, each one small function; a new one needs nothing else.

All take the same number of optimiser steps. What synthetic images are added to is trained as `RECIPES` says: by default
like the strongest remedy that needs no generated image, since that is the baseline to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import EXTRA, Chances, Numbers, Study
from analysis.comparison.training.training_spec import Ability, Learner, Lesson, Model
from analysis.vision.augmentation import Augmentation

Kind = Literal["real", "free", "synthetic", "control"]
Recipe = Literal["plain", "strong"]
Factors = npt.NDArray[np.float64]

RECIPES: Mapping[Recipe, Mapping[str, Any]] = {
    "plain": {"sampling": "plain", "augmentation": Augmentation()},
    "strong": {"sampling": "balanced", "augmentation": Augmentation.strong()},
}
"""How the images of an arm are sampled and changed, where the arm itself does not say."""
_TEMPERING = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
_RATIO = "synthetic-"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of all images: their rows, (M,), and their classes, (M,)."""

    rows: Numbers
    targets: Numbers

    def __add__(self, other: Rows) -> Rows:
        return Rows(np.concatenate((self.rows, other.rows)), np.concatenate((self.targets, other.targets)))

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, number: int) -> Rows:
        """Those of one class."""
        return self.take(np.flatnonzero(self.targets == number))

    def take(self, places: npt.NDArray[Any]) -> Rows:
        """Those at these places."""
        return Rows(self.rows[places], self.targets[places])


@dataclass(frozen=True, slots=True)
class Task:
    """What an arm is given: the real training images, what may be added to them, and somebody who teaches."""

    classes: tuple[str, ...]
    real: Rows
    added: Mapping[str, Rows]
    steps: int
    seed: int
    recipe: Recipe
    teach: Callable[[Lesson], Model]

    def train(self, images: Rows, **how: Any) -> Model:
        """Train on these; `how` are fields of `Lesson`, the usual ones where it does not say."""
        lesson = Lesson(images.rows, images.targets, self.classes, self.steps, self.seed)
        return self.teach(replace(lesson, **how))

    def by_recipe(self, images: Rows, **how: Any) -> Model:
        """The same, sampled and augmented as the recipe says."""
        return self.train(images, **{**RECIPES[self.recipe], **how})

    def counts(self) -> Numbers:
        """Real training images of each class, (C,)."""
        return np.bincount(self.real.targets, minlength=len(self.classes))

    def some(self, name: str, wanted: Numbers) -> Rows:
        """At most so many of each class, (C,), of what is called `name`: others for another seed."""
        pool = self.added[name]
        found = []
        for number, count in enumerate(wanted):
            of_class = pool.of(number)
            chance = np.random.default_rng([self.seed, number])  # a larger share has all of a smaller one
            found.append(of_class.take(chance.permutation(len(of_class))[:count]))
        return sum(found[1:], found[0])


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train, or (`adjust`) to change what another arm (`after`) says.

    `adds` is the name of what it adds of the study; `asks` what its learner must be able to do. `recipe` is the one by
    which it trains on the real images and nothing else; `otherwise` the arm that comes to the same with a learner that
    is not able.
    """

    name: str
    kind: Kind
    learn: Callable[[Task], Model] | None = None
    adds: str | None = None
    asks: tuple[Ability, ...] = ()
    quick: bool = False
    adjust: Callable[[Chances, Numbers, Numbers], Factors] | None = None
    after: str | None = None
    recipe: Recipe | None = None
    otherwise: str | None = None


ARMS: dict[str, Arm] = {}
"""Every arm that does not depend on what a user calls his images, in the order of a report."""


def arm(name: str, kind: Kind, **facts: Any) -> Callable[[Callable[[Task], Model]], Callable[[Task], Model]]:
    """Make a function an arm; `facts` are fields of `Arm`."""

    def register(learn: Callable[[Task], Model]) -> Callable[[Task], Model]:
        ARMS[name] = Arm(name, kind, learn, **facts)
        return learn

    return register


@arm("real", "real", quick=True, recipe="plain")
def real(task: Task) -> Model:
    """The real images alone."""
    return task.train(task.real, **RECIPES["plain"])


@arm("class-weights", "free")
def class_weights(task: Task) -> Model:
    """Each class weighs the same in the loss, however many images it has."""
    counts = np.maximum(task.counts(), 1)
    return task.train(task.real, class_weights=(counts.sum() / (len(counts) * counts)).astype(np.float32))


@arm("logit-adjustment", "free")
def logit_adjustment(task: Task) -> Model:
    """Balanced softmax: the logarithm of each class's share is added to its logit in the loss, and not afterwards."""
    return task.train(task.real, log_prior=np.log(_shares(task.counts())).astype(np.float32))


@arm("oversampling", "free", asks=("sampling",), quick=True)
def oversampling(task: Task) -> Model:
    """Every class is shown equally often."""
    return task.train(task.real, sampling="balanced")


@arm(
    *("strong-augmentation", "free"),
    asks=("augmentation", "sampling"),
    quick=True,
    recipe="strong",
    otherwise="class-weights",
)
def strong_augmentation(task: Task) -> Model:
    """Oversampling, and each image changed twice as much as usual."""
    return task.train(task.real, **RECIPES["strong"])


@arm("crt", "free", asks=("head",))
def crt(task: Task) -> Model:
    """Classifier re-training (Kang et al. 2020): plain training, then a new head with every class equally often."""
    second = task.steps // 4
    body = task.train(task.real, steps=task.steps - second)
    return task.train(task.real, steps=second, start=body, head_only=True, sampling="balanced")


@arm("duplicated", "free", adds="synthetic", quick=True)
def duplicated(task: Task) -> Model:
    """Real images repeated until each class has as many as with the synthetic ones: number without anything new.

    Augmented as the recipe says; sampled plainly, since a sampler that evens the classes out would undo it.
    """
    made = np.bincount(task.added["synthetic"].targets, minlength=len(task.classes))
    copies = [_repeated(task.real.of(number), count, [task.seed, number]) for number, count in enumerate(made)]
    return task.by_recipe(sum(copies, task.real), sampling="plain")


def threshold_shift(chances: Chances, targets: Numbers, counts: Numbers) -> Factors:
    """The chance of each class is divided by its share in training, to a power that validation chooses.

    Factors of the classes, (C,), for a power of 0 to 1.25 that has the best macro F1. 1 divides by the prior, 0 leaves
    everything as it is; of equal ones the smallest is taken.
    """
    from sklearn.metrics import f1_score

    candidates = [_shares(counts) ** -power for power in _TEMPERING]
    labels = np.unique(targets)

    def score(factors: Factors) -> float:
        said = (chances * factors).argmax(axis=1)
        return float(f1_score(targets, said, labels=labels, average="macro", zero_division=0))

    return max(candidates, key=score)


ARMS["threshold-shift"] = Arm("threshold-shift", "free", adjust=threshold_shift, after="real")


@arm("synthetic-0.25", "synthetic", adds="synthetic")
def synthetic_quarter(task: Task) -> Model:
    """A quarter as many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 0.25)


@arm("synthetic-1", "synthetic", adds="synthetic", quick=True)
def synthetic_once(task: Task) -> Model:
    """As many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 1)


@arm("synthetic-3", "synthetic", adds="synthetic")
def synthetic_thrice(task: Task) -> Model:
    """Three times as many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 3)


@arm("synthetic-all", "synthetic", adds="synthetic", quick=True)
def synthetic_all(task: Task) -> Model:
    """All synthetic images that there are beside the real ones: usually the whole deficit."""
    return _with_all(task, "synthetic")


@arm("pretraining", "synthetic", adds="synthetic", asks=("pretraining",), quick=True)
def pretraining(task: Task) -> Model:
    """Half of the steps on real and all synthetic images, sampled evenly, then the other half on real ones alone."""
    first = task.steps // 2
    body = task.by_recipe(task.real + task.added["synthetic"], steps=first)
    return task.by_recipe(task.real, steps=task.steps - first, start=body)


@arm("unscreened", "control", adds="unscreened")
def unscreened(task: Task) -> Model:
    """As many synthetic images as there are, in the order in which they were drawn: what screening is worth."""
    return _with_all(task, "unscreened")


@arm("reconstructed", "control", adds="reconstructed")
def reconstructed(task: Task) -> Model:
    """Real images pushed through the generator's autoencoder: what its blur alone does."""
    return _with_all(task, "reconstructed")


def choose_arms(
    study: Study,
    learner: Learner,
    *,
    quick: bool = False,
    only: Sequence[str] | None = None,
    recipe: Recipe = "strong",
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The arms to run, and of each that is left out by name, why.

    With `quick` a sensible few, with `only` those that are named; `real` always, and the `counterpart` of those with
    synthetic images.

    Raises:
        ValueError: `only` names what is no arm.
    """
    there = {name for name, images in study.added.items() if len(images)}
    known = dict(ARMS) | {name: _extra_arm(name) for name in study.added if name.startswith(EXTRA)}
    if only is not None and not set(only) <= set(known):
        raise ValueError(f"no such arm: {', '.join(sorted(set(only) - set(known)))}; there are {', '.join(known)}")
    wanted = [
        each
        for each in known.values()
        if each.name == "real"
        or (each.name in only or each.name.startswith(EXTRA) if only is not None else each.quick or not quick)
    ]
    reasons = {each.name: _why_not(each, study, there, learner) for each in wanted}
    names = {each.name for each in wanted if not reasons[each.name]}
    if any(known[name].kind == "synthetic" for name in names):
        names.add(counterpart(recipe, learner).name)
    return tuple(each for each in known.values() if each.name in names), {k: why for k, why in reasons.items() if why}


def counterpart(recipe: Recipe, learner: Learner) -> Arm:
    """What an arm with synthetic images is compared with, like for like: the same recipe on the real images alone."""
    found = next(each for each in ARMS.values() if each.recipe == recipe)
    able = not set(found.asks) & set(learner.unable)
    return found if able or found.otherwise is None else ARMS[found.otherwise]


def meaning(name: str) -> str:
    """What an arm does, in a sentence or two; nothing of what is none.

    >>> meaning("real"), meaning("extra:NIH")
    ('The real images alone.', 'The images of extra:NIH beside the real ones.')
    """
    does = ARMS[name].learn or ARMS[name].adjust if name in ARMS else None
    if does is None:
        return f"The images of {name} beside the real ones." if name.startswith(EXTRA) else ""
    return " ".join((does.__doc__ or "").partition("\n\n")[0].split())


def _extra_arm(name: str) -> Arm:
    return Arm(name, "control", partial(_with_all, name=name), adds=name, quick=True)


def _why_not(each: Arm, study: Study, there: set[str], learner: Learner) -> str:
    """Why an arm cannot be run, or nothing."""
    if each.adds is not None and each.adds not in there:
        return f"there are no {each.adds.removeprefix(EXTRA)} images"
    if each.adjust is not None and not len(study.validation):
        return "there are no validation images to choose it on"
    unable = [learner.unable[ask] for ask in each.asks if ask in learner.unable]
    if unable:
        return unable[0]
    ratio = each.name.removeprefix(_RATIO)
    if each.adds == "synthetic" and each.name.startswith(_RATIO) and ratio != "all":
        return _same_as_another(float(ratio), study)
    return ""


def _same_as_another(ratio: float, study: Study) -> str:
    """Why so many times the real images would be nothing of its own, or nothing."""
    made = np.bincount(study.added["synthetic"].targets, minlength=len(study.classes))
    wanted = np.minimum(_times(ratio, np.array(list(study.counts.values()), np.int64)), made)
    if not wanted.any():
        return f"{ratio:g} times the real images of a class is less than one"
    if (wanted == made).all():
        return f"there are no more than {ratio:g} times as many synthetic as real images: the same as synthetic-all"
    return ""


def _mixed(task: Task, ratio: float) -> Model:
    return task.by_recipe(task.real + task.some("synthetic", _times(ratio, task.counts())))


def _with_all(task: Task, name: str) -> Model:
    return task.by_recipe(task.real + task.added[name])


def _times(ratio: float, counts: Numbers) -> Numbers:
    wanted: Numbers = np.rint(ratio * counts).astype(np.int64)
    return wanted


def _shares(counts: Numbers) -> Factors:
    """Each class's share of the images; that of a class without any is half an image's."""
    some = np.maximum(counts, 0.5)
    return np.asarray(some / some.sum(), np.float64)


def _repeated(images: Rows, count: int, seed: Sequence[int]) -> Rows:
    """So many of them, each equally often but for a remainder that is drawn."""
    if not len(images):
        return images
    return images.take(np.resize(np.random.default_rng(seed).permutation(len(images)), count))
