"""Which arms a comparison judges: the best of their kind on validation; of folds, those of each fold by itself.

A fold's own validation part has none of its test patients. Validation parts of several folds taken together would: who
is tested in one fold helps to choose in another, and the chosen arm looks better than it is on new patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.comparison.inference.metrics import measure, metric_names
from analysis.comparison.inputs.study import FREE, SYNTHETIC, Outcomes
from analysis.comparison.training.arms import Kind


@dataclass(frozen=True, slots=True)
class Choice:
    """The best free and the best synthetic arm by the primary endpoint on validation, the mean over seeds.

    `folds` are the choices of each fold, where there are folds. If these differ, `free` or `synthetic` is the name of
    all of them together, and `validation`, of the same names, is the mean over the folds.
    """

    free: str
    synthetic: str | None
    validation: Mapping[str, float]
    folds: tuple[Choice, ...] = ()

    def usable(self, arm: str | None) -> str:
        """An arm that can be trained: of those that folds chose the most frequent, of several the best on validation.

        >>> one, other = Choice("crt", None, {"crt": 0.5, "real": 0.4}), Choice("real", None, {"crt": 0.2, "real": 0.3})
        >>> Choice(FREE, None, {FREE: 0.4, "crt": 0.35, "real": 0.36}, (one, other, other)).usable(FREE)
        'real'
        """
        if arm not in (FREE, SYNTHETIC):
            return arm or ""
        counts = self._counts(arm)
        means = {name: -np.inf if np.isnan(mean := self.validation.get(name, np.nan)) else mean for name in counts}
        return max(counts, key=lambda name: (counts[name], means[name]))

    @property
    def sentence(self) -> str:
        """Which arms were chosen in how many folds; empty where there are no folds."""
        if not self.folds:
            return ""
        kinds = [(FREE, self.free), (SYNTHETIC, self.synthetic)]
        said = " and ".join(self._told(composite, arm) for composite, arm in kinds if arm)
        differ = {self.free, self.synthetic} & {FREE, SYNTHETIC}
        most = (
            " Named for use is the one that most folds chose, of several the best on validation. Scores of different "
            "arms are ranked together as they are: where their scales differ, what was chosen looks worse than it is."
        )
        blind = sum(np.isnan(fold.validation[fold.free]) for fold in self.folds)
        luck = f" In {blind} there was no image to choose by, so that the simplest was taken." if blind else ""
        return (
            f"Each of {len(self.folds)} folds chose on its own validation part: {said}.{luck}{most if differ else ''}"
        )

    def _told(self, composite: str, arm: str) -> str:
        if arm != composite:
            return f"{arm} in all of them"
        times = ", ".join(f"{name} in {count}" for name, count in self._counts(arm).most_common())
        return f"{composite} is {times}"

    def _counts(self, composite: str) -> Counter[str]:
        return Counter(_picked(fold, composite) for fold in self.folds)


def choose(validation: Outcomes | Sequence[Outcomes], kinds: Mapping[str, Kind], primary: str) -> Choice:
    """The best arm of kind real or free, and the best synthetic one, on validation; nothing is said of the test part.

    Of folds, given in their order, each chooses by itself. Where validation has no image of the rare class, the first
    of each kind is taken.
    """
    if isinstance(validation, Outcomes):
        return _choose(validation, kinds, primary)
    folds = tuple(_choose(each, kinds, primary) for each in validation)
    found = Choice(_together(folds, FREE), _together(folds, SYNTHETIC) or None, {}, folds)
    names = dict.fromkeys([*kinds, found.free, *filter(None, [found.synthetic])])
    return replace(found, validation={name: _mean(folds, name) for name in names})


def compose(test: Outcomes | Sequence[Outcomes], choice: Choice) -> Outcomes:
    """What is judged: folds one after the other, and beside each arm what the chosen ones of each fold said together.

    Every patient is tested once, by arms that were chosen without them.
    """
    if isinstance(test, Outcomes):
        return test
    together = pooled(test)
    composites = {
        name: np.concatenate(
            [each.chances[_picked(fold, name)] for each, fold in zip(test, choice.folds, strict=True)], axis=1
        )
        for name in (FREE, SYNTHETIC)
        if name in (choice.free, choice.synthetic)
    }
    return replace(together, chances={**together.chances, **composites})


def with_composites(kinds: Mapping[str, Kind], choice: Choice) -> dict[str, Kind]:
    """The kind of every arm that is judged."""
    free: dict[str, Kind] = {FREE: "free"} if choice.free == FREE else {}
    synthetic: dict[str, Kind] = {SYNTHETIC: "synthetic"} if choice.synthetic == SYNTHETIC else {}
    return {**kinds, **free, **synthetic}


def pooled(folds: Sequence[Outcomes]) -> Outcomes:
    """What was said of the parts of all folds, one after the other, the same seeds in each."""
    return Outcomes(
        folds[0].classes,
        folds[0].rare,
        np.concatenate([each.targets for each in folds]),
        np.concatenate([each.groups for each in folds]),
        pd.concat([each.attributes for each in folds], ignore_index=True),
        {arm: np.concatenate([each.chances[arm] for each in folds], axis=1) for arm in folds[0].chances},
    )


def chosen_first(means: Mapping[str, float], order: Sequence[str]) -> str | None:
    """The arm with the largest mean; of equals the first in order, which is the simplest.

    >>> chosen_first({"real": 0.5, "crt": 0.5, "oversampling": 0.4}, ["real", "crt"])
    'real'
    """
    usable = [arm for arm in order if not np.isnan(means[arm])]
    return max(usable, key=lambda arm: means[arm], default=None)


def _choose(validation: Outcomes, kinds: Mapping[str, Kind], primary: str) -> Choice:
    place = metric_names(validation.classes).index(primary)
    means = dict.fromkeys(kinds, float("nan"))
    if len(validation.targets):
        said = validation.chances
        means = {arm: float(np.mean([measure(e, validation.targets)[place, 0] for e in said[arm]])) for arm in kinds}
    free = [arm for arm, kind in kinds.items() if kind in ("real", "free")]
    synthetic = [arm for arm, kind in kinds.items() if kind == "synthetic"]
    best = [chosen_first(means, some) or next(iter(some), None) for some in (free, synthetic)]
    assert best[0] is not None
    return Choice(best[0], best[1], means)


def _together(folds: Sequence[Choice], composite: str) -> str:
    picked = {_picked(fold, composite) for fold in folds}
    return picked.pop() if len(picked) == 1 else composite


def _picked(fold: Choice, composite: str) -> str:
    return fold.free if composite == FREE else fold.synthetic or ""


def _mean(folds: Sequence[Choice], name: str) -> float:
    known = [fold.validation[_picked(fold, name) if name in (FREE, SYNTHETIC) else name] for fold in folds]
    known = [each for each in known if not np.isnan(each)]
    return float(np.mean(known)) if known else float("nan")
