"""Everything the report shows, gathered from the ledger, the balanced folder and what the commands kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pandas as pd

from analysis.report.by_finding import counts_by_finding, imbalance_of, one_row_a_finding, records_by_finding
from analysis.report.copy_distances import Copies, measure_copies
from analysis.report.image_sheets import first_tiles, tiles_of
from analysis.report.stored_json import read_stored
from analysis.report.stored_results import (
    Design,
    ModelCard,
    Results,
    StoredFill,
    StoredLabels,
    StoredProbe,
    StoredQuality,
)
from analysis.report.training_curves import Training, trainings_of
from analysis.report.verdict_counts import Screened, count_verdicts
from balancer.collection.crosstabs import Crosstab, crosstabs
from balancer.collection.findings import KINDS, Finding
from balancer.collection.imbalance import FindingImbalance
from balancer.collection.label_sets import DENIED, GIVEN, findings_in, without
from balancer.collection.scan import Collection
from balancer.dataset.metadata_files import MANIFEST, Manifest, Row, read_rows, require_manifest
from balancer.dataset.provenance import provenance_rows
from balancer.files import sha256_if_there
from balancer.filling.acceptance import is_accepted
from balancer.filling.verdicts import LabelRecords, load_records
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.state_dir import State
from balancer.workspace.reports import FILL, LABELS, METRICS, PROBE, QUALITY

PARTS = ("train", "holdout", "val", "test")
MADE_WITH = (
    *("generator", "model", "model_revision", "model_sha256", "adapter", "adapter_sha256", "adapter_scale"),
    *("scheduler", "steps", "guidance_scale", "guidance_interval", "width", "height", "dtype", "mode", "strength"),
)
Made = Mapping[str, str]
Counts = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """A balanced folder: (real, synthetic) images of its training part by class, how its synthetic images were made,
    the manifest's `facts`, and small images of both kinds by class.
    """

    counts: Counts
    made: Sequence[tuple[Made, int]]
    facts: Mapping[str, str]
    sheets: Mapping[str, tuple[Sequence[str], Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known. `counts` has (images, patients) by part and class.

    `warnings` say what of it may not fit together. With `private` no image of a patient and no name of a file is in it.
    `typed` are the commands that made the synthetic images here, as far as they are on record. `imbalance` is of
    findings, where an image may have several: then it counts for each of them.
    """

    name: str
    labels: Sequence[str]
    counts: Mapping[str, Counts]
    attributes: Mapping[str, Crosstab]
    findings: Sequence[tuple[str, str, str, Sequence[str]]]
    patients: str
    table: str
    split: Split
    learned: Sequence[str]
    balanced: ReportFolder | None
    screened: Screened
    copies: Copies | None
    probe: StoredProbe | None
    quality: StoredQuality | None
    results: Results | None
    warnings: Sequence[str]
    private: bool
    version: str
    typed: Sequence[str] = ()
    suspected: StoredLabels | None = None
    suspected_tiles: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    imbalance: FindingImbalance | None = None
    last_fill: StoredFill | None = None
    trainings: Sequence[Training] = ()

    @property
    def what(self) -> str:
        """What images are counted by: a class, or a finding."""
        return "class" if self.imbalance is None else "finding"

    @property
    def training(self) -> dict[str, int]:
        """Real training images of each class, those of the holdout part included."""
        return {label: sum(self.counts[part].get(label, (0, 0))[0] for part in PARTS[:2]) for label in self.labels}

    @property
    def added(self) -> dict[str, int]:
        """Synthetic images of each class in the balanced folder."""
        counts = {} if self.balanced is None else self.balanced.counts
        return {label: counts.get(label, (0, 0))[1] for label in self.labels}

    @property
    def stamps(self) -> list[str]:
        """What must be said wherever the verdict is, the worst first."""
        found = () if self.results is None else self.results.stamps
        return sorted(dict.fromkeys(found), key=lambda stamp: "INVALID" not in stamp)


