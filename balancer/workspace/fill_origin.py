"""What the last fill was made with, as far as it takes to make the same again in other workspaces."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import BalanceError, ComparisonError, ModelError
from balancer.settings import Settings, as_command
from balancer.text import many
from balancer.workspace.last_fill import FillManifest
from balancer.workspace.models import base_of
from balancer.workspace.run_record import RunRecord, last_run, movable
from balancer.workspace.settings import KEEP, SQUARE, AdaptSettings, FillSettings

if TYPE_CHECKING:
    from balancer.jobs import GenerationConfig
    from balancer.workspace.workspace import Session

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PLACED = re.compile(r"([A-Za-z_][\w.-]+:)?(.*)", re.DOTALL)  # a family, and its weights


@dataclass(frozen=True, slots=True)
class FillOrigin:
    """The last fill's settings, and which of what generated its images was made here by `adapt`, if any was.

    `stacked`: an adapter, made here or not, was put on the model.
    """

    filled: RunRecord[FillSettings]
    model: Path | None
    adapter: Path | None
    stacked: bool

    @property
    def learned_here(self) -> Path | None:
        """What learned from this collection's training split."""
        return self.adapter or self.model


def origin_of(session: Session) -> FillOrigin:
    """Find out, by the hashes of the weights, what made here generated the images of the last fill.

    Raises:
        ComparisonError: nothing was filled yet, or what generated it is not there any more.
    """
    from balancer.generators.models.checkpoint import weights_of

    filled, config = last_run(session, "fill", FillSettings), _last_config(session)
    if filled is None or config is None:
        raise ComparisonError(
            needed="a completed balance fill to repeat",
            found="no fill of this collection by this version",
            next_step="fill first (options: balance fill --help), then run the same balance compare again",
        )
    known = {folder: weights_of(folder) for folder in session.ledger.adapters(session.collection) if folder.is_dir()}
    model = next((folder for folder in known if ("model", config.model.sha256) in known[folder]), None)
    key = None if config.adapter is None else ("adapter", config.adapter.sha256)
    adapter = next((folder for folder in known if key in known[folder]), None)
    if model is None and adapter is None and filled.settings.model is None:
        made = config.model.name if config.adapter is None else config.adapter.name
        raise ComparisonError(
            needed=f"{made}, which generated the images of the last fill",
            found="no model that adapt trained here has these weights",
            next_step="fill again with a model that you have: balance fill; then run the same balance compare again",
        )
    return FillOrigin(filled, model, adapter, stacked=config.adapter is not None)


def adapted_by(session: Session, origin: FillOrigin) -> RunRecord[AdaptSettings] | None:
    """How the model of the last fill was adapted here; `None` where it came from elsewhere.

    Raises:
        ComparisonError: this cannot be told, or what it stands on would have to be adapted again as well.
    """
    made = origin.learned_here
    if made is None:
        return None
    found = last_run(session, "adapt", AdaptSettings, made.name) or _last_adapted(session, made.name)
    if found is None:
        raise ComparisonError(
            needed=f"the settings with which {made.name} was adapted, since each fold repeats them",
            found="there is no record of them",
            next_step="adapt and fill again to record them: balance adapt --name NEW, balance fill; then rerun this",
        )
    if origin.model is not None and origin.stacked:
        raise ComparisonError(
            needed="a base model that was not trained on this collection: each fold adapts one model only",
            found=f"an adapter on a model that was trained here, on patients that a fold tests: {made.name}",
            next_step="balance fill with one of the two, or with an adapter on another base model; then run this again",
        )
    return found


def same_model(session: Session, origin: FillOrigin) -> dict[str, str]:
    """Settings by which another workspace fills with the same model; none where the fill named its place.

    Raises:
        ModelError: the base of an adapter is not on record.
    """
    found: dict[str, str] = {}
    if origin.adapter is not None:
        found["adapter"] = str(origin.adapter.resolve())
    if origin.model is not None:
        found["model"] = str(origin.model.resolve())
    elif origin.adapter is not None and origin.filled.settings.model is None:
        base = base_of(session, origin.adapter)
        if base is None:
            raise ModelError(
                needed=f"the base model of the adapter {origin.adapter.name}",
                found="its location is not recorded",
                next_step="name it: balance fill --model FOLDER, with the same options; then the same balance compare",
            )
        found["model"] = str(Path(base).resolve()) if Path(base).exists() else base
    return found


def refit_key(session: Session, *, folds: bool) -> str:
    """What folds or redraws repeat, in eight digits: what was made by other settings is not taken for theirs.

    Raises:
        ComparisonError: what they would repeat cannot be told.
    """
    origin = origin_of(session)
    adapted = adapted_by(session, origin) if folds else None
    config = _last_config(session)
    made = None if folds or config is None else [config.model.sha256, config.adapter and config.adapter.sha256]
    facts = [_named(session, origin.filled), None if adapted is None else _named(session, adapted), made]
    facts += [sorted(session.split.left_out.index)] if len(session.split.left_out) else []
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def fold_key(session: Session) -> str:
    """The same of folds; empty where it cannot be told. By it a comparison of other folds is known as stale."""
    with suppress(BalanceError):
        return refit_key(session, folds=True)
    return ""


