"""What the last fill was made with and holds, as far as it takes to make the same again in other workplaces."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.cli.again import Asked, asked_of
from balancer.cli.console import shown
from balancer.errors import BalanceError, ComparisonError, ModelError

if TYPE_CHECKING:
    from balancer.jobs import GenerationConfig
    from balancer.workspace.workspace import Session


@dataclass(frozen=True, slots=True)
class Origin:
    """How the last fill was asked for, and which of what drew its images was made here by `adapt`, if any was.

    `stacked`: an adapter, made here or not, was put on the model.
    """

    filled: Asked
    model: Path | None
    adapter: Path | None
    stacked: bool

    @property
    def learned_here(self) -> Path | None:
        """What learned from this collection's training part."""
        return self.adapter or self.model


def origin_of(session: Session) -> Origin:
    """Find out, by the hashes of the weights, what made here drew the images of the last fill.

    Raises:
        ComparisonError: nothing was filled yet, or what drew it is not there any more.
    """
    from analysis.comparison.integrity.generator_exposure import weights_of

    filled, config = asked_of(session, "fill"), _last_config(session)
    if filled is None or config is None:
        raise ComparisonError(
            needed="a finished balance fill, to do the same again",
            found="none by this version for this collection",
            next_step="balance fill --help shows its options; then the same balance compare again",
        )
    known = {folder: weights_of(folder) for folder in session.ledger.adapters(session.collection) if folder.is_dir()}
    model = next((folder for folder in known if ("model", config.model.sha256) in known[folder]), None)
    key = None if config.adapter is None else ("adapter", config.adapter.sha256)
    adapter = next((folder for folder in known if key in known[folder]), None)
    if model is None and adapter is None and not filled.options.get("model"):
        drew = config.model.name if config.adapter is None else config.adapter.name
        raise ComparisonError(
            needed=f"{drew}, which drew the images of the last fill, to do the same again",
            found="nothing that adapt made here has its weights any more",
            next_step="fill with what is there: balance fill, with the same options; then this balance compare again",
        )
    return Origin(filled, model, adapter, stacked=config.adapter is not None)


def adapted_by(session: Session, origin: Origin) -> Asked | None:
    """How the model of the last fill was adapted here; `None` where it came from elsewhere.

    Raises:
        ComparisonError: this cannot be told, or what it stands on would have to be adapted anew as well.
    """
    made = origin.learned_here
    if made is None:
        return None
    asked = asked_of(session, "adapt", made.name) or _last_asked(session, made.name)
    if asked is None:
        raise ComparisonError(
            needed=f"how {made.name}, which drew the images of the last fill, was adapted: each fold does the same",
            found="that is not on record",
            next_step="adapt and fill anew, so that it is: balance adapt --name NEW, balance fill; then this again",
        )
    if origin.model is not None and origin.stacked:
        raise ComparisonError(
            needed="a base that knows no patient of this collection: each fold adapts one model alone",
            found=f"an adapter on a model that adapt made here, from patients whom a fold tests: {made.name}",
            next_step="balance fill with one of the two, or with an adapter on a base from elsewhere; then this again",
        )
    return asked


def same_model(session: Session, origin: Origin) -> dict[str, str]:
    """Options of `fill` by which another workplace draws with the same model; none where the fill named its place."""
    from balancer.workspace.models import base_of

    found: dict[str, str] = {}
    if origin.adapter is not None:
        found["adapter"] = str(origin.adapter.resolve())
    if origin.model is not None:
        found["model"] = str(origin.model.resolve())
    elif origin.adapter is not None and "model" not in origin.filled.options:
        base = base_of(session, origin.adapter)
        if base is None:
            raise ModelError(
                needed=f"the base that {origin.adapter.name} was made for",
                found="where it is is not on record here",
                next_step="name it: balance fill --model FOLDER, with the same options; then this balance compare",
            )
        found["model"] = str(Path(base).resolve()) if Path(base).exists() else base
    return found


