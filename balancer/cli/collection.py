"""`balance scan`: what there is, how imbalanced, and what is wrong with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import Progress, message, result_json
from balancer.cli.scanned import scan_as_json, show_scan

if TYPE_CHECKING:
    from balancer.ledger import Ledger
    from balancer.scan import Collection
    from balancer.split import Split


def scan(
    data: Path = typer.Argument(help="Folder with a folder for each class, or with train, val and test above them."),
    patient: str = typer.Option(None, help="Regular expression that finds the patient in a file name."),
    deep: bool = typer.Option(False, "--deep", help="Decode every image, to find damaged ones."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    r"""Measure how imbalanced a collection is, and find what is wrong with it.

    Example: balance scan data/ --patient '(p\d+)'
    """
    from analysis.imbalance import measure_imbalance
    from balancer.folders import require_folder
    from balancer.ledger import Ledger
    from balancer.scan import scan as scan_folder
    from balancer.split import Shares, draw_split, training_counts
    from balancer.state import find_or_make_state, locked

    state = find_or_make_state(Path.cwd(), require_folder(data))
    with locked(state), Ledger(state) as ledger:
        earlier = ledger.load_collection(data)
        if patient is None and earlier is not None and earlier.patient_pattern:
            patient = earlier.patient_pattern
            message(f"Patients as in the last scan: --patient {shlex.quote(patient)} (--patient '' forgets it)")
        progress = Progress("Reading")
        collection = scan_folder(data, patient or None, deep=deep, known=earlier, progress=progress)
        progress.close()
        stored, kept = ledger.load_split(collection), _earlier_split(ledger, collection, earlier)
        seed = 0 if stored is None else stored.seed
        split = draw_split(collection, seed, kept, Shares(**(ledger.setting(collection, "split") or {})))
        with ledger.atomic():
            ledger.save_collection(collection)
            ledger.save_split(collection, split)
    figures = measure_imbalance(training_counts(collection, split))
    if as_json:
        result_json(scan_as_json(collection, split, figures))
    else:
        show_scan(collection, split, figures)


def _earlier_split(ledger: Ledger, collection: Collection, earlier: Collection | None) -> Split | None:
    """The stored split, unless it was drawn by other patients and nothing has learned from it."""
    split = ledger.load_split(collection)
    if split is None or earlier is None or earlier.patient_pattern == collection.patient_pattern:
        return split
    trained = ledger.adapters(collection)
    if trained:
        message(
            f"The split is kept, since {trained[0].name} was trained on it: it may have seen patients of the test part."
        )
        return split
    if split.origin == "file":
        message("The split of your table is kept; patients in two of its parts go to the one that is tested.")
        return split
    if collection.has_parts and (split.parts == "val").any():
        return split
    if not collection.has_parts:
        message("The patients are known in another way now: the split is drawn anew.")
    return None
