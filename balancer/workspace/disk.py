"""Whether a disk has room for what a run is going to write."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.dataset.staging import staging_of
from balancer.errors import OutputError
from balancer.progress import Progress
from balancer.text import printable, size_of

if TYPE_CHECKING:
    from balancer.workspace.workspace import Session

_RECORD, _DATABASE = 10_000, 4_000_000  # bytes: what is written down about an image, and what the files begin with
_SPARE = 1.05


def require_room(session: Session, place: Path, count: int, progress: Progress) -> float:
    """Refuse a fill of `count` images that would fill a disk; its bytes. What is there already is not needed again.

    Raises:
        OutputError: a disk has too little room.
    """
    images, state, place = session.collection.images, session.state, place.absolute()
    made = count * (float(images["size"].mean()) + _RECORD) + _DATABASE
    wanted = (
        (state.folder, made, [state.candidates]),
        (place, float(images["size"].sum()) + made, [place, staging_of(place)]),
    )
    missing: dict[int, float] = {}
    for folder, size, there in wanted:
        disk = next(each for each in (folder, *folder.parents) if each.is_dir())
        device = disk.stat().st_dev
        missing[device] = missing.get(device, 0.0) + max(0.0, size - sum(map(_size_of_all, there)))
        if missing[device] * _SPARE > (free := shutil.disk_usage(disk).free):
            raise OutputError(
                needed=f"{size_of(missing[device])} of free disk space for {printable(folder.name)}",
                found=f"{size_of(free)} free",
                next_step="free some space, or choose another disk: balance fill --out FOLDER",
            )
    total = sum(missing.values())
    progress.message(f"Disk: {size_of(total)} for {printable(str(place))} and the candidates")
    return total


def _size_of_all(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
