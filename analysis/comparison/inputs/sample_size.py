"""Is there enough to conclude anything from, and what can still be concluded where there is not."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from balancer.errors import ComparisonError
from balancer.splits.fold_limit import PATIENTS_A_FOLD, folds_that_fit
from balancer.text import many

_NAMED = 5
FEW = 10
"""With fewer test images of a class little can be concluded of it."""
_OTHERS_STAND = "results of the other classes are not affected"


@dataclass(frozen=True, slots=True)
class Counts:
    """Real images of each class in each part, and how many folds fit the class of the primary endpoint; 0 for none.

    Of findings, which an image may lack, `lacking` has in each part those that are known not to have the rare one.
    """

    classes: tuple[str, ...]
    train: Mapping[str, int]
    validation: Mapping[str, int]
    test: Mapping[str, int]
    folds: int = 0
    lacking: Mapping[str, int] | None = None

    @classmethod
    def of(cls, classes: Sequence[str], labels: Mapping[str, Iterable[str]]) -> Counts:
        """From the labels of the images in each part: train, validation and test."""
        found = {name: Counter(labels.get(name, ())) for name in ("train", "validation", "test")}
        return cls(tuple(classes), found["train"], found["validation"], found["test"])

    @property
    def or_out_of_fold(self) -> str:
        """A second advice, to test every patient; empty where no number of folds fits."""
        return f"; or balance compare --cross-fit {self.folds}" if self.folds else ""


def require_sufficient(counts: Counts, rare: str, *, insist: bool = False, pooled: bool = False) -> tuple[str, ...]:
    """Stamps for classes of which little can be concluded; `rare` is the class of the primary endpoint.

    `pooled`: these are the images of one fold among several, whose few test images count together with the others'.

    >>> enough = {"nodule": 20, "normal": 90}
    >>> require_sufficient(Counts(("nodule", "normal"), enough, enough, {"nodule": 20, "normal": 4}), "nodule")
    ('only 4 test images of normal: little can be concluded about it',)

    Raises:
        ComparisonError: nothing can be concluded of `rare`, and the user does not `insist`; or nothing at all.
    """
    several = counts.lacking is not None
    _require_two_sides(counts, rare, ("training",) if pooled else ("test", "training"))
    if rare not in counts.classes:
        raise ComparisonError(
            needed=f"a {'finding' if several else 'class'} of the collection: {', '.join(counts.classes)}",
            found=f"{rare!r} as the primary endpoint",
            next_step=f"balance compare --label {shlex.quote(counts.classes[0])}",
        )
    if not counts.train.get(rare, 0):
        raise _refused(counts, rare, "a real training image", "none, so there is nothing to train on")
    if pooled:
        return ()
    few = counts.test.get(rare, 0)
    if not few or (few < FEW and not insist):
        raise _refused(counts, rare, f"{FEW} test images", f"{few or 'none'}")
    if not counts.validation.get(rare, 0):
        raise ComparisonError(
            needed=f"validation images of {rare}, to choose the best arm",
            found="none: the best arm would be chosen at random",
            next_step=f"create a validation split, then fill again: balance split --val 0.15{counts.or_out_of_fold}",
        )
    return tuple(_stamps_of_findings(counts) if several else _stamps(counts))


def _stamps(counts: Counts) -> Iterable[str]:
    for label in counts.classes:
        tested, trained = counts.test.get(label, 0), counts.train.get(label, 0)
        if not tested:
            yield f"no test image of {label}: nothing can be concluded about it; {_OTHERS_STAND}"
        elif tested < FEW:
            yield f"only {many(tested, 'test image')} of {label}: little can be concluded about it"
        if not trained:
            yield f"no real training image of {label}: no arm can learn it; {_OTHERS_STAND}"
        elif not counts.validation.get(label, 0):
            yield f"no validation image of {label}: the best arm is chosen without it"


def _stamps_of_findings(counts: Counts) -> Iterable[str]:
    """A line for each kind of lack, since there may be hundreds of findings."""
    tested = {label: counts.test.get(label, 0) for label in counts.classes}
    untrained = [label for label in counts.classes if not counts.train.get(label, 0)]
    if none := [label for label, count in tested.items() if not count]:
        yield f"no test image of {named_of(none)}: nothing can be concluded about them; other findings are not affected"
    if few := [label for label, count in tested.items() if 0 < count < FEW]:
        yield f"fewer than {FEW} test images of {named_of(few)}: little can be concluded about them"
    if untrained:
        yield f"no real training image of {named_of(untrained)}: no arm can learn them; other findings are not affected"


def named_of(names: Sequence[str]) -> str:
    """A few names, and how many more there are.

    >>> named_of("abcdefgh")
    'a, b, c, d, e and 3 more'
    """
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def few_in_all(classes: Sequence[str], labels: Iterable[str]) -> tuple[str, ...]:
    """Stamps for the classes of which there are few images in all folds together.

    >>> few_in_all(["nodule", "normal"], ["nodule"] * 3 + ["normal"] * 12)
    ('only 3 test images of nodule in all folds together: little can be concluded about it',)
    """
    counts = Counter(labels)
    return tuple(
        f"only {many(counts[label], 'test image')} of {label} in all folds together: little can be concluded about it"
        for label in classes
        if 0 < counts[label] < FEW
    )


def require_patients_in_folds(
    patients: Mapping[str, Sequence[int]], rare: str, *, insist: bool = False
) -> tuple[str, ...]:
    """A stamp where a fold tests too few patients of `rare`; `patients` of each class are given fold by fold.

    A fold of one such patient has no variance, so that the interval would be too narrow.

    >>> require_patients_in_folds({"nodule": [5, 6, 5], "normal": [9, 9, 9]}, "nodule")
    ()
    >>> require_patients_in_folds({"nodule": [0, 6], "normal": [9, 9]}, "nodule", insist=True)
    ('only 0 test patients of nodule in fold 1 of 2: the interval may be too narrow',)

    Raises:
        ComparisonError: a fold has fewer than five, and the user does not `insist`.
    """
    mine = patients[rare]
    count, folds, total = min(mine), len(mine), sum(mine)
    if count >= PATIENTS_A_FOLD:
        return ()
    where = f"{many(count, 'test patient')} of {rare} in fold {mine.index(count) + 1} of {folds}"
    if insist:
        return (f"only {where}: the interval may be too narrow",)
    others = [label for label, some in patients.items() if label != rare and min(some) >= PATIENTS_A_FOLD]
    most = folds_that_fit(total)
    fewer = (
        f"the number of folds that fits {total} patients is {most}: balance split --folds {most}, then: "
        f"balance compare --cross-fit {most}"
        if most
        else f"{total} patients are too few for two folds: compare on the stored test split: balance compare"
    )
    endpoint = f"; or choose another class: --label {shlex.quote(others[0])}" if others else ""
    raise ComparisonError(
        needed=f"{PATIENTS_A_FOLD} test patients of {rare}, the class of the primary endpoint, in each fold",
        found=f"{where}; conclusions are still possible for {', '.join(others) or 'no class'}",
        next_step=fewer + endpoint,
    )


def _require_two_sides(counts: Counts, rare: str, parts: Sequence[str]) -> None:
    """Two classes, or images that are known not to have the finding."""
    for part in parts:
        if counts.lacking is not None:
            if not counts.lacking.get("train" if part == "training" else part, 0):
                raise ComparisonError(
                    needed=f"images that are known not to have {rare}, in the {part} split",
                    found="none: where it is not given, it is uncertain or not told",
                    next_step="say what a blank means: balance scan DATA --blank negative; or choose another finding: "
                    "balance compare --label FINDING",
                )
            continue
        found = counts.test if part == "test" else counts.train
        there = [label for label in counts.classes if found.get(label, 0)]
        if len(there) < 2:
            which = f"{there[0]} only ({found[there[0]]} images)" if there else "none"
            raise ComparisonError(
                needed=f"two classes in the {part} split",
                found=f"{which}: nothing can be concluded about how well classes are separated",
                next_step=f"create another split, then fill again: balance split --test 0.2{counts.or_out_of_fold}",
            )


def _refused(counts: Counts, rare: str, needed: str, found: str) -> ComparisonError:
    others = [label for label in counts.classes if label != rare and counts.test.get(label, 0) >= FEW]
    told = ", ".join(f"{label} ({counts.test[label]} test images)" for label in others) or "no class"
    folds = [f"test every image of the class by cross-fitting: balance compare --cross-fit {counts.folds}"]
    endpoint = [f"choose another class: balance compare --label {shlex.quote(each)}" for each in others[:1]]
    return ComparisonError(
        needed=f"{needed} of {rare}, the class of the primary endpoint",
        found=f"{found}; conclusions are still possible for {told}",
        next_step="; or ".join([*(folds if counts.folds else []), *endpoint])
        or f"add images of {rare}, then: balance scan FOLDER",
    )
