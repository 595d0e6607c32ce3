"""Files of a balanced folder that are made from the pixels of others: PNG of DICOM, and secondary captures."""

from __future__ import annotations

from pathlib import Path

from balancer.dataset.layout import Entry
from balancer.imaging.decode import encode_png, read_grey, read_xmp
from balancer.imaging.secondary_capture import secondary_capture


def converted(entry: Entry) -> bytes:
    """The content of a file that is no copy: nothing of the source's header is in it.

    Raises:
        ImageError: its source cannot be decoded.
    """
    source = Path(entry.source)
    grey = read_grey(source)
    if entry.form == "png":
        return encode_png(grey)
    xmp = None if entry.made is None else read_xmp(source)
    return secondary_capture(grey, name=entry.path, patient=entry.patient, xmp=xmp)