def collect(
    collection: Collection,
    split: Split,
    ledger: Ledger,
    state: State,
    folder: Path | None,
    *,
    private: bool = False,
    fold_order: str = "",
    typed: Sequence[str] = (),
) -> Facts:
    """Gather the facts of a scanned collection and of its balanced folder, `None` where there is none yet.

    `fold_order` is a key of how folds would be made now, `typed` the commands that made the images, where known.

    Raises:
        OutputError: the folder is not one that `balance fill` made, or its tables are damaged.
    """
    from balancer import __version__

    known = records_by_finding(load_records(ledger, collection), collection)
    image_rows = one_row_a_finding(collection)
    manifest = None if folder is None else require_manifest(folder)
    current, warnings = sha256_if_there(folder / MANIFEST) if folder else None, list[str]()
    results = _kept(state, METRICS, Results, current, warnings)
    results = results.without_names() if private and results is not None else results
    suspected = _still_suspected(_kept(state, LABELS, StoredLabels, current, warnings), collection)
    warnings += [*_foreign_folder(manifest, split), *stale(results, collection.labels, split.sha256, fold_order)]
    trainings, damaged = trainings_of(ledger.adapters(collection), state, private=private)
    warnings += damaged
    return Facts(
        name=collection.root.resolve().name,
        labels=collection.labels,
        counts=_counts(image_rows, collection.labels, split),
        attributes=crosstabs(image_rows),
        findings=[_told(each, private=private) for each in collection.findings],
        patients=collection.patient_source or "",
        table="" if collection.table is None else collection.table.path.name,
        split=split,
        learned=_statements(ledger, collection),
        balanced=None
        if folder is None or manifest is None
        else _balanced(folder, manifest, collection, private=private),
        screened=count_verdicts(known),
        copies=_copies(state, known),
        probe=_kept(state, PROBE, StoredProbe, current, warnings),
        quality=_kept(state, QUALITY, StoredQuality, current, warnings),
        results=results,
        warnings=warnings,
        private=private,
        version=__version__,
        typed=typed,
        suspected=suspected,
        suspected_tiles={} if private or suspected is None else _suspected_tiles(suspected, collection),
        imbalance=imbalance_of(collection, split),
        last_fill=_kept(state, FILL, StoredFill, current, warnings),
        trainings=trainings,
    )


def _told(found: Finding, *, private: bool) -> tuple[str, str, str, Sequence[str]]:
    """A finding; in private without what may name a patient or a file."""
    if private:
        return found.kind, KINDS.get(found.kind, ""), found.fix, []
    return found.kind, found.message, found.fix, list(map(str, found.paths))


def stale(results: Results | None, labels: Sequence[str], split_sha256: str, fold_order: str = "") -> list[str]:
    """Why a comparison may be one of another collection or split, of classes that are gone, or of other images."""
    if results is None:
        return []
    again = f"compare again: {_same_again(results.design)}"
    others = sorted((set(results.test) | set(results.train)) - set(labels))
    if others:
        names = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        return [
            f"The comparison is of another collection: it has {names}, which this collection does not have; {again}."
        ]
    if results.design.split_sha256 not in ("", split_sha256):
        return [f"The comparison is out of date: it used another split than the current one; {again}."]
    made = results.design.repeats
    if results.design.folds and made and fold_order and made != fold_order:  # of redraws the balanced folder tells
        how = "its folds used another adapt or fill than the last ones"
        return [f"The comparison is out of date: {how}; {again}."]
    return []


def _same_again(design: Design) -> str:
    """The command that made a comparison, without what is of no account to its kind."""
    folds, redraws = design.folds, design.redraws
    return "balance compare" + (f" --cross-fit {folds}" if folds else f" --redraw {redraws}" if redraws > 1 else "")


Kept = TypeVar("Kept", Results, StoredFill, StoredProbe, StoredQuality, StoredLabels)


def _kept(state: State, name: str, kind: type[Kept], current: str | None, warnings: list[str]) -> Kept | None:
    """The result that a command kept, with a warning where it is damaged, or of another balanced folder."""
    command = {METRICS: "compare", PROBE: "probe", QUALITY: "quality", LABELS: "labels", FILL: "fill"}[name]
    found, fault = read_stored(state.reports / name, kind)
    if fault:
        warnings.append(f"{name} is damaged ({fault}) and was left out; run again: balance {command}.")
    if found is not None and found.balanced_sha256 not in ("", current):
        again = _same_again(found.design) if isinstance(found, Results) else f"balance {command}"
        what = "comparison" if isinstance(found, Results) else command
        warnings.append(f"The {what} is out of date: the balanced folder has changed; run: {again}.")
    return found


