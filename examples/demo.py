"""The demo: a whole project on radiographs of nobody, from the scan to the verdict, in one folder.

The case was chosen to show an answer in two minutes: five real images of the rare class, 24 px, 120 test patients.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.comparison.service import compare
from analysis.report.service import write_report
from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.progress import SILENT, Progress
from balancer.settings import as_command
from balancer.store.state_dir import NAME
from balancer.workspace.fill_run import fill
from balancer.workspace.judging_settings import CompareSettings, DemoSettings, ReportSettings
from balancer.workspace.merge_run import merge
from balancer.workspace.scan_run import scan
from balancer.workspace.screens import screen_for
from balancer.workspace.settings import FillSettings, MergeSettings, ScanSettings, VerifySettings
from balancer.workspace.verify_run import verify
from balancer.workspace.workspace import Workspace
from examples.phantoms import write_collection

POCKET = Path(__file__).parent / "pocket"
RARE = "consolidation"
SPLITS = {
    "train": (0, {"normal": 80, "pleural_effusion": 60, "cardiomegaly": 60, "nodule": 50, RARE: 5}),
    "val": (1000, {"normal": 30, "pleural_effusion": 20, "cardiomegaly": 20, "nodule": 20, RARE: 20}),
    "test": (2000, {"normal": 120, "pleural_effusion": 80, "cardiomegaly": 80, "nodule": 80, RARE: 120}),
}
"""The first patient of each split, and its images by class: a patient each."""
README = "README.txt"
_SAYS = "Radiographs of nobody, and what balance made of them: `{}`. Delete this folder when you like.\n"


def demo(settings: DemoSettings, *, progress: Progress = SILENT) -> Iterator[Any]:
    """Draw a collection, fill its rare class, and compare; yields the result of each step when it is done.

    Started again it goes on where it stopped. With `bad` the generator draws healthy lungs whatever it is asked for,
    and nothing is screened.

    Raises:
        OutputError: the folder holds something else.

    >>> demo(DemoSettings(folder))
    Traceback (most recent call last):
    balancer.errors.OutputError: needed: a new folder, or one that the same demo has begun
    ...
    """
    folder = settings.place.resolve()
    _begin(folder, as_command(DemoSettings(bad=settings.bad)))
    return _run(folder, settings.bad, progress)


def _begin(folder: Path, command: str) -> None:
    """Make the folder, its note and its state, so that no state above it is taken for its own."""
    note, says = folder / README, _SAYS.format(command)
    if folder.exists() and not _is_ours(folder, note, says):
        raise OutputError(
            needed="a new folder, or one that the same demo has begun",
            found=f"{folder}, which holds something else",
            next_step="name another: balance demo FOLDER",
        )
    Workspace.open(folder.parent).require_outside(folder, "name another: balance demo FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(note, says.encode())
    (folder / NAME).mkdir(mode=0o700, exist_ok=True)


def _is_ours(folder: Path, note: Path, says: str) -> bool:
    if not folder.is_dir():
        return False
    return note.read_text("utf-8") == says if note.is_file() else not any(folder.iterdir())


def _run(folder: Path, bad: bool, progress: Progress) -> Iterator[Any]:
    workspace, xrays = Workspace.open(folder), folder / "xrays"
    for split, (first, counts) in SPLITS.items():
        progress.message(f"Drawing {sum(counts.values())} radiographs of nobody: {xrays / split}")
        _draw(xrays / split, counts, seed=1, first=first)
    if bad:
        _draw(folder / "healthy", {"normal": 50}, seed=2)
        _rename(folder / "healthy" / "normal", folder / "generated" / RARE)
    for settings, function in _steps(folder, bad):
        progress.message(f"\n$ {as_command(settings)}")
        yield function(workspace, settings, progress)


def _steps(folder: Path, bad: bool) -> list[tuple[Any, Any]]:
    """The settings of each step, and what runs it."""
    naive: dict[str, Any] = {"arm": ("synthetic-all",), "steps": "374"} if bad else {}  # fewer are called too few
    compared = CompareSettings(quick=True, size=24, **naive)
    reported = (ReportSettings(), lambda workspace, settings, _: write_report(workspace, settings))
    judged = [(compared, _plain(compare)), reported]
    scanned = (ScanSettings(folder / "xrays", patient=r"(p\d+)"), _plain(scan))
    if bad:
        return [scanned, (MergeSettings(folder / "generated", no_screen=True), _screened(merge)), *judged]
    filled = FillSettings(target=(f"{RARE}=60",), model=str(POCKET), guidance=1.5)
    verified = VerifySettings(folder / "xrays-balanced")
    return [scanned, (filled, _screened(fill)), (verified, _plain(verify)), *judged]


def _plain(function: Any) -> Any:
    return lambda workspace, settings, progress: function(workspace, settings, progress=progress)


def _screened(function: Any) -> Any:
    return lambda workspace, settings, progress: function(
        workspace, settings, screen=screen_for(workspace, settings), progress=progress
    )


def _draw(place: Path, counts: dict[str, int], *, seed: int, first: int = 0) -> None:
    """Draw images where there are none yet; a folder that is there is whole."""
    if place.exists():
        return
    half = place.with_name(f".{place.name}-drawing")
    shutil.rmtree(half, ignore_errors=True)
    write_collection(half, counts, seed=seed, first_patient=first, max_images=1)
    _rename(half, place)


def _rename(source: Path, place: Path) -> None:
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        source.rename(place)
