"""What makes a comparison honest, looked at before anything is trained: refused, or stamped where the user insists."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from analysis.comparison.inputs.build_study import Material
from analysis.comparison.integrity.generator_exposure import Exposure, learned_from_test, unknown_exposure
from analysis.comparison.integrity.leakage import (
    among_the_extras,
    extras_of_unknown_patients,
    made_from_test,
    says_synthetic,
    screened_by_test,
    shared_patients,
    split_changed,
    synthetic_outside_training,
)
from analysis.comparison.integrity.leakage_finding import Breach
from analysis.comparison.integrity.same_picture import duplicates, near_duplicates
from balancer.errors import ComparisonError
from balancer.store.database import Ledger
from balancer.text import many

INVALID = "INVALID: "
"""How the stamp begins that every figure of a comparison carries which was asked for in spite of a breach."""


def check(material: Material, ledger: Ledger, *, models: Sequence[Path] = ()) -> tuple[Breach, ...]:
    """Everything for which the test part cannot be trusted, the gravest kind first; nothing is trained or written.

    `models` are folders, beside those that `adapt` made here, that may hold what drew the synthetic images.

    Raises:
        CollectionError: a held-out file is gone or changed since the scan.
    """
    finders: tuple[Callable[[], Iterable[Breach]], ...] = (
        lambda: synthetic_outside_training(material, ledger),
        lambda: shared_patients(material),
        lambda: duplicates(material),
        lambda: near_duplicates(material),
        lambda: learned_from_test(_exposure(material, ledger, models)),
        lambda: split_changed(material),
        lambda: screened_by_test(material, ledger),
        lambda: made_from_test(material),
        lambda: among_the_extras(material),
    )
    return tuple(breach for find in finders for breach in find())


def stamps(material: Material, ledger: Ledger, *, models: Sequence[Path] = ()) -> tuple[str, ...]:
    """What a reader must know of what cannot be known, beside the study's own stamps."""
    return (
        *material.study.stamps,
        *_unknown_patients(material),
        *_patients_by_whom_is_chosen(material),
        *extras_of_unknown_patients(material),
        *unknown_exposure(_exposure(material, ledger, models)),
        *_unscreened(material),
        *_marked_training_images(material),
        *_old_folder(material),
    )


def require_honest(breaches: Sequence[Breach], *, force: bool) -> tuple[str, ...]:
    """No stamps where nothing is breached; with `force` the stamp for what is.

    >>> require_honest([Breach("patient", "a patient is in training and test part", ("p1",), "move it")], force=True)
    ('INVALID: a patient is in training and test part (p1)',)

    Raises:
        ComparisonError: there is a breach and no `force`.
    """
    if not breaches:
        return ()
    if force:
        return (INVALID + "; ".join(map(str, breaches)),)
    raise ComparisonError(
        needed="real test images that were not used by the classifier, the generator or the screening",
        found=_listed([str(breach) for breach in breaches]),
        next_step=_listed(list(dict.fromkeys(breach.advice for breach in breaches)))
        + "\n        or continue with every figure marked INVALID: balance compare --force",
    )


def _listed(items: Sequence[str]) -> str:
    """One as it is, several numbered, below each other where an error has its second column."""
    if len(items) == 1:
        return items[0]
    return textwrap.indent("\n".join(f"{place}. {item}" for place, item in enumerate(items, 1)), " " * 8).lstrip()


def _exposure(material: Material, ledger: Ledger, models: Sequence[Path]) -> Exposure:
    own = tuple(ledger.adapters(material.collection))
    elsewhere = tuple(folder for folder in models if folder.resolve() not in {each.resolve() for each in own})
    validation = material.study.validation.paths
    return Exposure(material.collection, material.split, material.balanced, own, elsewhere, validation)


def _unknown_patients(material: Material) -> Iterable[str]:
    images = material.collection.images
    count = int(images["patient"].isna().sum())
    if count:
        of_how_many = "all images" if count == len(images) else f"{count} of {len(images)} images"
        yield f"patient leakage not excluded: the patients of {of_how_many} are unknown"


def _patients_by_whom_is_chosen(material: Material) -> Iterable[str]:
    """No leak into the test part: arms that know their training patients by heart are favoured by the choice alone."""
    study = material.study
    if count := len(np.intersect1d(study.train.groups, study.validation.groups)):
        who = many(count, "patient")
        yield f"{who} with images in the training and in the validation split: the choice of the best arm is biased"


def _unscreened(material: Material) -> Iterable[str]:
    rows = () if material.balanced is None else material.balanced.synthetic
    count = sum(row.decision == "unscreened" for row in rows)
    if count:
        yield (
            f"{count} of {len(rows)} synthetic images were not screened for copies: too few patients for a threshold, "
            "--no-screen or --accept-unscreened"
        )


def _marked_training_images(material: Material) -> Iterable[str]:
    collection = material.collection
    paths = (*material.study.train.paths, *material.study.validation.paths)
    count = sum(says_synthetic(collection.root / path) for path in paths)
    if count:
        yield (
            f"{count} of {len(paths)} training and validation images of the collection are marked "
            "as synthetic in their metadata: arms without synthetic images contain some"
        )


def _old_folder(material: Material) -> Iterable[str]:
    if material.balanced is not None and not material.balanced.split_sha256:
        yield "the balanced folder does not record the split with which it was made"
