"""Reading a collection: what there is, what is wrong with it, and who tests; remembered in the state folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from balancer.collection.imbalance import FindingImbalance, Imbalance, measure_findings, measure_imbalance
from balancer.errors import CollectionError, TableError
from balancer.progress import SILENT, Progress
from balancer.store.setting_names import EXCLUDED, ExcludedFields
from balancer.store.state_dir import State, find_or_make_state, locked
from balancer.text import many, printable
from balancer.workspace.scan_source import columns_are_of_labels, preset_patient, scan_source
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace

if TYPE_CHECKING:
    from balancer.collection.metadata_table import PatientTable, TableRef
    from balancer.collection.scan import Collection
    from balancer.splits.exclusion import Excluded
    from balancer.splits.split import Split
    from balancer.store.database import Ledger


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The collection as it was found, its split, and the imbalance of the training images.

    `findings` are the figures of images that have several findings; None where each has one class.
    """

    collection: Collection
    split: Split
    imbalance: Imbalance
    findings: FindingImbalance | None = None

    def to_json(self) -> dict[str, Any]:
        """What was found, for programs; `scan.schema.json` describes it."""
        from balancer.workspace.scan_json import scan_json

        return scan_json(self.collection, self.split, self.imbalance, self.findings)


def scan(workspace: Workspace, settings: ScanSettings, *, progress: Progress = SILENT) -> ScanResult:
    r"""Read a labelled collection, measure its imbalance, find its faults, and draw its split where there is none.

    The collection itself is never written. What is found is remembered in the workspace's `.balance`.

    Raises:
        CollectionError: the folder is no labelled collection.
        TableError: the table of patients cannot be read, or does not fit.
        StateError: the state folder may not be written, or another command is using it.

    >>> result = scan(Workspace.open(folder), ScanSettings(folder / "xrays", patient=r"(p\d+)"))
    >>> result.imbalance.counts
    {'nodule': 3, 'normal': 5}
    """
    from balancer.collection.pseudonyms import Pseudonyms
    from balancer.collection.scan import scan as scan_folder
    from balancer.collection.walk import require_folder
    from balancer.splits.exclusion import leave_out
    from balancer.splits.split import training_counts

    state = find_or_make_state(workspace.home, require_folder(settings.data))
    with _opened(state, progress) as ledger:
        _recognise(ledger, settings.data, progress)
        earlier = ledger.load_collection(settings.data)
        pattern = _pattern(settings, earlier, progress)
        table = _table(settings, earlier, progress)
        reading = progress.start("Reading")
        where = scan_source(settings, earlier, progress)
        told = {"source": where.source, "options": where.options, "as_is": where.as_is}
        told |= {"pseudonyms": Pseudonyms(state.pseudonym_key())}
        collection = scan_folder(settings.data, pattern, **told, known=earlier, table=table, progress=reading)  # type: ignore[arg-type]
        collection = _with_deep_findings(ledger, collection, earlier, settings.deep, progress)
        with ledger.atomic():
            before = ledger.load_split(collection)
            split = _split(ledger, collection, earlier, progress)
            excluded = _excluded(settings, ledger, collection, first=before is None, progress=progress)
            collection = _with_excluded(excluded, collection, split)
            if _is_unchanged(collection, earlier):
                ledger.make_current(collection)
            else:
                ledger.save_collection(collection)
            if earlier is None:
                _register_adapters(ledger, collection, split, state, progress)
                _register_decisions(ledger, collection, state, progress)
                _offer_preset(collection, progress)
            ledger.save_setting(collection, EXCLUDED, cast(ExcludedFields, excluded.fields()))
    collection, split = leave_out(excluded, collection, split)
    counts = training_counts(collection, split)
    if collection.label_sets is None:
        return ScanResult(collection, split, measure_imbalance(counts))
    trained = collection.label_sets.only(split.paths("train", "holdout"))
    if not any(counts.values()):
        raise CollectionError(
            needed="training images with a finding",
            found=f"{len(trained.marks)} training images, none with a finding",
            next_step="name other columns: balance scan DATA --labels TABLE --labels-in-columns 'A,B,C'",
        )
    return ScanResult(collection, split, measure_imbalance(counts, len(trained.marks)), measure_findings(trained.has()))


