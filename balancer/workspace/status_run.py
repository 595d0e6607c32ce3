"""Where the work stands: what is remembered here, what was done, and the command that comes next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.workspace.last_fill import FillManifest, portable
from balancer.workspace.reports import METRICS, OF_FOLDER
from balancer.workspace.workspace import Session, Workspace

if TYPE_CHECKING:
    from balancer.store.state_dir import State


_UNFINISHED = (".training", ".partial", ".pretrained")  # what a training that was stopped leaves beside its result


@dataclass(frozen=True, slots=True)
class StatusResult:
    """What is remembered of the collection that was scanned last; all is empty where none was.

    `training` are real training images by class, or by finding where images have several. `findings` are the faults
    that the scan found, by kind. `models` are what `adapt` made. `generated` counts synthetic images by decision:
    accept, review, reject, unscreened. `balanced` is the balanced folder, relative to the working folder. `verdict` is
    the sentence of the last comparison, `verdict_is_old` whether the balanced folder changed since.
    """

    next_step: str
    collection: str = ""
    training: Mapping[str, int] | None = None
    findings: Mapping[str, int] | None = None
    split: str = ""
    models: tuple[str, ...] = ()
    generated: Mapping[str, int] | None = None
    balanced: str = ""
    verdict: str = ""
    verdict_is_old: bool = False

    def to_json(self) -> dict[str, Any]:
        """All fields, by name."""
        return asdict(self)


def status(workspace: Workspace) -> StatusResult:
    """What is remembered here, what was done, and what comes next. Nothing is written.

    Raises:
        CollectionError: the collection is gone.
        StateError: the state folder is damaged, or of a newer version.

    >>> status(Workspace.open(folder)).next_step
    'balance scan FOLDER'
    >>> _ = scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    >>> status(Workspace.open(folder)).training
    {'nodule': 3, 'normal': 6}
    """
    if workspace.is_new:
        return StatusResult("balance scan FOLDER")
    from balancer.splits.split import training_counts

    with workspace.session(write=False, several=True) as session:
        folder, metrics = session.balanced_folder(), _kept(session.state)
        generated = _generated(session)
        models = tuple(sorted(each.name for each in _folders(session.state.adapters) if each.suffix not in _UNFINISHED))
        return StatusResult(
            _next_step(generated, folder, metrics),
            session.collection.root.name,
            training_counts(session.collection, session.split),
            dict(Counter(each.kind for each in session.collection.findings)),
            session.split.origin,
            models,
            generated,
            "" if folder is None else portable(folder, session.state),
            str(metrics.get("sentence", "")),
            _is_old(metrics, folder),
        )


def _generated(session: Session) -> dict[str, int]:
    last = FillManifest.load(session.ledger, session.collection)
    labels = dict.fromkeys((*session.collection.classes, *(() if last is None else last.jobs)))
    found: Counter[str] = Counter()
    for label in labels:
        found.update(session.ledger.decision_counts(session.collection, label))
    return dict(found)


def _next_step(generated: Mapping[str, int], folder: Path | None, metrics: Any) -> str:
    if folder is None:
        return "balance fill --target max --dry-run"
    if generated.get("review"):
        return "balance review --reader NAME"
    if not metrics or _is_old(metrics, folder):
        return "balance compare --quick"
    return "balance report"


def _is_old(metrics: Mapping[str, Any], folder: Path | None) -> bool:
    from balancer.dataset.metadata_files import MANIFEST
    from balancer.files import sha256_if_there

    return bool(metrics) and folder is not None and metrics.get(OF_FOLDER) != sha256_if_there(folder / MANIFEST)


def _kept(state: State) -> dict[str, Any]:
    """The last comparison; one that is damaged counts as none, as the report says."""
    try:
        found = json.loads((state.reports / METRICS).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _folders(place: Path) -> list[Path]:
    return [each for each in place.iterdir() if each.is_dir()] if place.is_dir() else []
