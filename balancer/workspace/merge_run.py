"""The balanced folder again, from what is accepted by now, with images of another generator; and out of it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.collection.label_sets import findings_in
from balancer.collection.scan import with_hashes
from balancer.dataset import merge as folder
from balancer.dataset.layout import to_convert
from balancer.errors import PlanError, SettingsError
from balancer.filling.acceptance import is_accepted
from balancer.filling.external_import import ImportResult, format_key
from balancer.filling.recipe import resolve_profile
from balancer.filling.verdicts import Judged, LabelRecords, ScreenSource, load_records
from balancer.progress import SILENT, Progress
from balancer.store.state_dir import locked_near
from balancer.text import printable
from balancer.workspace.dataset_facts import dataset_facts
from balancer.workspace.external_run import import_external
from balancer.workspace.last_fill import FillManifest
from balancer.workspace.output_forms import output_forms
from balancer.workspace.settings import MergeSettings, UnmergeSettings
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.dataset.merge import MergeReport

Records = Mapping[str, LabelRecords]


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The balanced folder, beside the real training images of each class (`counts`).

    `short` has the classes that lost images since the last fill: how many they lack, of how many. `images` are those
    of another generator that were taken in now. Where images have `several` findings, counts are of these.
    """

    merged: MergeReport
    counts: Mapping[str, int]
    short: Mapping[str, tuple[int, int]]
    images: Sequence[ImportResult] = ()
    several: bool = False

    def to_json(self) -> dict[str, Any]:
        """The balanced folder in figures, for programs."""
        return {
            "folder": str(self.merged.folder),
            "dicom": None if self.merged.dicom is None else str(self.merged.dicom),
            "rebuilt": self.merged.rebuilt,
            "classes": {
                label: {"real": count, "synthetic": synthetic_of(label, self.merged, several=self.several)}
                for label, count in self.counts.items()
            },
            "short": {label: missing for label, (missing, _) in self.short.items()},
            "images": [each.to_json() for each in self.images],
        }


@dataclass(frozen=True, slots=True)
class UnmergeResult:
    """A balanced folder that has its originals alone, and how many synthetic images were taken out of it."""

    folder: Path
    removed: int

    def to_json(self) -> dict[str, Any]:
        """The folder and the number of removed images as JSON-compatible fields."""
        return {"folder": str(self.folder), "removed": self.removed}


def synthetic_of(name: str, merged: MergeReport, *, several: bool) -> int:
    """How many synthetic images a class, or with `several` a finding, has in a balanced folder."""
    if not several:
        return merged.synthetic[name]
    return sum(number for label, number in merged.synthetic.items() if name in findings_in(label))


def merge(
    workspace: Workspace,
    settings: MergeSettings = MergeSettings(),
    *,
    screen: ScreenSource | None = None,
    progress: Progress = SILENT,
) -> MergeResult:
    """Merge again what is accepted by now; with `candidates`, images of another generator that `screen` lets in too.

    Nothing is generated. The last fill's images that are still accepted and all accepted external images, whichever
    folder they came from, lie beside copies of the originals then.

    Raises:
        PlanError: there is nothing to merge.
        SettingsError: `candidates` without a `screen`.
        ScreenError: the candidates cannot be screened, and the user has not said that they need not be.
        CollectionError: the folder of candidates cannot be used, or the collection changed since it was scanned.
        OutputError: the balanced folder cannot be written.

    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> external = make_collection(folder / "external", {"nodule": 2}, seed=1)
    >>> merge(Workspace.open(folder), MergeSettings(external), screen=NoScreen("example")).merged.synthetic
    {'nodule': 2, 'normal': 0}
    """
    from balancer.splits.split import training_counts

    if settings.candidates is not None and screen is None:
        raise SettingsError(
            needed="a screen for images of another generator",
            found="screen=None",
            next_step="screen=analysis.fit_screen(workspace), or NoScreen(reason); see balance merge --help",
        )
    with workspace.session(write=True, several=True) as session:
        last = FillManifest.load(session.ledger, session.collection)
        flat = last is not None and last.flat and not session.collection.has_parts
        session = session.without_holdout() if flat else session
        usual = folder.default_out(session.collection.root)
        place = settings.out or (usual if last is None else session.state.folder.parent / last.place)
        format = settings.format or (None if last is None else last.form)
        for each, _ in output_forms(session.collection, place, format):
            folder.check_out(each, session.collection.root, session.state.folder)
        records: Records = load_records(session.ledger, session.collection)
        images: Sequence[ImportResult] = ()
        if settings.candidates is not None and screen is not None:
            taken = import_external(session, settings.candidates, place, screen, records, progress)
            images, records = taken.images, taken.records
        elif last is None and not any(each.external for each in records.values()):
            raise PlanError(
                needed="something to merge",
                found="no fill yet, and no external images",
                next_step="balance fill --target 500, or: balance merge --from FOLDER",
            )
        merged = merge_accepted(session, last, records, place, progress, format)
        say_left_out(session, records, progress)
        counts, several = training_counts(session.collection, session.split), session.collection.is_multi_label
        return MergeResult(merged, counts, {} if last is None else last.short(records), images, several)


