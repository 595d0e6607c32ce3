"""Everything the report shows, gathered from the ledger, the balanced folder and what the commands kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.report.image_sheets import tiles_of
from analysis.report.json_reading import mapping, read_json, text, whole
from analysis.report.metrics_json import Results, read_results, without_names
from analysis.report.sections.copies import Copies, measure_copies
from analysis.report.sections.labels import Suspected, read_suspected
from analysis.report.sections.screening import Screened, count_verdicts
from balancer.collection.crosstabs import Crosstab, crosstabs
from balancer.collection.scan import Collection
from balancer.dataset.metadata_files import MANIFEST, Manifest, Row, read_rows, require_manifest
from balancer.dataset.provenance import provenance_rows
from balancer.files import sha256_if_there
from balancer.filling.verdicts import LabelRecords, is_accepted, load_records
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.state_dir import State
from balancer.workspace.reports import LABELS, METRICS, OF_FOLDER, PROBE, QUALITY

PARTS = ("train", "holdout", "val", "test")
MADE_WITH = (
    *("generator", "model", "model_revision", "model_sha256", "adapter", "adapter_sha256", "adapter_scale"),
    *("scheduler", "steps", "guidance_scale", "width", "height", "dtype", "mode", "strength"),
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
    """What is known. `counts` has (images, patients) by part and class; `stored` the results of probe and quality.

    `warnings` say what of it may not fit together. With `private` no image of a patient and no name of a file is in it.
    `typed` are the commands that made the synthetic images here, as far as they are on record.
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
    probe: Mapping[str, Any]
    quality: Mapping[str, Any]
    results: Results | None
    warnings: Sequence[str]
    private: bool
    version: str
    typed: Sequence[str] = ()
    suspected: Suspected | None = None

    @property
    def training(self) -> dict[str, int]:
        """Real training images of each class, those of the holdout part included."""
        return {label: sum(self.counts[part].get(label, (0, 0))[0] for part in PARTS[:2]) for label in self.labels}


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

    known = load_records(ledger, collection)
    manifest = None if folder is None else require_manifest(folder)
    stored, warnings = _stored(state, folder)
    results = read_results(stored.pop(METRICS))
    results = without_names(results) if private and results is not None else results
    warnings += [*_foreign_folder(manifest, split), *stale(results, collection.labels, split.sha256, fold_order)]
    return Facts(
        name=collection.root.resolve().name,
        labels=collection.labels,
        counts=_counts(collection, split),
        attributes=crosstabs(collection.images),
        findings=[(f.kind, f.message, f.fix, [] if private else list(map(str, f.paths))) for f in collection.findings],
        patients=collection.patient_source or "",
        table="" if collection.table is None else collection.table.path.name,
        split=split,
        learned=_statements(ledger, collection),
        balanced=None if folder is None or manifest is None else _balanced(folder, manifest, private=private),
        screened=count_verdicts(known),
        copies=_copies(state, known),
        probe=stored[PROBE],
        quality=stored[QUALITY],
        results=results,
        warnings=warnings,
        private=private,
        version=__version__,
        typed=typed,
        suspected=read_suspected(stored[LABELS], collection, private=private),
    )


def stale(results: Results | None, labels: Sequence[str], split_sha256: str, fold_order: str = "") -> list[str]:
    """Why a comparison may be one of another collection or split, of classes that are gone, or of other images."""
    if results is None:
        return []
    again = f"compare again: {_same_again(results.settings)}"
    others = sorted((set(results.test) | set(results.train)) - set(labels))
    if others:
        names = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        return [
            f"The comparison is of another collection: it has {names}, which this collection does not have; {again}."
        ]
    measured = text(results.settings.get("split_sha256"))
    if measured and measured != split_sha256:
        return [f"The comparison is out of date: it used another split than the current one; {again}."]
    made = text(results.settings.get("repeats"))
    if results.folds and made and fold_order and made != fold_order:  # of redraws the balanced folder tells
        how = "its folds used another adapt or fill than the last ones"
        return [f"The comparison is out of date: {how}; {again}."]
    return []


def _same_again(settings: Mapping[str, Any]) -> str:
    """The command that made a comparison, without what is of no account to its kind."""
    folds, redraws = whole(settings.get("folds")) or 0, whole(settings.get("redraws")) or 0
    return "balance compare" + (f" --cross-fit {folds}" if folds else f" --redraw {redraws}" if redraws > 1 else "")


def _stored(state: State, folder: Path | None) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The results that commands kept, and what is wrong with them."""
    found, warnings = {}, []
    current = sha256_if_there(folder / MANIFEST) if folder else None
    commands = {METRICS: "compare", PROBE: "probe", QUALITY: "quality", LABELS: "check-labels"}
    for name, command in commands.items():
        found[name], fault = read_json(state.reports / name)
        if fault:
            warnings.append(f"{name} is damaged ({fault}) and was left out; run again: balance {command}.")
        measured = text(found[name].get(OF_FOLDER))
        if measured and measured != current:
            what = {METRICS: "comparison"}.get(name, command)
            again = _same_again(mapping(found[name].get("settings"))) if name == METRICS else f"balance {command}"
            warnings.append(f"The {what} is out of date: the balanced folder has changed; run: {again}.")
    return found, warnings


def _foreign_folder(manifest: Manifest | None, split: Split) -> list[str]:
    if manifest is None:
        return []
    said = manifest.facts.get("split", "")
    if said and split.sha256 not in said and split.origin != "none":
        return ["The balanced folder was made with another split than the current one; run: balance fill."]
    return ["unmerge has removed a part of the balanced folder; run: balance fill."] if manifest.unmerging else []


def _counts(collection: Collection, split: Split) -> dict[str, dict[str, tuple[int, int]]]:
    labels = collection.labels
    table = collection.images[["label", "patient"]].assign(part=split.parts.reindex(collection.images.index))
    by_part = table.groupby(["part", "label"])["patient"]
    images, patients = by_part.size().to_dict(), by_part.nunique().to_dict()
    return {
        part: {label: (images[part, label], patients[part, label]) for label in labels if (part, label) in images}
        for part in PARTS
    }


def _statements(ledger: Ledger, collection: Collection) -> list[str]:
    """What the newest model that was trained here says of itself."""
    folder = next((each for each in ledger.adapters(collection) if each.is_dir()), None)
    card = {} if folder is None else read_json(folder / "card.json")[0]
    return [said] if (said := text(card.get("statement"))) else []


def _balanced(folder: Path, manifest: Manifest, *, private: bool) -> ReportFolder:
    rows = list(read_rows(folder, manifest).values())
    training = [row for row in rows if not manifest.training or row.path.startswith(f"{manifest.training}/")]
    sheets = {} if private else _sheets(folder, manifest.labels, training)
    counts = manifest.counts.get(manifest.training, {})
    return ReportFolder(
        {label: counts.get(label, (0, 0)) for label in manifest.labels}, _made(folder), manifest.facts, sheets
    )


def _sheets(folder: Path, labels: Sequence[str], rows: Sequence[Row]) -> dict[str, tuple[Sequence[str], Sequence[str]]]:
    found: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    for label in labels:
        own = sorted((row.is_synthetic, row.path) for row in rows if row.label == label)
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
