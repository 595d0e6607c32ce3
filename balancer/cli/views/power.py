"""What `balance power` prints, and the line that a fill prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import message, result, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.power.detectable_effect import Power, Way
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split


def show_power(found: Power) -> None:
    """One sentence, a table, and what was assumed."""
    from analysis.power.text import assumptions_in_words, notes, sentence

    result(printable(sentence(found)))
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


def say_power(collection: Collection, split: Split) -> None:
    """Print in one line what the test split can detect, where there is one; a fill never fails by it."""
    from analysis.power.text import recall_line

    try:
        line = "" if collection.is_multi_label else recall_line(collection, split)
    except Exception as error:  # a remark is not worth a night of generating
        line = f"The smallest detectable difference could not be calculated: {error!r}"
    if line:
        message(printable(line))


def _row(name: str, way: Way) -> list[object]:
    from analysis.power.text import range_in_words, rounded

    areas = ["-" if each is None else f"{each:.2f}" for each in (way.base, way.auprc)]
    recall = "-" if way.recall is None else range_in_words(way.recall)
    needed = ["-" if count is None else rounded(count) for count in (way.needed, way.needed_recall)]
    return [name, way.images, way.patients, f"{way.prevalence:.1%}", *areas, recall, *needed]
