"""`balance power`: the smallest difference that the test set can detect, before anything is generated or trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from balancer.cli.console import here, message, on_errand, result, result_json, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.power.detectable_effect import Power, Way
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


def power(
    label: str = typer.Option(None, help="The class to compare (default: the rarest class of the training split)."),
    difference: float = typer.Option(0.05, help="Print how many patients are needed to detect this difference."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Print the smallest difference between two classifiers that the test images can detect.

    It is the difference at which compare says "helps" in 80% of simulated test sets. --json has every class.

    Example: balance power --label NODULE --difference 0.05
    """
    from analysis.power.detectable_effect import by_metric_and_class, measure_power

    with here().session(write=False) as session:
        found = measure_power(session.collection, session.split, label, difference)
        if as_json:
            figures = by_metric_and_class(session.collection, session.split, difference)
            result_json({**found.as_json, "metrics": figures})
            return
    _show(found)


def say_power(collection: Collection, split: Split) -> None:
    """Print in one line what the test split can detect, where there is one; a fill never fails by it."""
    from analysis.power.detectable_effect import recall_line

    if on_errand():  # one fold of several, or the same part once more
        return
    try:
        line = recall_line(collection, split)
    except Exception as error:  # a remark is not worth a night of generating
        line = f"The smallest detectable difference could not be calculated: {error!r}"
    if line:
        message(printable(line))


def _show(found: Power) -> None:
    from analysis.power.text import assumptions_in_words, notes

    result(printable(found.sentence))
    result()
    unit = "patients" if found.patients_known else "images"
    shown = ["share", "assumed AUPRC", "detectable AUPRC", "detectable recall"]
    header = ["tested", "images", "patients", *shown, f"{unit} for {found.difference:g} AUPRC", "for recall"]
    rows = [_row("test split", found.one_split)]
    if found.cross_fitted is not None:
        rows.append(_row(f"cross-fitted, {found.folds} folds", found.cross_fitted))
    result(table(header, rows))
    result()
    result(f"Images, patients and share are those of {printable(found.label)}; detectable: the smallest difference.")
    for line in (*notes(found), *assumptions_in_words(found)):
        result(printable(line))


def _row(name: str, way: Way) -> list[object]:
    from analysis.power.text import range_in_words, rounded

    areas = ["-" if each is None else f"{each:.2f}" for each in (way.base, way.auprc)]
    recall = "-" if way.recall is None else range_in_words(way.recall)
    needed = ["-" if count is None else rounded(count) for count in (way.needed, way.needed_recall)]
    return [name, way.images, way.patients, f"{way.prevalence:.1%}", *areas, recall, *needed]