def commands_behind(session: Session, folder: Path | None) -> tuple[str, ...]:
    """What a person types to make a balanced folder's images again: `adapt`, where their model was adapted, and `fill`.

    Nothing where another fill than the last one made the folder: that alone is on record.
    """
    asked: list[Settings] = []
    with suppress(BalanceError):  # another's folder, not on record, or adapted elsewhere
        require_last_filled(session, folder)
        filled = last_run(session, "fill", FillSettings)
        asked += [] if filled is None else [filled.settings]
        adapted = adapted_by(session, origin_of(session))
        asked = [*([] if adapted is None else [adapted.settings]), *asked]
    return tuple(as_command(each.with_places(lambda place: _last_part(place, session.home))) for each in asked)


def not_repeated(session: Session, *, folds: bool) -> tuple[str, ...]:
    """What the balanced folder has that folds or redraws lack: images from elsewhere, and what readers decided."""
    from balancer.filling.verdicts import load_records
    from balancer.workspace.merge_run import external_images

    records = load_records(session.ledger, session.collection)
    elsewhere = sum(map(len, external_images(session, records).values()))
    read = sum(1 for _ in _decided_by_readers(session))
    images = many(read, "image")
    lack = "no fold has them" if folds else "only the first generator seed has them"
    alone = "folds have" if folds else "the other generator seeds have"
    said = [
        f"external images ({elsewhere}) are not generated again: {lack}" if elsewhere else "",
        f"readers' decisions on {images} are not repeated: {alone} the images that the screening checks accept"
        if read
        else "",
    ]
    return tuple(filter(None, said))


def require_last_filled(session: Session, folder: Path | None) -> None:
    """Refuse to set draws that repeat the last fill beside the folder of another.

    Raises:
        ComparisonError: the folder is not where the last fill put its images.
    """
    last = FillManifest.load(session.ledger, session.collection)
    place = None if last is None else (session.home / last.place).resolve()
    if folder is not None and place is not None and folder.resolve() == place:
        return
    raise ComparisonError(
        needed="the balanced folder of the last fill, which --redraw repeats",
        found="it is missing" if folder is None else f"{folder.resolve()}, made by another fill or merge",
        next_step="leave the folder out, or fill again: balance fill, with the same options",
    )


def _named(session: Session, run: RunRecord[Any]) -> Mapping[str, Any]:
    """The settings that were given, by the names of the options: those by which earlier versions named folds."""
    found: dict[str, Any] = movable(session, run.settings).changed()
    if found.pop("harmonise", True) is False:
        found["no_intensity_matching"] = True
    if "base" in found and found.setdefault("aspect_ratio", KEEP) == SQUARE:
        del found["aspect_ratio"]  # as all adapters were
    return found


def _last_part(place: str, home: Path) -> str:
    """A file or folder as a page that is sent around names it: by its last part, or by its name on the hub.

    >>> _last_part("vae:/srv/Ann O'Neil/w.pt", Path()), _last_part("org/sd", Path())
    ('vae:w.pt', 'org/sd')
    """
    if _HUB_NAME.fullmatch(place) and not (home / place).exists():
        return place
    family, rest = _PLACED.fullmatch(place).groups("")  # type: ignore[union-attr]  # it takes any text
    return family + re.split(r"[/\\]", rest.rstrip("/\\"))[-1]


def _last_config(session: Session) -> GenerationConfig | None:
    """The settings that the last fill's images were generated with."""
    last = FillManifest.load(session.ledger, session.collection)
    for label, ids in ({} if last is None else last.jobs).items():
        known = session.ledger.candidates(session.collection, label)
        found = (known[each][0].job for each in reversed(ids) if each in known)
        job = next(filter(None, found), None)
        if job is not None:
            return job.config
    return None


def _last_adapted(session: Session, name: str) -> RunRecord[AdaptSettings] | None:
    """The last `adapt` of all, where it is the one that made what is called so."""
    found = last_run(session, "adapt", AdaptSettings)
    return found if found is not None and found.settings.folder_name == name else None


def _decided_by_readers(session: Session) -> Iterator[str]:
    """The images of the last fill that a person accepted or rejected."""
    from balancer.filling.verdicts import load_records

    last = FillManifest.load(session.ledger, session.collection)
    known = load_records(session.ledger, session.collection)
    for label, ids in ({} if last is None else last.jobs).items():
        judges = known[label].judges if label in known else {}
        yield from (each for each in ids if each in judges and judges[each] is None)
