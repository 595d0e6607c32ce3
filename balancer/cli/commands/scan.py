"""`balance scan`: what there is, how imbalanced, and what is wrong with it."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.commands.scan_failures import failures, kinds_of, require_ratio
from balancer.cli.console import Progress, message, printable, result_json, shown
from balancer.cli.views.scan import scan_as_json, show_scan
from balancer.errors import TableError

if TYPE_CHECKING:
    from balancer.collection.metadata_table import PatientTable, TableRef
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split
    from balancer.store.database import Ledger
    from balancer.store.state_dir import State


def scan(
    data: Path = typer.Argument(help="Folder with a folder for each class, or with train, val and test above them."),
    patient: str = typer.Option(None, help="Regular expression that finds the patient in a file name."),
    patients: str = typer.Option(None, help="Table (CSV, TSV) of files or patients with sex, age and view."),
    columns: list[str] = typer.Option(None, help="Its columns, 'patient=PID sex=Gender view=ViewPosition'."),
    deep: bool = typer.Option(
        False, "--deep", help="Decode every image: finds damaged ones, near-duplicates, borders and burnt-in letters."
    ),
    max_imbalance: float = typer.Option(
        None, help="Exit with 1 where the largest class has more than so many times the images of the smallest."
    ),
    fail_on: str = typer.Option(
        None, help="Exit with 1 where there is a finding of these kinds, as in leak,unreadable; any is all of them."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    r"""Measure how imbalanced a collection is, and find what is wrong with it.

    Example: balance scan data/ --patient '(p\d+)'
    """
    from balancer.collection.imbalance import measure_imbalance
    from balancer.collection.scan import scan as scan_folder
    from balancer.collection.walk import require_folder
    from balancer.splits.split import training_counts
    from balancer.store.database import Ledger
    from balancer.store.state_dir import find_or_make_state, locked
    from balancer.workspace.recovery import set_aside_if_damaged

    kinds = kinds_of(fail_on)
    require_ratio(max_imbalance)
    state = find_or_make_state(Path.cwd(), require_folder(data))
    with locked(state), _said(set_aside_if_damaged(state)), Ledger(state) as ledger:
        earlier = ledger.load_collection(data)
        if patient is None and earlier is not None and earlier.patient_pattern:
            patient = earlier.patient_pattern
            message(f"Patients as in the last scan: --patient {shlex.quote(patient)} (--patient '' forgets it)")
        told = _table(patients, columns or [], None if earlier is None else earlier.table)
        progress = Progress("Reading")
        collection = scan_folder(data, patient or None, known=earlier, table=told, progress=progress)
        progress.close()
        collection = _looked_inside(ledger, collection, earlier, deep)
        with ledger.atomic():
            split = _split(ledger, collection, earlier)
            if _is_as_before(collection, earlier):
                ledger.make_current(collection)
            else:
                ledger.save_collection(collection)
            if earlier is None:
                _take_up_adapters(ledger, collection, split, state.adapters)
                _take_up_decisions(ledger, collection, state)
    figures = measure_imbalance(training_counts(collection, split))
    if as_json:
        result_json(scan_as_json(collection, split, figures))
    else:
        show_scan(collection, split, figures)
    reasons = failures(collection.findings, figures.ratio, kinds, max_imbalance)
    if reasons:
        message(f"Exit code 1: {'; '.join(reasons)}")
        raise typer.Exit(1)


def _said(damage: tuple[str, str] | None) -> AbstractContextManager[None]:
    """Say that a damaged ledger was set aside, and what that means."""
    if damage is not None:
        message(
            f"The ledger is damaged ({printable(damage[1])}): it is now .balance/{damage[0]}, and a new one is made."
        )
        message(
            "The images are still there: the same fill, or merge --from, again takes up those that are as they were"
        )
        message("made, and judges them anew. The options of balance split and the last fill are lost: repeat them.")
    return nullcontext()


def _take_up_adapters(ledger: Ledger, collection: Collection, split: Split, folder: Path) -> None:
    """Register adapters that a lost ledger knew."""
    from balancer.workspace.recovery import split_of, take_up_adapters

    for made in take_up_adapters(ledger, collection, folder):
        same = split_of(made) == split.sha256
        other = "" if same else "; it learned from another split than the one drawn now: repeat your balance split"
        message(f"Taken up again: {printable(made.name)}, which learned from this collection{other}")


def _take_up_decisions(ledger: Ledger, collection: Collection, state: State) -> None:
    """Register answers of people that a lost ledger knew, and say what becomes of their verdicts."""
    from balancer.jobs import Verdict
    from balancer.store.review_log import NAME, read_decisions
    from balancer.workspace.recovery import take_up_readings

    lines = list(read_decisions(state.folder))
    taken, verdicts = take_up_readings(ledger, collection, state), list(ledger.decisions(collection))
    waiting = len({each.image for each in verdicts if isinstance(each.said, Verdict)})
    if waiting:
        message(f"People decided about {waiting} images: it counts again where an image is taken up as it was then.")
    if taken:
        message(f"Taken up again: {taken} answers of blinded studies.")
    if None in lines:
        message(f"Damaged: {lines.count(None)} of {len(lines)} lines of .balance/{NAME}, and what they said is lost.")


def _looked_inside(ledger: Ledger, collection: Collection, earlier: Collection | None, deep: bool) -> Collection:
    """With what is inside the files: read now with `deep`, else what an earlier look found in unchanged ones."""
    from balancer.collection.deep_scan import look_inside, remembered, without_broken
    from balancer.collection.image_stats import fresh, read_contents

    if not deep:
        faults = fresh(collection.images, ledger.load_contents(collection.root, faults=True))
        sound = without_broken(collection, faults)
        return sound if earlier is None else remembered(sound, earlier)
    progress = Progress("Looking inside")
    known = ledger.load_contents(collection.root)
    contents = read_contents(
        collection.root, collection.images, known, progress, lambda some: ledger.add_contents(collection, some)
    )
    progress.close()
    if known.keys() - contents.keys():  # of files that are gone
        ledger.save_contents(collection, contents)
    return look_inside(collection, contents)


def _table(patients: str | None, columns: list[str], last: TableRef | None) -> PatientTable | TableRef | None:
    """The table of patients that is named, else the one of the last scan; of one that is gone, its reference."""
    from balancer.collection.metadata_table import parse_columns, read_table

    named = parse_columns(columns)
    if patients is not None:
        return read_table(Path(patients), named) if patients else None
    if last is None:
        if named:
            raise TableError(
                needed="a table for --columns",
                found="none",
                next_step="balance scan DATA --patients FILE.csv --columns 'patient=COLUMN'",
            )
        return None
    last = replace(last, named=named or last.named)
    if not last.path.is_file():
        message(f"{printable(shown(last.path))} is gone: what it told is kept (--patients '' forgets it)")
        return last
    message(f"Patients as in the last scan: {printable(last.options)} (--patients '' forgets it)")
    return read_table(last.path, last.named)


def _split(ledger: Ledger, collection: Collection, earlier: Collection | None) -> Split:
    """The stored split, with what came since; drawn where there is none, and stored where it changed."""
    from balancer.splits.split import Shares, draw_split

    stored = ledger.load_split(collection)
    if stored is not None and _is_as_before(collection, earlier):
        return stored
    kept = _kept_split(ledger, collection, earlier, stored)
    shares = Shares(**(ledger.setting(collection, "split") or {}))
    split = draw_split(collection, 0 if stored is None else stored.seed, kept, shares)
    ledger.save_split(collection, split)
    return split


def _is_as_before(collection: Collection, earlier: Collection | None) -> bool:
    """Whether the ledger holds it already; a scan that finds nothing new gives back the table that it was given."""
    if earlier is None or collection.images is not earlier.images:
        return False
    now, before = ((each.patient_pattern, each.table, set(each.findings)) for each in (collection, earlier))
    return now == before


def _kept_split(
    ledger: Ledger, collection: Collection, earlier: Collection | None, split: Split | None
) -> Split | None:
    """The stored split, unless it was drawn by other patients and nothing has learned from it."""
    if split is None or earlier is None or earlier.patient_source == collection.patient_source:
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
