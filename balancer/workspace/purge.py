"""Take away everything that holds patients' data: the state folder, and what an unfinished merge left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.dataset.merge import default_out
from balancer.dataset.staging import leftovers_of
from balancer.errors import StateError
from balancer.store import review_log
from balancer.store.database import Ledger
from balancer.store.state_dir import HOLDER, LOCK, State
from balancer.workspace.last_fill import FillManifest
from balancer.workspace.output_forms import dicom_place

_LEDGER = "ledger.sqlite"
_LOSSES: Mapping[str, str] = {
    _LEDGER: "patients, split, prompts, verdicts and readers' answers: after a new scan, name the patients again",
    review_log.NAME: "the decisions of people in review, which cannot be computed again",
    "candidates": "all generated images, including rejected ones; balanced folders keep their copies",
    "adapters": "the models that adapt trained, with latents and samples: hours of training",
    "cache": "embeddings, latents and decoded images: computed again when needed",
    "comparisons": "the results of finished comparisons: hours of training",
    "folds": "patients, images and adapted models of each fold: hours of training",
    "redraws": "the images of other generator seeds: generated again when needed",
    "reports": "contact sheets and pages for people",
}
_UNFINISHED = "copies left by a stopped merge: not needed"
_OTHER = "not needed by balance"


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that is to go: its place, `size` in bytes of so many `files`, and what is lost with it."""

    path: Path
    files: int
    size: int
    loss: str


def take_stock(state: State) -> list[Holding]:
    """All that a purge would remove, in the order in which it goes; nothing is touched.

    Raises:
        StateError: the state folder is not one that balance made.
    """
    _require_ours(state.folder)
    return [_holding(path, _UNFINISHED) for path in _unfinished_merges(state)] + [
        _holding(path, _LOSSES.get(path.name, _LOSSES[_LEDGER] if path.name.startswith(_LEDGER) else _OTHER))
        for path in sorted(state.folder.iterdir(), key=_rank)
        if path.name not in (LOCK, HOLDER, ".gitignore")
    ]


def purge(state: State, holdings: Iterable[Holding]) -> None:
    """Remove these and then the state folder itself. Links are removed, what they lead to is not.

    Killed, it can be called again: what says that the folder is ours goes last. Hold the lock meanwhile.
    """
    for holding in holdings:
        _remove(holding.path)
    if os.name == "nt":  # what is locked cannot be removed there, and it names nobody
        return
    for path in sorted(state.folder.iterdir(), key=_rank):
        _remove(path)
    folder = state.folder.resolve()
    if state.folder.is_symlink():
        state.folder.unlink()
    folder.rmdir()


def merged_folders(state: State) -> list[Path]:
    """The balanced folders that are on record: a purge leaves them alone."""
    return [place for place in _places(state) if place.is_dir()]


def _rank(path: Path) -> tuple[int, str]:
    """The ledger first, since without it the rest says little; the lock last."""
    last = (".gitignore", HOLDER, LOCK)
    place = last.index(path.name) + 1 if path.name in last else -path.name.startswith(_LEDGER)
    return place, path.name


def _require_ours(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if not names or names & {_LEDGER, LOCK, ".gitignore"}:
        return
    raise StateError(
        needed=f"a {folder.name} folder that balance made",
        found=f"a folder without a {_LEDGER}: {', '.join(sorted(names)[:3])}",
        next_step=f"check its content, and remove it yourself if it is yours: ls -la {folder.name}",
    )


def _unfinished_merges(state: State) -> list[Path]:
    places = [each for place in _places(state) for each in (place, dicom_place(place))]
    return [left for place in places for left in leftovers_of(place)]


def _places(state: State) -> Sequence[Path]:
    """Where balanced folders of this state are or were to be."""
    if not state.ledger.is_file():
        return []
    try:
        with Ledger(state) as ledger:
            return list(dict.fromkeys(_places_in(ledger, state)))
    except StateError:  # a damaged ledger goes too
        return []


def _places_in(ledger: Ledger, state: State) -> Iterator[Path]:
    for root in ledger.roots():
        yield default_out(root)
        collection = ledger.load_collection(root)
        last = None if collection is None else FillManifest.load(ledger, collection)
        if last is not None:
            yield (state.folder.parent / last.place).resolve()


def _holding(path: Path, loss: str) -> Holding:
    sizes = list(_sizes(path))
    return Holding(path, len(sizes), sum(sizes), loss)


def _sizes(path: Path) -> Iterator[int]:
    """The bytes of each file below a path; links are not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path.lstat().st_size
        return
    for folder, _, files in os.walk(path):
        for name in files:
            yield (Path(folder) / name).lstat().st_size


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
