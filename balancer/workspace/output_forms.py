"""In which form a balanced folder is written: as the collection's files are; of DICOM as PNG, DICOM, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.errors import OutputError

if TYPE_CHECKING:
    from balancer.collection.scan import Collection


def output_forms(collection: Collection, place: Path, format: str | None) -> list[tuple[Path, str]]:
    """The balanced folders to be written, each with its form; `format` left out means both where most is DICOM.

    Raises:
        OutputError: DICOM is asked for where the collection is none.
    """
    from balancer.imaging.dicom import FORMAT

    share = float((collection.images["format"] == FORMAT).mean())
    if format in ("dicom", "both") and not share:
        raise OutputError(
            needed=f"a DICOM collection for --format {format}",
            found="none of its files is DICOM: they are copied as they are",
            next_step="leave --format out: balance fill",
        )
    format = format or ("both" if share > 0.5 else "png")
    return [(place, "png"), (dicom_place(place), "dicom")] if format == "both" else [(place, format)]


def dicom_place(place: Path) -> Path:
    """Where DICOM lies beside a balanced folder of PNG.

    >>> dicom_place(Path("xrays-balanced")).as_posix()
    'xrays-balanced-dicom'
    """
    return place.with_name(f"{place.name}-dicom")
