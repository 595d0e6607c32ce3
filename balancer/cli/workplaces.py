"""Folds and redraws: the same commands again, each in a workplace of its own, with its cost said beforehand."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.cli.again import Asked, asked_of
from balancer.cli.console import duration, message, size_of
from balancer.errors import ComparisonError, SplitError

if TYPE_CHECKING:
    from balancer.cli.costing import Cost
    from balancer.cli.session import Session
    from balancer.scan import Collection
    from balancer.split import Split
    from balancer.workplace import Workplace

_BALANCED = "balanced"
_COMMAND = "from balancer.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done in one workplace: the commands, and the seconds that they took when they were first run."""

    name: str
    folder: Path
    collection: Collection
    split: Split
    commands: Mapping[str, Sequence[str]]
    seconds: float

    @property
    def balanced(self) -> Path:
        """The balanced folder of this workplace."""
        return self.folder / _BALANCED


def fold_errands(session: Session, folds: int) -> list[Errand]:
    """Adapt and fill once for each fold, as they were done for the whole; a model from elsewhere is not adapted anew.

    Raises:
        SplitError: the stored split has another number of folds.
        ComparisonError: nothing was filled yet, so that it is not known how.
    """
    from balancer.workplace import fold_of

    if session.split.fold_count != folds:
        has = f"{session.split.fold_count} folds" if session.split.fold_count else "no folds"
        raise SplitError(
            needed=f"a stored split of {folds} folds, for --cross-fit {folds}",
            found=f"a split with {has}",
            next_step=f"balance split --folds {folds}"
            + (f", or: balance compare --cross-fit {session.split.fold_count}" if session.split.fold_count else ""),
        )
    filled, adapted = _asked(session, "fill"), _adapted(session)
    found = []
    for fold in range(folds):
        collection, split = fold_of(session.collection, session.split, fold)
        folder = session.state.folder / "folds" / f"{session.split.sha256[:12]}-{fold}-{_order_key(filled, adapted)}"
        agreed = {"accept_licence": True} if adapted is not None and "base" in adapted.options else {}
        commands = {} if adapted is None else {"adapt": adapted.arguments(_home(session), agreed)}
        changes: dict[str, Any] = {"out": _BALANCED}
        if adapted is not None:
            changes |= {"model": None, "adapter": None}
        commands["fill"] = filled.arguments(_home(session), changes)
        seconds = filled.seconds + (0.0 if adapted is None else adapted.seconds)
        found.append(Errand(f"fold {fold + 1} of {folds}", folder, collection, split, commands, seconds))
    return found


def redraw_errands(session: Session, redraws: int) -> list[Errand]:
    """Fill again with other generator seeds, and nothing else changed; the first draw is there already.

    Raises:
        ComparisonError: nothing was filled yet, so that it is not known how.
    """
    if redraws == 1:
        return []
    filled = _asked(session, "fill")
    first = int(filled.options.get("seed", 0))
    model = {} if "model" in filled.options else _own_model(session)
    found = []
    for number in range(1, redraws):
        seed = first + 1000 * number
        folder = session.state.folder / "redraws" / f"{session.split.sha256[:12]}-{seed}-{_order_key(filled, model)}"
        commands = {"fill": filled.arguments(_home(session), {"out": _BALANCED, "seed": seed, **model})}
        name = f"redraw {number + 1} of {redraws}"
        found.append(Errand(name, folder, session.collection, session.split, commands, filled.seconds))
    return found


def show_cost(session: Session, errands: Sequence[Errand], training: Cost) -> None:
    """Say what it takes before anything is done."""
    if not errands:
        message(f"Cost: {training}. What is done is not repeated.")
        return
    size = float(session.collection.images["size"].sum())
    seconds = sum(each.seconds for each in errands) + training.seconds
    message(
        f"Cost: {len(errands)} times {' + '.join(errands[0].commands)} ({duration(errands[0].seconds)} each, as the "
        f"last ones took), and {training}. All of it about {duration(seconds)}, and {size_of(1.5 * size)} of disk at a "
        "time. What is done is not repeated."
    )


def done(errands: Sequence[Errand]) -> Iterator[tuple[Errand, Workplace]]:
    """Do the commands of each errand, in its workplace; what was finished before is left as it is.

    Raises:
        ComparisonError: a command failed; its own message stands above.
    """
    from balancer.workplace import make_workplace

    for errand in errands:
        place = make_workplace(errand.folder, errand.collection, errand.split)
        for command, arguments in errand.commands.items():
            message(f"{errand.name.capitalize()}: balance {command}")
            _run(errand, command, arguments)
        yield errand, place


def forget_balanced(errand: Errand) -> None:
    """Take away the balanced folder of a workplace, which `fill` makes again within seconds from its candidates."""
    shutil.rmtree(errand.balanced, ignore_errors=True)


def _run(errand: Errand, command: str, arguments: Sequence[str]) -> None:
    mark = errand.folder / f"{command}.done"
    if mark.exists() and (command != "fill" or errand.balanced.is_dir()):
        return
    code = subprocess.run(
        [sys.executable, "-c", _COMMAND, command, *arguments],
        cwd=errand.folder,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),  # the result is the comparison's alone
    ).returncode
    short = command == "fill" and code == 1  # a class stayed short, which is a result like any other
    if not (code == 0 or short) or (command == "fill" and not errand.balanced.is_dir()):
        raise ComparisonError(
            needed=f"a finished balance {command} in {errand.name}",
            found=f"it ended with exit code {code}; its message stands above",
            next_step="mend that, then the same balance compare again: what is finished is not repeated",
        )
    mark.touch()


def _order_key(*asked: Asked | Mapping[str, Any] | None) -> str:
    """What is asked for, in eight digits: what was made by another order is not taken for this one's."""
    facts = [dict(each.options) if isinstance(each, Asked) else each for each in asked]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _asked(session: Session, command: str) -> Asked:
    found = asked_of(session, command)
    if found is None:
        raise ComparisonError(
            needed=f"a finished balance {command}, to do the same again",
            found="none by this version for this collection",
            next_step=f"balance {command} --help shows its options; then the same balance compare again",
        )
    return found


def _adapted(session: Session) -> Asked | None:
    """How the model of the last fill was adapted here; `None` where it came from elsewhere."""
    filled = asked_of(session, "fill")
    made_here = {folder.resolve() for folder in session.ledger.adapters(session.collection)}
    named = (
        [] if filled is None else [str(filled.options[each]) for each in ("model", "adapter") if each in filled.options]
    )
    places = {place.resolve() for each in named for place in (_home(session) / each, session.state.adapters / each)}
    if named and not places & made_here:
        return None
    return asked_of(session, "adapt") if made_here else None


def _own_model(session: Session) -> dict[str, str]:
    """What `fill` takes by itself where no model is named: the newest that `adapt` made here."""
    from balancer.cli.models import chosen_model

    choice = chosen_model(session, None)
    model = {"model": str((choice.checkpoint.single_file or choice.checkpoint.folder).resolve())}
    return model if choice.folder is None else {**model, "adapter": str(choice.folder.resolve())}


def _home(session: Session) -> Path:
    return session.state.folder.resolve().parent