def _still_suspected(found: StoredLabels | None, collection: Collection) -> StoredLabels | None:
    """Without images that are gone, left out, or have another label by now."""
    if found is None:
        return None
    if collection.label_sets is None:
        now = {(str(path), str(label)) for path, label in collection.images["label"].items()}
    else:
        marks = collection.label_sets.only(collection.images.index).marks
        now = {
            (str(path), label)
            for name in marks
            for label, mark in ((without(str(name)), DENIED), (str(name), GIVEN))
            for path in marks.index[marks[name] == mark]
        }
    return replace(found, suspected=tuple(each for each in found.suspected if (each.image, each.given) in now))


def _suspected_tiles(found: StoredLabels, collection: Collection) -> dict[tuple[str, str], Sequence[str]]:
    """The worst images of each pair of given and suggested label."""
    by_pair: dict[tuple[str, str], list[Path]] = {}
    for each in found.suspected:
        by_pair.setdefault((each.given, each.suggested), []).append(collection.root / each.image)
    return {pair: first_tiles(paths) for pair, paths in by_pair.items()}


def _foreign_folder(manifest: Manifest | None, split: Split) -> list[str]:
    if manifest is None:
        return []
    said = manifest.facts.get("split", "")
    if said and split.sha256 not in said and split.origin != "none":
        return ["The balanced folder was made with another split than the current one; run: balance fill."]
    return ["unmerge has removed a part of the balanced folder; run: balance fill."] if manifest.unmerging else []


def _counts(rows: pd.DataFrame, labels: Sequence[str], split: Split) -> dict[str, dict[str, tuple[int, int]]]:
    parts = split.parts.reindex(rows.index.unique())
    table = rows[["label", "patient"]].assign(part=parts.loc[rows.index].to_numpy())
    by_part = table.groupby(["part", "label"])["patient"]
    images, patients = by_part.size().to_dict(), by_part.nunique().to_dict()
    return {
        part: {label: (images[part, label], patients[part, label]) for label in labels if (part, label) in images}
        for part in PARTS
    }


def _statements(ledger: Ledger, collection: Collection) -> list[str]:
    """What the newest model that was trained here says of itself."""
    folder = next((each for each in ledger.adapters(collection) if each.is_dir()), None)
    card = None if folder is None else read_stored(folder / "card.json", ModelCard)[0]
    return [card.statement] if card and card.statement else []


def _balanced(folder: Path, manifest: Manifest, collection: Collection, *, private: bool) -> ReportFolder:
    rows = list(read_rows(folder, manifest).values())
    training = [row for row in rows if not manifest.training or row.path.startswith(f"{manifest.training}/")]
    several, labels = collection.is_multi_label, tuple(manifest.labels)
    labels = tuple(collection.labels) if several else labels
    sheets = {} if private else _sheets(folder, labels, training, several=several)
    counts = manifest.counts.get(manifest.training, {})
    shown = {label: counts.get(label, (0, 0)) for label in labels}
    shown = counts_by_finding(counts, labels) if several else shown
    return ReportFolder(shown, _made(folder), manifest.facts, sheets)


def _sheets(
    folder: Path, labels: Sequence[str], rows: Sequence[Row], *, several: bool
) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    found: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    for label in labels:
        own = sorted(
            (row.is_synthetic, row.path)
            for row in rows
            if label in (findings_in(row.label) if several else (row.label,))
        )
        sides = ([folder / path for made, path in own if made is side] for side in (False, True))
        real, synthetic = (tiles_of(paths, len(labels)) if paths else [] for paths in sides)
        found[label] = (real, synthetic)
    return found


def _made(folder: Path) -> list[tuple[Made, int]]:
    """The settings that synthetic images were made with, and of how many each."""
    counts = Counter(tuple(row.get(name, "") for name in MADE_WITH) for row in provenance_rows(folder))
    return [(dict(zip(MADE_WITH, values, strict=True)), count) for values, count in counts.most_common()]


def _copies(state: State, known: Mapping[str, LabelRecords]) -> Copies | None:
    verdicts = {label: [verdict for _, verdict in each.judged.values()] for label, each in known.items()}
    usable = [id(verdict) for some in verdicts.values() for verdict in some if is_accepted(verdict)]
    return measure_copies(state.cache, verdicts, usable)
