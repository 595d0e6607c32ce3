"""Which labels of the collection are probably wrong, as one function."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from balancer.collection.findings import Finding
from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.progress import SILENT, Phases, Progress
from balancer.workspace.judging_settings import CheckLabelsSettings
from balancer.workspace.reports import LABELS, keep_report

if TYPE_CHECKING:
    from balancer.workspace.workspace import Workspace

KIND = "suspected-label"
TABLE = "suspected-labels.csv"
_COLUMNS = ("image", "given", "suggested", "quality", "split")


@dataclass(frozen=True, slots=True)
class SuspectedLabel:
    """One image, its label, the label that classifiers prefer, the quality of its label (0 is worst), and its split.

    A label is a class; where images have several findings it is "nodule", or "no nodule".
    """

    image: str
    given: str
    suggested: str
    quality: float
    split: str


@dataclass(frozen=True, slots=True)
class LabelsResult:
    """The suspected labels, the worst first, of `checked` images, and the table of them that a user can edit.

    `agreement` is the share of labels that the classifiers prefer too. `notes` say what was not checked.
    """

    checked: int
    agreement: float
    suspected: Sequence[SuspectedLabel]
    notes: Sequence[str]
    table: Path

    def to_json(self) -> dict[str, Any]:
        """The fields for `--json`."""
        return {
            "checked": self.checked,
            "agreement": self.agreement,
            "suspected": [asdict(each) for each in self.suspected],
            "notes": list(self.notes),
            "table": self.table.name,
        }


def check_labels(
    workspace: Workspace, settings: CheckLabelsSettings = CheckLabelsSettings(), *, progress: Progress = SILENT
) -> LabelsResult:
    """List images whose labels are probably wrong: classifiers that have not seen their patients contradict them.

    Where images have several findings each of them is a question of its own, as far as it is known.

    Quick classifiers are trained in folds by patient over all images, those of the test split too, and are then thrown
    away: nothing is chosen by them, and no training of `compare` knows what they said. The list is kept with the
    collection, for the report, and as a table of which a person keeps the rows that are wrong. Stopped, the same call
    goes on with the next fold.

    Raises:
        CollectionError: fewer than two classes, or no finding, have enough patients; nothing was scanned.
        ImageError: an image cannot be decoded.
        ModelError: the device is not there.
        OutputError: the table cannot be written there.

    >>> _ = make_collection(folder / "more", {"normal": 12, "nodule": 10})
    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "more"))
    >>> check_labels(Workspace.open(folder), CheckLabelsSettings(steps=1, size=16)).checked
    22
    """
    from analysis.data.images import decode
    from analysis.data.targets import has_several
    from analysis.labels.checked import agreement, hardly_told, what_to_check
    from analysis.labels.out_of_fold import out_of_fold
    from analysis.labels.suspects import suspected_marks, suspects
    from analysis.vision.classifier import ClassifierSettings
    from balancer.devices import choose_device

    phases = Phases(progress)
    if settings.out is not None:
        workspace.require_outside(settings.out, f"choose another: balance labels --out {TABLE}")
        _require_free(settings.out)
    with workspace.session(write=True, several=True) as session:
        checked = what_to_check(session)
        root, images, names = session.collection.root, checked.images, checked.names
        greys = decode([root / path for path in images.index], settings.size, partial(phases, "Decoding"))
        how = ClassifierSettings(
            steps=settings.steps, sampling="balanced", seed=settings.seed, device=choose_device(settings.device)
        )
        said = out_of_fold(
            *(greys, checked.targets, checked.groups, names, how, settings.folds, session.state.cache),
            partial(phases, "Training"),
        )
        parts = session.split.parts.reindex(images.index).tolist()
        search = suspected_marks if has_several(checked.targets) else suspects
        found = [
            SuspectedLabel(
                *(str(images.index[each.place]), each.given, each.suggested),
                *(round(each.quality, 4), parts[each.place]),
            )
            for each in search(checked.targets, said, names)
        ]
        table = settings.out or session.state.reports / TABLE
        notes = [*checked.notes, *hardly_told(checked.targets, said, names)]
        result = LabelsResult(len(images), agreement(checked.targets, said), found, notes, table)
        keep_report(session.state, LABELS, result.to_json(), None)
        write_whole(table, _as_csv(found))
        session.ledger.replace_findings(session.collection, KIND, _finding(found))
    return result


def _finding(found: Sequence[SuspectedLabel]) -> list[Finding]:
    if not found:
        return []
    message = "classifiers that have not seen the patient prefer another label; the worst first"
    fix = (
        f"look at them (balance report), copy the rows of .balance/reports/{TABLE} whose label is wrong into a file of "
        "yours, then: balance scan DATA --exclude FILE; or correct the labels at their source"
    )
    paths = dict.fromkeys(PurePosixPath(each.image) for each in found)  # one may have several wrong findings
    return [Finding(KIND, tuple(paths), message, fix)]


def _as_csv(found: Sequence[SuspectedLabel]) -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((each.image, each.given, each.suggested, f"{each.quality:.4f}", each.split) for each in found)
    return held.getvalue().encode()


def _require_free(place: Path) -> None:
    """Never write over a list that somebody may have edited.

    Raises:
        OutputError: there is a file already, or no folder for it.
    """
    if place.exists() or not place.absolute().parent.is_dir():
        raise OutputError(
            needed="a new file in a folder that exists, for --out",
            found=f"{place.name}: {'it exists' if place.exists() else 'no such folder'}",
            next_step="choose another name, or remove the file: balance labels --out FILE.csv",
        )
