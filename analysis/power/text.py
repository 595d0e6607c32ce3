"""What a test set could show, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.power.detectable_effect import Power, Way

FEW_IMAGES = 10
"""Of fewer test images each moves the recall of their class by more than a tenth."""
_OTHER_SCALE = 1.5


def sentence(found: Power) -> str:
    """The smallest differences that show, and what a smaller one would take, in one line."""
    one, crossed = found.one_split, found.cross_fitted
    text = f"The test part ({_size(one.images, one.patients, found.patients_known)} of {found.label}) can show "
    text += _shows(one)
    if crossed is not None:
        text += f"; cross-fitting ({_size(crossed.images, crossed.patients, found.patients_known)}) {_shows(crossed)}"
    return text + _takes(found, [each for each in (one, crossed) if each is not None])


def out_of_fold_sentence(found: Power) -> str:
    """The same of cross-fitting alone; empty where there are no folds."""
    way = found.cross_fitted
    if way is None:
        return ""
    size = _size(way.images, way.patients, found.patients_known)
    return f"Cross-fitting ({size} of {found.label}) can show {_shows(way)}{_takes(found, [way])}"


def _takes(found: Power, ways: Sequence[Way]) -> str:
    """What the wanted difference would take, and the end of the sentence."""
    more = [each.needed - each.patients for each in ways if each.needed is not None]
    if not more:
        return "."
    unit = "patients of the class" if found.patients_known else "images of the class"
    takes = f"{found.difference:g} would take at least {rounded(min(more))} more {unit}" if min(more) > 0 else ""
    return f"; {takes or f'{found.difference:g} shows'}."


def recall_sentence(
    label: str, ways: Sequence[tuple[int, int, tuple[float, float] | None]], patients_known: bool
) -> str:
    """The smallest differences of recall by each way of testing: (images, patients, range), the test part first."""
    texts = [
        f"({_size(images, patients, patients_known)}) can show {_differences('recall', span)}"
        for images, patients, span in ways
    ]
    return f"Of {label} the test part {'; cross-fitting '.join(texts)}. More: balance power"


def notes(found: Power) -> list[str]:
    """What else is to be known: what the figures leave out, and what can still be concluded."""
    one, crossed = found.one_split, found.cross_fitted
    told = [*_about_few(found), *_about_auprc(found)]
    if crossed is None:
        told.append("To test on every patient once, by models that never saw them: balance split --folds 5")
    elif one.images and max(ratio := one.prevalence / crossed.prevalence, 1 / ratio) > _OTHER_SCALE:
        told.append("The class has another share of the test part than of all images: the two AUPRC do not compare.")
    if not found.patients_known:
        told.append(
            "Patients are unknown, so each image counts as one: where patients have several, less can be shown."
        )
    return told


def assumptions_in_words(found: Power) -> list[str]:
    """What was assumed."""
    assumed = found.assumed
    low, high = assumed.discordant
    return [
        f"Asked: {assumed.power:.0%} power, two-sided {assumed.level:.0%}, arms paired, by patient. What training "
        "seeds add is left out.",
        f"Assumed: the reference has AUROC {assumed.auroc:g}; scores correlate by {assumed.correlation:g} between arms "
        f"and by {assumed.resemblance:g} between images of a patient; two arms disagree on {low:.0%} to {high:.0%} of "
        "the images of the class; with more patients of the class the other classes grow alike.",
    ]


def rounded(count: int) -> int:
    """Up to two digits, since the figure is no more precise.

    >>> rounded(1234), rounded(7)
    (1300, 7)
    """
    scale = int("1".ljust(len(str(count)) - 1, "0"))
    return math.ceil(count / scale) * scale


def _about_few(found: Power) -> list[str]:
    from analysis.power.detectable_effect import FEWEST

    one, best, label = found.one_split, found.cross_fitted or found.one_split, found.label
    tested, nothing = f"{_counted(one.images, 'test image')} of {label}", "no difference is significant, however large"
    if best.patients < FEWEST:
        return [
            f"With {_counted(best.patients, 'patient')} of {label} {nothing}: even five better of five have p = 0.06. "
            "A comparison can only say that it cannot tell; of a larger class (--label) it may say more."
        ]
    if one.patients < FEWEST:
        return [f"With {tested} {nothing}: only cross-fitting can say anything of it."]
    if one.images < FEW_IMAGES:
        each = f"one image moves its recall by {1 / one.images:.2f}"
        return [f"With {tested} {each}: only very large differences can be concluded from the test part."]
    return []


def _about_auprc(found: Power) -> list[str]:
    one, best = found.one_split, found.cross_fitted or found.one_split
    if one.prevalence == 1:
        return ["The test part has no image of another class: AUPRC means nothing there, only recall can be compared."]
    if one.base is not None and one.auprc is None:
        return [f"From an AUPRC of {one.base:.2f} even a nearly perfect arm would be too little for this test part."]
    if best.base is not None and best.needed is None:
        return [f"An arm cannot be better by {found.difference:g} than one with an AUPRC of {best.base:.2f}."]
    return []


def _shows(way: Way) -> str:
    if way.auprc is None and way.recall is not None:
        return f"no difference in AUPRC, but {_differences('recall', way.recall)}"
    return _differences("AUPRC", None if way.auprc is None else (way.auprc, way.auprc))


def _differences(measure: str, span: tuple[float, float] | None) -> str:
    if span is None:
        return f"no difference in {measure}"
    low, high = (f"{each:.2f}" for each in span)
    return f"differences in {measure} from {low if low == high else f'{low} to {high}'} up"


def _size(images: int, patients: int, known: bool) -> str:
    counted = _counted(images, "image")
    return f"{counted} of {_counted(patients, 'patient')}" if known else counted


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
