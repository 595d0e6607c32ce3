"""Folds and redraws: the same commands again, each in a workplace of its own, with its cost said beforehand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.cli.console import for_errand, message, typed
from balancer.cli.origins import adapted_by, order_key, origin_of, same_model
from balancer.errors import ComparisonError, SplitError
from balancer.text import duration, size_of

if TYPE_CHECKING:
    from balancer.cli.costing import Cost
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split
    from balancer.workspace.fold_workspace import Workplace
    from balancer.workspace.workspace import Session

_BALANCED = "balanced"
_COMMAND = "from balancer.cli.app import main; main()"
_PATIENCE = 5.0  # seconds


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
    from balancer.workspace.fold_workspace import fold_of

    if session.split.fold_count != folds:
        has = f"{session.split.fold_count} folds" if session.split.fold_count else "no folds"
        raise SplitError(
            needed=f"a stored split of {folds} folds, for --cross-fit {folds}",
            found=f"a split with {has}",
            next_step=f"balance split --folds {folds}"
            + (f", or: balance compare --cross-fit {session.split.fold_count}" if session.split.fold_count else ""),
        )
    origin = origin_of(session)
    adapted, key, home = adapted_by(session, origin), order_key(session, folds=True), _home(session)
    agreed = {"accept_licence": True} if adapted is not None and "base" in adapted.options else {}
    changes: dict[str, Any] = {"out": _BALANCED, "no_holdout": None}  # a fold holds its test patients back
    commands = {}
    if adapted is not None:
        commands["adapt"] = adapted.arguments(home, agreed)
        changes |= {"model": None, "adapter": None}
    commands["fill"] = origin.filled.arguments(home, changes)
    seconds = origin.filled.seconds + (0.0 if adapted is None else adapted.seconds)
    found = []
    for fold in range(folds):
        collection, split = fold_of(session.collection, session.split, fold)
        folder = session.state.folder / "folds" / f"{session.split.sha256[:12]}-{fold}-{key}"
        found.append(Errand(f"fold {fold + 1} of {folds}", folder, collection, split, commands, seconds))
    return found


def redraw_errands(session: Session, redraws: int) -> list[Errand]:
    """Fill again with other generator seeds, and nothing else changed; the first draw is there already.

    Raises:
        ComparisonError: nothing was filled yet, so that it is not known how.
    """
    if redraws == 1:
        return []
    origin, key = origin_of(session), order_key(session, folds=False)
    first, model = int(origin.filled.options.get("seed", 0)), same_model(session, origin)
    found = []
    for number in range(1, redraws):
        seed = first + 1000 * number
        folder = session.state.folder / "redraws" / f"{session.split.sha256[:12]}-{seed}-{key}"
        commands = {"fill": origin.filled.arguments(_home(session), {"out": _BALANCED, "seed": seed, **model})}
        name = f"redraw {number + 1} of {redraws}"
        found.append(Errand(name, folder, session.collection, session.split, commands, origin.filled.seconds))
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
    from balancer.workspace.fold_workspace import make_workplace

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
    code = _exit_code(errand.folder, [command, *arguments])
    short = command == "fill" and code == 1  # a class stayed short, which is a result like any other
    if not (code == 0 or short):
        raise _failed(errand, command, f"it ended with exit code {code}; why, and what may help, stands above")
    if command == "fill" and not errand.balanced.is_dir():
        raise _failed(errand, command, "nothing to do: no class is below its target there; a higher --target may help")
    mark.touch()


def _exit_code(folder: Path, words: Sequence[str]) -> int:
    """Run balance in a folder. What it prints as its result is nobody's: the result is the comparison's alone."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *words],
        cwd=folder,
        env=for_errand(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        return process.wait()
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it stop by itself, as it does where Ctrl-C has reached it too; ask it; end it."""
    for ask in (None, process.terminate, process.kill):
        if process.poll() is None and ask is not None:
            ask()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
            return


def _failed(errand: Errand, command: str, found: str) -> ComparisonError:
    return ComparisonError(
        needed=f"a finished balance {command} in {errand.name}",
        found=found,
        next_step=f"mend that, then run again: {typed()}  (what is finished is not repeated)",
    )


def _home(session: Session) -> Path:
    return session.state.folder.resolve().parent