def _offer_preset(collection: Collection, progress: Progress) -> None:
    """Name the preset of a layout that was read by its folders alone, and that a preset knows more of."""
    from balancer.collection.presets import recognised
    from balancer.collection.walk import Listing

    if collection.source is not None and collection.source.options:
        return
    paths = collection.images.index.tolist()
    preset = recognised(Listing(collection.root, paths))
    if preset is not None and preset.reads(paths):
        progress.message(
            f"This looks like {preset.title}: --preset {preset.name} also reads what is known of patients and splits."
        )


@contextmanager
def _opened(state: State, progress: Progress) -> Iterator[Ledger]:
    """The database, locked for writing; a damaged one is set aside, and a new one made."""
    from balancer.store.database import Ledger
    from balancer.workspace.recovery import set_aside_if_damaged

    with locked(state):
        damage = set_aside_if_damaged(state)
        if damage is not None:
            progress.message(
                f"The ledger is damaged ({printable(damage[1])}). It was renamed to .balance/{damage[0]}, "
                "and a new one was created."
            )
            progress.message(
                "The images on disk are kept: the same fill, or merge --from, registers the unchanged ones again "
                "and screens them. The options of balance split and of the last fill are lost: use them again."
            )
        with Ledger(state, checked=True) as ledger:
            yield ledger


def _recognise(ledger: Ledger, root: Path, progress: Progress) -> None:
    """Have a collection that was moved keep all that is known of it; say so, and where a copy begins anew."""
    from balancer.workspace.recognition import recognise

    found = recognise(ledger, root)
    if found.moved:
        known, others = found.moved[-1], found.moved[:-1]
        ledger.move_collection(known, root)
        progress.message(
            f"Recognised by its files: this collection was at {printable(str(known.root))}. Its patients, split, "
            "verdicts "
            "and decisions are kept."
        )
        for other in others:
            progress.message(
                f"Note: {printable(str(other.root))}, which is also missing, had the same files. The collection "
                "scanned last is "
                "used."
            )
    for other in () if found.moved else found.copied:
        progress.message(
            f"Note: {printable(str(other.root))} has the same files and still exists. This is another collection, "
            "with its own patients, split and verdicts."
        )


def _pattern(settings: ScanSettings, earlier: Collection | None, progress: Progress) -> str | None:
    """The expression that finds patients: the given one, else that of the last scan."""
    if settings.patient is not None:
        return settings.patient or None
    if settings.preset:
        return preset_patient(settings)
    if earlier is None or not earlier.patient_pattern:
        return None
    quoted = shlex.quote(earlier.patient_pattern)
    progress.message(f"Patients as in the last scan: --patient {quoted} (--patient '' removes this)")
    return earlier.patient_pattern


def _table(settings: ScanSettings, earlier: Collection | None, progress: Progress) -> PatientTable | TableRef | None:
    """The table of patients that is named, else the one of the last scan; of one that is gone, its reference."""
    from balancer.collection.metadata_table import parse_columns, read_table

    last = None if earlier is None else earlier.table
    named = {} if columns_are_of_labels(settings, earlier) else parse_columns(settings.columns)
    if settings.patients is not None:
        return read_table(Path(settings.patients), named) if settings.patients else None
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
        progress.message(f"{printable(str(last.path))} is missing: its data are kept (--patients '' removes them)")
        return last
    progress.message(f"Patients as in the last scan: {printable(last.options)} (--patients '' removes this)")
    return read_table(last.path, last.named)


def _with_deep_findings(
    ledger: Ledger, collection: Collection, earlier: Collection | None, deep: bool, progress: Progress
) -> Collection:
    """With what is inside the files: read now with `deep`, else what an earlier deep scan found in unchanged ones."""
    from balancer.collection.deep_scan import look_inside, remembered, without_broken
    from balancer.collection.image_stats import fresh, read_contents

    if not deep:
        faults = fresh(collection.images, ledger.load_contents(collection.root, faults=True))
        sound = without_broken(collection, faults)
        return sound if earlier is None else remembered(sound, earlier)
    decoding = progress.start("Decoding")
    known = ledger.load_contents(collection.root)
    contents = read_contents(
        collection.root, collection.images, known, decoding, lambda some: ledger.add_contents(collection, some)
    )
    if known.keys() - contents.keys():  # of files that are gone
        ledger.save_contents(collection, contents)
    return look_inside(collection, contents)