def order_key(session: Session, *, folds: bool) -> str:
    """What folds or redraws repeat, in eight digits: what was made by another order is not taken for this one's.

    Raises:
        ComparisonError: what they would repeat cannot be told.
    """
    origin = origin_of(session)
    adapted = adapted_by(session, origin) if folds else None
    config = _last_config(session)
    drew = None if folds or config is None else [config.model.sha256, config.adapter and config.adapter.sha256]
    facts = [dict(origin.filled.options), None if adapted is None else dict(adapted.options), drew]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def fold_order(session: Session) -> str:
    """The same of folds; empty where it cannot be told. By it a comparison of other folds is known as stale."""
    with suppress(BalanceError):
        return order_key(session, folds=True)
    return ""


def commands_behind(session: Session, folder: Path | None) -> tuple[str, ...]:
    """What to type to make a balanced folder's images again: `adapt`, where their model was adapted here, and `fill`.

    Nothing where another fill than the last one made the folder: that alone is on record.
    """
    asked: dict[str, Asked | None] = {"adapt": None, "fill": None}
    with suppress(BalanceError):  # another's folder, not on record, or adapted elsewhere
        require_last_filled(session, folder)
        asked["fill"] = asked_of(session, "fill")
        asked["adapt"] = adapted_by(session, origin_of(session))
    home = session.state.folder.resolve().parent
    found = {name: how.as_told(home) for name, how in asked.items() if how is not None}
    return tuple(shlex.join(["balance", name, *arguments]) for name, arguments in found.items())


def not_repeated(session: Session, errands: Sequence[Any], *, folds: bool) -> tuple[str, ...]:
    """What the balanced folder has that folds or redraws lack: images from elsewhere, and what readers decided."""
    from balancer.cli.commands.merge import count_elsewhere

    if not errands:
        return ()
    elsewhere, read = sum(count_elsewhere(session).values()), sum(1 for _ in _decided_by_readers(session))
    lack = "no fold has them" if folds else "the first draw alone has them"
    alone = "folds have" if folds else "the other draws have"
    said = [
        f"images from elsewhere ({elsewhere}) are not made again: {lack}" if elsewhere else "",
        f"what readers decided of {_images(read)} is not repeated: {alone} what the gates let in" if read else "",
    ]
    return tuple(filter(None, said))


def require_last_filled(session: Session, folder: Path | None) -> None:
    """Refuse to set draws that repeat the last fill beside the folder of another.

    Raises:
        ComparisonError: the folder is not where the last fill put its images.
    """
    from balancer.workspace.last_fill import LastFill

    last = LastFill.load(session.ledger, session.collection)
    place = None if last is None else (session.state.folder.parent / last.place).resolve()
    if folder is not None and place is not None and folder.resolve() == place:
        return
    raise ComparisonError(
        needed="the balanced folder of the last fill, which --redraw repeats",
        found="it is gone" if folder is None else f"{shown(folder)}, which another fill or merge made",
        next_step="leave the folder out, or fill again: balance fill, with the same options",
    )


def _images(count: int) -> str:
    return f"{count} image{'s' if count > 1 else ''}"


def _last_config(session: Session) -> GenerationConfig | None:
    """The settings that the last fill's images were drawn with."""
    from balancer.workspace.last_fill import LastFill

    last = LastFill.load(session.ledger, session.collection)
    for label, ids in ({} if last is None else last.jobs).items():
        known = session.ledger.candidates(session.collection, label)
        found = (known[each][0].job for each in reversed(ids) if each in known)
        job = next(filter(None, found), None)
        if job is not None:
            return job.config
    return None


def _last_asked(session: Session, name: str) -> Asked | None:
    """The last order of all, where it is the one that made what is called so."""
    asked = asked_of(session, "adapt")
    if asked is None:
        return None
    usual = "scratch" if asked.options.get("from_scratch") else "lora"
    return asked if asked.options.get("name", usual) == name else None


def _decided_by_readers(session: Session) -> Iterator[str]:
    """The images of the last fill that a person let in or turned down."""
    from balancer.workspace.last_fill import LastFill, known_of

    last = LastFill.load(session.ledger, session.collection)
    known = known_of(session.ledger, session.collection)
    for label, ids in ({} if last is None else last.jobs).items():
        judges = known[label].judges if label in known else {}
        yield from (each for each in ids if each in judges and judges[each] is None)
