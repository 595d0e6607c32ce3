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
from balancer.errors import CollectionError, OutputError
from balancer.files import write_whole
from balancer.progress import SILENT, Phases, Progress
from balancer.text import printable
from balancer.workspace.judging_settings import CheckLabelsSettings
from balancer.workspace.reports import LABELS, keep_report

if TYPE_CHECKING:
    import pandas as pd

    from balancer.workspace.workspace import Session, Workspace

KIND = "suspected-label"
TABLE = "suspected-labels.csv"
_COLUMNS = ("image", "given", "suggested", "quality", "split")


@dataclass(frozen=True, slots=True)
class SuspectedLabel:
    """One image, its class, the class that classifiers prefer, the quality of its label (0 is worst), and its split."""

    image: str
    given: str
    suggested: str
    quality: float
    split: str


@dataclass(frozen=True, slots=True)
class LabelsResult:
    """The suspected labels, the worst first, of `checked` images, and the table of them that a user can edit.

    `agreement` is the share of images whose class the classifiers prefer too. `notes` say what was not checked.
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

    Quick classifiers are trained in folds by patient over all images, those of the test split too, and are then thrown
    away: nothing is chosen by them, and no training of `compare` knows what they said. The list is kept with the
    collection, for the report, and as a table of which a person keeps the rows that are wrong. Stopped, the same call
    goes on with the next fold.

    Raises:
        CollectionError: fewer than two classes have enough patients; nothing was scanned.
        ImageError: an image cannot be decoded.
        ModelError: the device is not there.
        OutputError: the table cannot be written there.

    >>> _ = make_collection(folder / "more", {"normal": 12, "nodule": 10})
    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "more"))
    >>> check_labels(Workspace.open(folder), CheckLabelsSettings(steps=1, size=16)).checked
    22
    """
    import numpy as np

    from analysis.data.images import decode
    from analysis.labels.out_of_fold import out_of_fold
    from analysis.labels.suspects import suspects
    from analysis.vision.classifier import ClassifierSettings
    from balancer.devices import choose_device

    phases = Phases(progress)
    if settings.out is not None:
        workspace.require_outside(settings.out, f"choose another: balance labels --out {TABLE}")
        _require_free(settings.out)
    with workspace.session(write=True) as session:
        images, groups, notes = _checked(session)
        root, labels = session.collection.root, images["label"]
        classes = sorted(labels.unique())
        greys = decode([root / path for path in images.index], settings.size, partial(phases, "Decoding"))
        targets = np.array([classes.index(label) for label in labels], np.int64)
        how = ClassifierSettings(
            steps=settings.steps, sampling="balanced", seed=settings.seed, device=choose_device(settings.device)
        )
        said = out_of_fold(
            *(greys, targets, groups, classes, how, settings.folds, session.state.cache), partial(phases, "Training")
        )
        parts = session.split.parts.reindex(images.index).tolist()
        found = [
            SuspectedLabel(
                *(str(images.index[each.place]), classes[targets[each.place]], each.suggested),
                *(round(each.quality, 4), parts[each.place]),
            )
            for each in suspects(targets, said, classes)
        ]
        table = settings.out or session.state.reports / TABLE
        agreement = float((said.argmax(axis=1) == targets).mean())
        result = LabelsResult(len(images), agreement, found, notes, table)
        keep_report(session.state, LABELS, result.to_json(), None)
        write_whole(table, _as_csv(found))
        session.ledger.replace_findings(session.collection, KIND, _finding(found))
    return result


def _checked(session: Session) -> tuple[pd.DataFrame, Any, list[str]]:
    """The images that are checked, their patients as numbers, and which classes have too few of them.

    Raises:
        CollectionError: fewer than two classes have enough.
    """
    import pandas as pd

    from analysis.data.minimums import CHECKED_PATIENTS
    from balancer.splits.groups import stay_together

    images, names = session.collection.images, stay_together(session.collection)
    patients = {str(label): int(count) for label, count in names.groupby(images["label"]).nunique().items()}
    few = {label: count for label, count in patients.items() if count < CHECKED_PATIENTS}
    if len(patients) - len(few) < 2:
        raise CollectionError(
            needed=f"two classes of at least {CHECKED_PATIENTS} patients, to check labels",
            found=", ".join(f"{printable(label)} ({count})" for label, count in sorted(patients.items())),
            next_step="look at all images of these classes; leave wrong ones out: balance scan DATA --exclude FILE",
        )
    notes = [
        f"not checked: {printable(label)}, with {count} of {CHECKED_PATIENTS} patients"
        for label, count in sorted(few.items())
    ]
    if images["patient"].isna().any():
        notes.append("patients are unknown: a classifier may have seen another image of the same patient")
    kept = ~images["label"].isin(list(few))
    return images[kept], pd.factorize(names[kept])[0], notes


def _finding(found: Sequence[SuspectedLabel]) -> list[Finding]:
    if not found:
        return []
    message = "classifiers that have not seen the patient prefer another class; the worst first"
    fix = (
        f"look at them (balance report), copy the rows of .balance/reports/{TABLE} whose label is wrong into a file of "
        "yours, then: balance scan DATA --exclude FILE; or correct the labels at their source"
    )
    return [Finding(KIND, tuple(PurePosixPath(each.image) for each in found), message, fix)]


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