def _excluded(
    settings: ScanSettings, ledger: Ledger, collection: Collection, *, first: bool, progress: Progress
) -> Excluded:
    """The list that is named, else that of the last scan, as far as its files are still there."""
    from balancer.splits.exclusion import Excluded, read_excluded

    last = Excluded.from_fields(ledger.setting(collection, EXCLUDED))
    if settings.exclude is not None:
        return read_excluded(Path(settings.exclude), collection, last, first=first) if settings.exclude else Excluded()
    last = last.among(collection.images.index)
    if last.paths:
        progress.message(
            f"Left out as in the last scan: {many(len(last.paths), 'image')} of {printable(last.file)} "
            "(--exclude '' takes them back)"
        )
    return last


def _with_excluded(excluded: Excluded, collection: Collection, split: Split) -> Collection:
    """With the finding that says what is left out, in place of an earlier one."""
    from balancer.splits.exclusion import FINDING, about_excluded

    others = (each for each in collection.findings if each.kind != FINDING)
    return replace(collection, findings=(*others, *about_excluded(excluded, collection, split)))


def _split(ledger: Ledger, collection: Collection, earlier: Collection | None, progress: Progress) -> Split:
    """The stored split, with what came since; drawn where there is none, and stored where it changed."""
    from balancer.splits.split import SplitShares, draw_split
    from balancer.store.setting_names import SPLIT

    stored = ledger.load_split(collection)
    if stored is not None and _is_unchanged(collection, earlier):
        return stored
    kept = _kept_split(ledger, collection, earlier, stored, progress)
    shares = SplitShares(**(ledger.setting(collection, SPLIT) or {}))  # type: ignore[arg-type]
    split = draw_split(collection, 0 if stored is None else stored.seed, kept, shares)
    ledger.save_split(collection, split)
    return split


def _is_unchanged(collection: Collection, earlier: Collection | None) -> bool:
    """Whether the database holds it already; a scan that finds nothing new gives back the table that it was given."""
    if earlier is None or collection.images is not earlier.images:
        return False
    both = (collection, earlier)
    now, before = ((each.patient_pattern, each.table, each.source, set(each.findings)) for each in both)
    return now == before and collection.is_multi_label == earlier.is_multi_label


def _kept_split(
    ledger: Ledger, collection: Collection, earlier: Collection | None, split: Split | None, progress: Progress
) -> Split | None:
    """The stored split, unless it was drawn by other patients and nothing has learned from it."""
    if split is None or earlier is None or earlier.patient_source == collection.patient_source:
        return split
    trained = ledger.adapters(collection)
    if trained:
        progress.message(
            f"The split is kept, since {trained[0].name} was trained on it: "
            "it may have seen patients of the test split."
        )
        return split
    if split.origin == "file":
        progress.message("The split of your table is kept; patients in two of its splits are used for testing.")
        return split
    if collection.has_parts and (split.parts == "val").any():
        return split
    if not collection.has_parts:
        progress.message("The patients are identified in another way now: the split is created again.")
    return None


def _register_adapters(ledger: Ledger, collection: Collection, split: Split, state: State, progress: Progress) -> None:
    """Register adapters that a lost ledger knew."""
    from balancer.workspace.recovery import split_of, take_up_adapters

    for made in take_up_adapters(ledger, collection, state.adapters):
        same = split_of(made) == split.sha256
        other = (
            "" if same else "; it was trained on another split than the new one: run your balance split command again"
        )
        progress.message(f"Registered again: {printable(made.name)}, which was trained on this collection{other}")


def _register_decisions(ledger: Ledger, collection: Collection, state: State, progress: Progress) -> None:
    """Register answers of people that a lost ledger knew, and say what becomes of their verdicts."""
    from balancer.jobs import Verdict
    from balancer.store.review_log import NAME, read_decisions
    from balancer.workspace.recovery import take_up_readings

    lines = list(read_decisions(state.folder))
    taken, verdicts = take_up_readings(ledger, collection, state), list(ledger.decisions(collection))
    waiting = len({each.image for each in verdicts if isinstance(each.said, Verdict)})
    if waiting:
        progress.message(
            f"People have decided about {waiting} images. Each decision is used again where the image is unchanged."
        )
    if taken:
        progress.message(f"Registered again: {taken} answers of blinded studies.")
    if None in lines:
        progress.message(
            f"Damaged: {lines.count(None)} of {len(lines)} lines of .balance/{NAME}; their content is lost."
        )