def unmerge(workspace: Workspace, settings: UnmergeSettings) -> UnmergeResult:
    """Take every synthetic image and record out of a balanced folder: the copied originals alone remain.

    Raises:
        OutputError: the folder is not ours, or its tables are not as they were written.
        StateError: another command is using the folder.
    """
    with locked_near(workspace.home, settings.folder.resolve()):
        return UnmergeResult(settings.folder, folder.unmerge(settings.folder))


def merge_accepted(
    session: Session,
    last: FillManifest | None,
    records: Records,
    place: Path,
    progress: Progress,
    format: str | None = None,
) -> MergeReport:
    """Merge the last fill's images and the external ones, as far as they are accepted now, in each form asked for."""
    of_fill = [] if last is None else [each for judged in last.accepted(records).values() for each in judged]
    judged = [*of_fill, *(each for some in external_images(session, records).values() for each in some)]
    facts = dataset_facts(session, last.run if last else {}, last.stamps if last else (), judged)
    if told := facts.get("unknown after an edit"):
        progress.message(f"Unknown after an edit, neither 1 nor 0 in the tables: {printable(told)}.")
    forms = output_forms(session.collection, place, format)
    collection = with_hashes(session.collection, to_convert(session.collection.images, forms[-1][1]))
    session.ledger.save_hashes(collection)
    reports = [
        folder.merge(
            collection, session.split, judged, each, facts=facts, form=form, progress=progress.start("Merging")
        )
        for each, form in forms
    ]
    return replace(reports[0], dicom=reports[1].folder if reports[1:] else None)


def external_images(session: Session, records: Records) -> dict[str, list[Judged]]:
    """Accepted images of other generators by class, as far as they are in the file format of the collection now."""
    if not any(each.external_accepted for each in records.values()):
        return {}
    form = format_key(resolve_profile(session.collection, session.split, session.ledger, remember=False))
    found = {
        label: [each for each in some.external_accepted if each[0].origin and each[0].origin.form == form]
        for label, some in records.items()
    }
    return {label: judged for label, judged in found.items() if judged}


def say_left_out(session: Session, records: Records, progress: Progress) -> None:
    """Say which external images are not merged though nobody rejected them."""
    judged = [each for some in records.values() for each in some.external]
    undecided = sum(verdict.decision != "reject" and not is_accepted(verdict) for _, verdict in judged)
    if undecided:
        progress.message(f"Left out: {undecided} external images without a decision: balance review, or merge --from")
    usable = sum(map(len, external_images(session, records).values()))
    outdated = sum(is_accepted(verdict) for _, verdict in judged) - usable
    if outdated:
        progress.message(f"Left out: {outdated} external images, in a file format that differs from the collection.")
        progress.message("          To convert them: balance merge --from FOLDER")


def say_external(session: Session, records: Records, progress: Progress) -> dict[str, int]:
    """Say how many external images are merged beside a fill's, by class; these numbers."""
    counts = {label: len(judged) for label, judged in external_images(session, records).items()}
    for label, count in counts.items():
        progress.message(f"{printable(label)} also gets {count} accepted external images, in addition to the target.")
    say_left_out(session, records, progress)
    return counts
