"""Folds and redraws: the last `adapt` and `fill` again, each in a workspace of its own and in a child process."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from balancer.devices import visible_gpus
from balancer.errors import BalanceError, ComparisonError, SplitError
from balancer.progress import SILENT, Progress, Task
from balancer.settings import Settings
from balancer.splits.exclusion import leave_out
from balancer.workspace.child import run_in_child
from balancer.workspace.fill_origin import adapted_by, origin_of, refit_key, same_model
from balancer.workspace.fold_workspace import FoldWorkspace, fold_of, make_fold_workspace
from balancer.workspace.settings import AdaptSettings, FillSettings
from balancer.workspace.workspace import Session, Workspace, excluded_of

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Split

_BALANCED = "balanced"
Run = Callable[..., Any]
"""What runs `adapt` or `fill` in a workspace: `run_in_child`."""


@dataclass(frozen=True, slots=True)
class Refit:
    """What is done again for one fold or one redraw: settings by command, and the seconds that they took before."""

    name: str
    folder: Path
    collection: Collection
    split: Split
    runs: Mapping[str, Settings]
    seconds: float

    @property
    def balanced(self) -> Path:
        """The balanced folder of this workspace."""
        return self.folder / _BALANCED


def fold_refits(session: Session, folds: int) -> list[Refit]:
    """Adapt and fill once for each fold, as they were done for the whole; a model from elsewhere is not adapted again.

    Raises:
        SplitError: the stored split has another number of folds.
        ComparisonError: nothing was filled yet, so that it is not known how.
    """
    _require_folds(session.split, folds)
    origin = origin_of(session)
    adapted, key = adapted_by(session, origin), refit_key(session, folds=True)
    runs: dict[str, Settings] = {}
    filled = replace(origin.filled.settings, no_holdout=False)  # a fold holds its test patients back
    if adapted is not None:
        runs["adapt"] = replace(adapted.settings, accept_licence=adapted.settings.base is not None)
        filled = replace(filled, model=None, adapter=None)
    seconds = origin.filled.seconds + (0.0 if adapted is None else adapted.seconds)
    found, whole, excluded = [], session.whole(), excluded_of(session.ledger, session.collection)
    for fold in range(folds):
        collection, split = leave_out(excluded, *fold_of(whole.collection, whole.split, fold))
        split = split.alone()
        folder = session.state.folder.resolve() / "folds" / f"{session.split.sha256[:12]}-{fold}-{key}"
        own = {**runs, "fill": replace(filled, out=folder / _BALANCED)}
        found.append(Refit(f"fold {fold + 1} of {folds}", folder, collection, split, own, seconds))
    return found


def _require_folds(split: Split, folds: int) -> None:
    if split.fold_count == folds:
        return
    has = f"{split.fold_count} folds" if split.fold_count else "no folds"
    raise SplitError(
        needed=f"a stored split of {folds} folds, for --cross-fit {folds}",
        found=f"a split with {has}",
        next_step=f"balance split --folds {folds}"
        + (f", or: balance compare --cross-fit {split.fold_count}" if split.fold_count else ""),
    )


def redraw_refits(session: Session, redraws: int) -> list[Refit]:
    """Fill again with other generator seeds, and nothing else changed; the first draw is there already.

    Raises:
        ComparisonError: nothing was filled yet, so that it is not known how.
    """
    if redraws == 1:
        return []
    origin, key = origin_of(session), refit_key(session, folds=False)
    first, model = origin.filled.settings.seed, same_model(session, origin)
    fields = origin.filled.settings.to_json() | model
    found = []
    for number in range(1, redraws):
        seed = first + 1000 * number
        folder = session.state.folder.resolve() / "redraws" / f"{session.split.sha256[:12]}-{seed}-{key}"
        filled = FillSettings.from_json({**fields, "out": str(folder / _BALANCED), "seed": seed})
        name, seconds = f"redraw {number + 1} of {redraws}", origin.filled.seconds
        split = session.split.alone()
        found.append(Refit(name, folder, session.collection, split, {"fill": filled}, seconds))
    return found


def refitted(
    refits: Sequence[Refit],
    again: str,
    progress: Progress,
    run: Run = run_in_child,
    gpus: Callable[[], Sequence[str]] = visible_gpus,
) -> Iterator[tuple[Refit, FoldWorkspace]]:
    """Do what each refit asks for, in its workspace; what was finished before is left as it is.

    With several GPUs as many are done at once, each on one of them. `again` is what a person types to go on.

    Raises:
        ComparisonError: one of them failed; what was finished is kept.
    """
    places = {refit.name: make_fold_workspace(refit.folder, refit.collection, refit.split) for refit in refits}
    left = [refit for refit in refits if not all(_is_done(refit, command) for command in refit.runs)]
    several = gpus() if len(left) > 1 and all(map(_on_any_gpu, left)) else ()
    if len(several) < 2:
        for refit in refits:
            _do(refit, again, progress, run)
            yield refit, places[refit.name]
        return
    free: SimpleQueue[str] = SimpleQueue()
    for gpu in several:
        free.put(gpu)

    def on_a_gpu(refit: Refit) -> None:
        gpu = free.get()
        try:
            _do(refit, again, _Named(progress, refit.name), partial(run, gpu=gpu))
        finally:
            free.put(gpu)

    with ThreadPoolExecutor(len(several)) as pool:
        try:
            for refit, _ in zip(refits, pool.map(on_a_gpu, refits), strict=True):
                yield refit, places[refit.name]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Named:
    """Progress of one of several at once: messages say whose they are, and no task is shown."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name

    def message(self, text: str) -> None:
        name = f"{self._name.capitalize()}: "
        self._progress.message(name + text.removeprefix(name))

    def start(self, what: str, done: int = 0) -> Task:
        return SILENT.start(what, done)


