"""The smallest detectable differences, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from analysis.data.endpoint import rarest_class
from analysis.data.minimums import RARE_TEST_PATIENTS, TEST_IMAGES
from analysis.power.detectable_effect import Power, Way, recall_difference, samples_of
from balancer.text import many

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split

_OTHER_SCALE = 1.5
Span = tuple[float, float] | None


def sentence(found: Power) -> str:
    """The smallest detectable differences, and what a smaller one would take, in one line."""
    ways = [found.one_split, *([found.cross_fitted] if found.cross_fitted else [])]
    return _detectable(found, ways, ["test", ""]) + _takes(found, ways)


def out_of_fold_sentence(found: Power) -> str:
    """The smallest detectable difference with cross-fitting; empty where there are no folds."""
    way = found.cross_fitted
    return "" if way is None else _detectable(found, [way], [""]) + _takes(found, [way])


def as_json(found: Power) -> dict[str, Any]:
    """The fields for `--json`."""
    words = {"notes": notes(found), "assumptions": assumptions_in_words(found)}
    return {"sentence": sentence(found), **asdict(found), **words}


def out_of_fold_json(found: Power) -> dict[str, Any]:
    """The result for cross-fitting only, as JSON-compatible fields; there are no other folds to advise then."""
    if found.cross_fitted is None:
        return as_json(found)
    told = notes(replace(found, one_split=found.cross_fitted))
    return {**as_json(found), "sentence": out_of_fold_sentence(found), "notes": told, "folds_that_fit": 0}


def recall_line(collection: Collection, split: Split) -> str:
    """One line on the recall of the rarest class, at once; empty where there is no test split."""
    label = rarest_class(collection, split)
    if label is None or not (split.parts == "test").any():
        return ""
    one, crossed = samples_of(collection, split, label)
    known = bool(collection.images["patient"].notna().all())
    ways = [(each.images, each.patients, recall_difference(each)) for each in (one, crossed) if each is not None]
    return recall_sentence(label, ways, known)


def recall_sentence(label: str, ways: Sequence[tuple[int, int, Span]], patients_known: bool) -> str:
    """The smallest detectable differences of recall: (images, patients, range), the test split first.

    >>> recall_sentence("nodule", [(12, 12, (0.58, 0.58))], True)
    'Smallest detectable recall difference for nodule: 0.58 (12 test patients). More: balance power'
    """
    found = [
        f"{range_in_words(span)}{_of(images, patients, patients_known, what)}"
        for (images, patients, span), what in zip(ways, ("test", ""), strict=False)
    ]
    return f"Smallest detectable recall difference for {label}: {', '.join(found)}. More: balance power"


def _detectable(found: Power, ways: Sequence[Way], which: Sequence[str]) -> str:
    """AUPRC, or recall where a way of testing has no image of another class."""
    by_recall = all(way.auprc is None and way.recall is not None and way.prevalence == 1 for way in ways)
    spans = [way.recall if by_recall else None if way.auprc is None else (way.auprc, way.auprc) for way in ways]
    told = [
        f"{range_in_words(span)}{_of(way.images, way.patients, found.patients_known, what)}"
        for span, way, what in zip(spans, ways, which, strict=False)
    ]
    return f"Smallest detectable {'recall' if by_recall else 'AUPRC'} difference for {found.label}: {', '.join(told)}"


def range_in_words(span: Span) -> str:
    """A range as one figure where both ends are the same to two digits.

    >>> range_in_words((0.58, 0.58)), range_in_words((0.16, 0.2)), range_in_words(None)
    ('0.58', '0.16 to 0.20', 'none')
    """
    if span is None:
        return "none"
    low, high = (f"{each:.2f}" for each in span)
    return low if low == high else f"{low} to {high}"


def _of(images: int, patients: int, known: bool, which: str) -> str:
    """The number of images and patients, in brackets; those of all folds where `which` is empty."""
    unit = f"{which} " if which else ""
    if not known:
        size = many(images, f"{unit}image")
    elif images == patients:
        size = many(patients, f"{unit}patient")
    else:
        size = f"{many(images, 'image')} of {many(patients, f'{unit}patient')}"
    return f" ({size})" if which else f" cross-fitted ({size})"


def _takes(found: Power, ways: Sequence[Way]) -> str:
    """What the wanted difference would take, and the end of the sentence."""
    more = [each.needed - each.patients for each in ways if each.needed is not None]
    if not more:
        return "."
    unit = "patients of the class" if found.patients_known else "images of the class"
    takes = f"{found.difference:g} would take at least {rounded(min(more))} more {unit}" if min(more) > 0 else ""
    return f"; {takes or f'{found.difference:g} is detectable'}."


def notes(found: Power) -> list[str]:
    """What else is to be known: what the figures leave out, and what can still be concluded."""
    one, crossed = found.one_split, found.cross_fitted
    told = [*_about_few(found), *_about_auprc(found)]
    if crossed is None:
        told += _to_test_all(found)
    elif one.images and max(ratio := one.prevalence / crossed.prevalence, 1 / ratio) > _OTHER_SCALE:
        told.append(
            "The prevalence of the class differs between the test split and all images: do not compare the two AUPRC "
            "values."
        )
    if not found.patients_known:
        told.append(
            "Patients are unknown, so each image counts as one patient. If patients have several images, less is "
            "detectable."
        )
    return told


def assumptions_in_words(found: Power) -> list[str]:
    """The assumptions of the simulation, as sentences."""
    assumed = found.assumed
    low, high = assumed.discordant
    return [
        f"Detectable: with this difference, compare says 'helps' in {assumed.power:.0%} of simulated test sets "
        f"(paired, by patient, 95% interval, {assumed.seeds} seeds). Recall: exact paired test.",
        f"Assumed: AUROC of the baseline {assumed.auroc:g}, between seeds +- {assumed.seed_auroc:g}. Correlation of "
        "scores: "
        f"{assumed.correlation:g} between arms, {assumed.resemblance:g} between images of a patient. Two arms "
        f"disagree on {low:.0%} to {high:.0%} of the images of the class, or on as many as they differ by. With more "
        "patients of the class, the other classes grow in proportion.",
    ]


def rounded(count: int) -> int:
    """Up to two digits, since the figure is no more precise.

    >>> rounded(1234), rounded(7)
    (1300, 7)
    """
    scale = int("1".ljust(len(str(count)) - 1, "0"))
    return math.ceil(count / scale) * scale


def _to_test_all(found: Power) -> list[str]:
    if not found.folds_that_fit:
        return []
    return [
        "To test on every patient, with models that were not trained on that patient: "
        f"balance split --folds {found.folds_that_fit}"
    ]


def _about_few(found: Power) -> list[str]:
    one, best, label = found.one_split, found.cross_fitted or found.one_split, found.label
    nothing = "no difference can be significant"
    if best.patients < RARE_TEST_PATIENTS:
        return [
            f"With {many(best.patients, 'test patient')} of {label} {nothing}: five improvements out of five give "
            "p = 0.06. A comparison will say 'cannot tell'. Choose a larger class: --label."
        ]
    if one.patients < RARE_TEST_PATIENTS:
        return [
            f"With {many(one.patients, 'test patient')} of {label} {nothing}."
            + (" Use cross-fitting." if found.folds_that_fit else "")
        ]
    if one.images < TEST_IMAGES:
        each = f"one image moves its recall by {1 / one.images:.2f}"
        return [f"With {many(one.images, 'test image')} of {label} {each}: only large differences are detectable."]
    return []


def _about_auprc(found: Power) -> list[str]:
    one, best = found.one_split, found.cross_fitted or found.one_split
    if one.prevalence == 1:
        return ["The test split has no image of another class: AUPRC is not defined, and only recall can be compared."]
    if one.base is not None and one.auprc is None:
        return [f"From an AUPRC of {one.base:.2f} even an almost perfect arm is not detectable with this test split."]
    if best.base is not None and best.needed is None:
        return [
            f"A gain of {found.difference:g} from an AUPRC of {best.base:.2f} is more than a perfect arm can reach, "
            "or less than "
            "the variation between seeds: use more --seeds in compare."
        ]
    return []
