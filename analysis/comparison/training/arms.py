"""The arms of a comparison, each one small function; a new one needs nothing else.

All take the same number of optimiser steps. What synthetic images are added to is trained as `RECIPES` says: by default
like the baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from analysis.comparison.inputs.study import Numbers, Probabilities
from analysis.comparison.training.training_spec import Ability, Model, TrainingSpec
from analysis.data.targets import Targets, count_each, has_several, having, strata
from analysis.vision.augmentation import Augmentation
from balancer import plugins
from balancer.collection.label_sets import DENIED
from balancer.plugins import find_plugins

Kind = Literal["real", "free", "counter", "synthetic", "control"]
Recipe = Literal["plain", "strong"]
Factors = npt.NDArray[np.float64]

RECIPES: Mapping[Recipe, Mapping[str, Any]] = {
    "plain": {"sampling": "plain", "augmentation": Augmentation()},
    "strong": {"sampling": "balanced", "augmentation": Augmentation.strong()},
}
"""How the images of an arm are sampled and changed, where the arm itself does not say."""
_TEMPERING = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
_SHOWN = 80  # letters of what is no arm
_MIXUP = 0.2  # within the range that Galdran et al. (2021) tried
_FIRST = {"adds": "synthetic", "asks": ("pretraining",), "control": "two-stage", "counter": "pretraining-transplanted"}


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of all images: their rows, (M,), and their targets: classes, (M,), or marks of findings, (M, F)."""

    rows: Numbers
    targets: Targets

    def __add__(self, other: Rows) -> Rows:
        return Rows(np.concatenate((self.rows, other.rows)), np.concatenate((self.targets, other.targets)))

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, number: int) -> Rows:
        """The rows of one class."""
        return self.take(np.flatnonzero(having(self.targets, number)))

    def take(self, places: npt.NDArray[Any]) -> Rows:
        """The rows at these places, (M,)."""
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
    teach: Callable[[TrainingSpec], Model]

    def train(self, images: Rows, **how: Any) -> Model:
        """Train on these; `how` are fields of `TrainingSpec`, the usual ones where it does not say."""
        spec = TrainingSpec(images.rows, images.targets, self.classes, self.steps, self.seed)
        return self.teach(replace(spec, **how))

    def by_recipe(self, images: Rows, **how: Any) -> Model:
        """This training with the sampling and augmentation of the recipe."""
        return self.train(images, **{**RECIPES[self.recipe], **how})

    def counts(self) -> Numbers:
        """Real training images of each class or finding, (C,)."""
        return count_each(self.real.targets, len(self.classes))

    def some(self, name: str, wanted: Numbers) -> Rows:
        """At most so many of each class, (C,), of what is called `name`: others for another seed."""
        return self._some(self.added[name], wanted)

    def some_real(self, wanted: Numbers) -> Rows:
        """At most this many real images of each class, (C,): others for another seed."""
        return self._some(self.real, wanted)

    def _some(self, pool: Rows, wanted: Numbers) -> Rows:
        found = []
        for number, count in enumerate(wanted):
            of_class = pool.of(number)
            chance = np.random.default_rng([self.seed, number])  # a larger share has all of a smaller one
            found.append(of_class.take(chance.permutation(len(of_class))[:count]))
        return sum(found[1:], found[0])


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to train, or (`adjust`) to change what another arm (`after`) says.

    `adds` is the name of what it adds of the study; `asks` what its backbone must be able to do. `recipe` is the one by
    which it trains on the real images and nothing else; `otherwise` the arm that comes to the same with a backbone that
    is not able. `control` is its matched control, which trains as it does without its images: by default the arm that
    has its recipe. `counter` is the arm that uses transplanted lesions as this one uses its images. `of_all` asks for
    images of every class. `one_class`: it means nothing where an image has several findings.
    """

    name: str
    kind: Kind
    learn: Callable[[Task], Model] | None = None
    adds: str | None = None
    asks: tuple[Ability, ...] = ()
    adjust: Callable[[Probabilities, Numbers, Numbers], Factors] | None = None
    after: str | None = None
    recipe: Recipe | None = None
    otherwise: str | None = None
    control: str | None = None
    counter: str = "transplanted"
    of_all: bool = False
    one_class: bool = False


ARMS: dict[str, Arm] = {}
"""Every arm that does not depend on what a user calls his images, in the order of a report."""


def arm(name: str, kind: Kind, **facts: Any) -> Callable[[Callable[[Task], Model]], Callable[[Task], Model]]:
    """Make a function an arm; `facts` are fields of `Arm`."""

    def register(learn: Callable[[Task], Model]) -> Callable[[Task], Model]:
        ARMS[name] = Arm(name, kind, learn, **facts)
        return learn

    return register


@arm("real", "real", recipe="plain")
def real(task: Task) -> Model:
    """The real images alone."""
    return task.train(task.real, **RECIPES["plain"])


@arm("class-weights", "free")
def class_weights(task: Task) -> Model:
    """Each class weighs the same in the loss, however many images it has; of a finding, both sides."""
    counts = np.maximum(task.counts(), 1)
    if has_several(task.real.targets):  # the usual weight of positive images, which is that of the others to theirs
        others = np.maximum((task.real.targets == DENIED).sum(axis=0), 1)
        return task.train(task.real, class_weights=(others / counts).astype(np.float32))
    return task.train(task.real, class_weights=(counts.sum() / (len(counts) * counts)).astype(np.float32))


@arm("logit-adjustment", "free", one_class=True)
def logit_adjustment(task: Task) -> Model:
    """Balanced softmax: the logarithm of each class's share is added to its logit in the loss, and not afterwards."""
    return task.train(task.real, log_prior=np.log(_shares(task.counts())).astype(np.float32))