def _on_any_gpu(refit: Refit) -> bool:
    """Whether one GPU does, whichever it is: not where an `adapt` takes several."""
    runs = refit.runs.values()
    return all(getattr(settings, "device", "auto") in ("auto", "cuda") for settings in runs) and gpus_of(runs) == 1


def gpus_of(runs: Iterable[Settings]) -> int:
    """How many GPUs the largest of these runs takes.

    >>> gpus_of([AdaptSettings(base="sd15", workers=2), FillSettings()])
    2
    """
    return max((each.workers or 1 for each in runs if isinstance(each, AdaptSettings)), default=1)


def _do(refit: Refit, again: str, progress: Progress, run: Run) -> None:
    for command, settings in refit.runs.items():
        progress.message(f"{refit.name.capitalize()}: balance {command}")
        _finish(refit, command, settings, again, progress, run)


def _is_done(refit: Refit, command: str) -> bool:
    return (refit.folder / f"{command}.done").exists() and (command != "fill" or refit.balanced.is_dir())


def forget_balanced(refit: Refit) -> None:
    """Take away the balanced folder of a workspace, which `fill` makes again within seconds from its candidates."""
    shutil.rmtree(refit.balanced, ignore_errors=True)


def _finish(refit: Refit, command: str, settings: Settings, again: str, progress: Progress, run: Run) -> None:
    if _is_done(refit, command):
        return
    try:
        run(Workspace(refit.folder), command, settings, progress)
    except BalanceError as error:
        raise _failed(refit, command, f"{error.found} (needed: {error.needed})", error.next_step, again) from error
    if command == "fill" and not refit.balanced.is_dir():
        found = "nothing to generate: no class is below its target in this split"
        raise _failed(refit, command, found, "a higher --target may help", again)
    (refit.folder / f"{command}.done").touch()


def _failed(refit: Refit, command: str, found: str, advice: str, again: str) -> ComparisonError:
    return ComparisonError(
        needed=f"a completed balance {command} in {refit.name}",
        found=found,
        next_step=f"correct this ({advice}), then run again: {again}  (completed runs are not repeated)",
    )