@arm("oversampling", "free", asks=("sampling",))
def oversampling(task: Task) -> Model:
    """Every class, or label set, is shown equally often."""
    return task.train(task.real, sampling="balanced")


@arm(
    *("strong-augmentation", "free"),
    asks=("augmentation", "sampling"),
    recipe="strong",
    otherwise="class-weights",
)
def strong_augmentation(task: Task) -> Model:
    """Oversampling, and each image changed twice as much as usual."""
    return task.train(task.real, **RECIPES["strong"])


@arm("undersampling", "free", one_class=True)
def undersampling(task: Task) -> Model:
    """Of each class as many images as the rarest one has, others for another seed."""
    least = min(count for count in task.counts().tolist() if count)
    return task.train(task.some_real(np.full(len(task.classes), least)))


@arm("balanced-mixup", "free", asks=("mixup", "sampling"), one_class=True)
def balanced_mixup(task: Task) -> Model:
    """Every class is shown equally often, each image mixed with a little of one that is sampled plainly."""
    return task.train(task.real, sampling="balanced", mixup=_MIXUP)


@arm("crt", "free", asks=("head",))
def crt(task: Task) -> Model:
    """Classifier re-training (Kang et al. 2020): plain training, then a new head with every class equally often."""
    second = task.steps // 4
    body = task.train(task.real, steps=task.steps - second)
    return task.train(task.real, steps=second, start=body, head_only=True, sampling="balanced")


@arm("duplicated", "free", adds="synthetic")
def duplicated(task: Task) -> Model:
    """Real images repeated until each class has as many as with the synthetic ones: number without anything new.

    Augmented as the recipe says; sampled plainly, since a sampler that evens the classes out would undo it.
    """
    groups, others = _strata(task.real, task.added["synthetic"])
    made = np.bincount(others, minlength=max(len(task.classes), int(groups.max(initial=0)) + 1))
    copies = [
        _repeated(task.real.take(np.flatnonzero(groups == number)), count, [task.seed, number])
        for number, count in enumerate(made)
    ]
    return task.by_recipe(sum(copies, task.real), sampling="plain")


def load_arms(names: Iterable[str]) -> None:
    """Add the arms of other packages that are named: an entry point of the group `balancer.arms` names an `Arm`.

    Finished trainings are known by the arm's name: an arm that changes gets another name.

    Raises:
        PluginError: it cannot be imported, is no `Arm`, or has another name.
    """
    found = find_plugins(plugins.ARMS)
    for name in names:
        if name in ARMS or name not in found:
            continue
        loaded = found[name].load()
        if not isinstance(loaded, Arm) or loaded.name != name:
            raise found[name].error(f"an Arm of this name, from {Arm.__module__}", repr(loaded)[:_SHOWN])
        ARMS[name] = loaded


def threshold_shift(probabilities: Probabilities, targets: Numbers, counts: Numbers) -> Factors:
    """The chance of each class is divided by its share in training, to a power that validation chooses.

    Factors of the classes, (C,), for a power of 0 to 1.25 that has the best macro F1. 1 divides by the prior, 0 leaves
    everything as it is; of equal ones the smallest is taken.
    """
    from sklearn.metrics import f1_score

    candidates = [_shares(counts) ** -power for power in _TEMPERING]
    labels = np.unique(targets)

    def score(factors: Factors) -> float:
        said = (probabilities * factors).argmax(axis=1)
        return float(f1_score(targets, said, labels=labels, average="macro", zero_division=0))

    return max(candidates, key=score)


ARMS["threshold-shift"] = Arm("threshold-shift", "free", adjust=threshold_shift, after="real", one_class=True)


@arm("synthetic-0.25", "synthetic", adds="synthetic", one_class=True)
def synthetic_quarter(task: Task) -> Model:
    """A quarter as many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 0.25)


@arm("synthetic-1", "synthetic", adds="synthetic", one_class=True)
def synthetic_once(task: Task) -> Model:
    """As many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 1)


@arm("synthetic-3", "synthetic", adds="synthetic", one_class=True)
def synthetic_thrice(task: Task) -> Model:
    """Three times as many synthetic images as the class has real ones, beside these."""
    return _mixed(task, 3)


@arm("synthetic-all", "synthetic", adds="synthetic")
def synthetic_all(task: Task) -> Model:
    """All synthetic images that there are beside the real ones, which are seldom shown: mixing as it is often done."""
    return with_all(task, "synthetic")


@arm("two-stage", "free", asks=("pretraining",))
def two_stage(task: Task) -> Model:
    """The two stages of pretraining on the real images alone: its matched control."""
    return _in_two_stages(task, task.real)


@arm("pretraining", "synthetic", **_FIRST)
def pretraining(task: Task) -> Model:
    """Half of the steps on real and all synthetic images, sampled evenly, then the other half on real ones alone."""
    return _in_two_stages(task, task.real + task.added["synthetic"])


@arm("pretraining-synthetic", "synthetic", of_all=True, one_class=True, **_FIRST)
def pretraining_synthetic(task: Task) -> Model:
    """Half of the steps on synthetic images of every class alone, then the other half on real ones alone."""
    return _in_two_stages(task, task.added["synthetic"])


@arm("real-share-0.25", "synthetic", adds="synthetic")
def real_share_quarter(task: Task) -> Model:
    """A quarter of what is shown of a class is real, the rest synthetic."""
    return _shared(task, 0.25)


@arm("real-share-0.5", "synthetic", adds="synthetic")
def real_share_half(task: Task) -> Model:
    """Half of what is shown of a class is real, the rest synthetic."""
    return _shared(task, 0.5)


@arm("real-share-0.75", "synthetic", adds="synthetic")
def real_share_most(task: Task) -> Model:
    """Three quarters of what is shown of a class is real, the rest synthetic."""
    return _shared(task, 0.75)


@arm("transplanted", "counter", adds="transplanted")
def transplanted(task: Task) -> Model:
    """Half of what is shown of a class is real, the rest real lesions put into normal images of other patients."""
    return _shared(task, 0.5, "transplanted")


@arm("pretraining-transplanted", "counter", adds="transplanted", asks=("pretraining",))
def pretraining_transplanted(task: Task) -> Model:
    """What pretraining does with synthetic images, with real lesions put into normal images instead of them."""
    return _in_two_stages(task, task.real + task.added["transplanted"])


@arm("unscreened", "control", adds="unscreened")
def unscreened(task: Task) -> Model:
    """As many synthetic images as there are, in the order in which they were drawn: what screening is worth."""
    return with_all(task, "unscreened")


@arm("reconstructed", "control", adds="reconstructed")
def reconstructed(task: Task) -> Model:
    """Real images pushed through the generator's autoencoder: what its blur alone does."""
    return with_all(task, "reconstructed")


def _mixed(task: Task, ratio: float) -> Model:
    return task.by_recipe(task.real + task.some("synthetic", times(ratio, task.counts())))


def with_all(task: Task, name: str) -> Model:
    """All that is called `name` beside the real images."""
    return task.by_recipe(task.real + task.added[name])


def _in_two_stages(task: Task, images: Rows) -> Model:
    """Half of the steps on these, then the other half on the real ones."""
    first = task.steps // 2
    body = task.by_recipe(images, steps=first)
    return task.by_recipe(task.real, steps=task.steps - first, start=body)


def _shared(task: Task, share: float, name: str = "synthetic") -> Model:
    """Classes or label sets evenly, and of one with added images the real ones by this share."""
    made = task.added[name]
    ours, theirs = _strata(task.real, made)
    weights = np.concatenate((_even(ours, theirs, share), _even(theirs, ours, 1 - share)))
    return task.by_recipe(task.real + made, sampling="weighted", row_weights=weights.astype(np.float32))


def _strata(images: Rows, others: Rows) -> tuple[Numbers, Numbers]:
    """The class or the label set of each of these, and of each of the others, by the same numbers."""
    found = strata((images + others).targets)
    return found[: len(images)], found[len(images) :]


def _even(groups: Numbers, others: Numbers, share: float) -> Factors:
    """A weight for each of these, (M,): all of a group weigh `share` together, or 1 if there are no others of it."""
    size = 1 + max(groups.max(initial=0), others.max(initial=0))
    counts, beside = (np.bincount(some, minlength=size) for some in (groups, others))
    of_group = np.where(beside > 0, share, 1.0) / np.maximum(counts, 1)
    return np.asarray(of_group[groups], np.float64)


def times(ratio: float, counts: Numbers) -> Numbers:
    """So many times as many of each class, rounded.

    >>> times(0.25, np.array([6, 40])).tolist()
    [2, 10]
    """
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
