"""The way into an image file, within limits, so that no file can take all time or memory."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from balancer.errors import ImageError
from balancer.imaging.decode_limits import (
    MAX_BYTES,
    MAX_BYTES_BESIDE_PIXELS,
    MAX_READS,
    require_scans,
    require_size,
)

CODECS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_JPEG = b"\xff\xd8\xff"
_PIXEL = 8  # bytes of one at most, before compression
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for ever


@contextmanager
def opened(path: Path, *, decode: bool = True) -> Iterator[ImageFile.ImageFile]:
    """A PNG, JPEG, TIFF, BMP or WebP file as Pillow opens it; whatever goes wrong with it meanwhile is an ImageError.

    `decode`: its pixels are wanted, not its header alone.

    Raises:
        ImageError: it is no such image, is damaged, or would take too much to decode.
    """
    try:
        with os.fdopen(open_plainly(path), "rb") as file:
            budget = Budget(_with_bearable_scans(file) if decode else file, path.name)
            with Image.open(budget, formats=CODECS) as image:  # type: ignore[arg-type]  # all that Pillow calls is there
                require_size(image.width, image.height)
                budget.allow(image.width * image.height * _PIXEL)
                yield image
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on damaged files, AssertionError too
        raise unreadable(path, error) from error


def _with_bearable_scans(file: BinaryIO) -> BinaryIO:
    """The same file; a JPEG read once, into memory, since its passes are counted before it is decoded."""
    beginning = file.read(len(_JPEG))
    if beginning != _JPEG:
        file.seek(0)
        return file
    content = beginning + file.read()
    require_scans(content)
    return io.BytesIO(content)


def open_plainly(path: str | Path) -> int:
    """The descriptor of a plain file of a bearable size.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no plain file, or too large.
    """
    file = os.open(path, _READ)
    status = os.fstat(file)
    if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
        return file
    os.close(file)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    raise ValueError(f"too large: {status.st_size:,} bytes; an X-ray has at most {MAX_BYTES:,}")


def unreadable(path: Path, error: BaseException) -> ImageError:
    """What is said of a file that cannot be read; it names no folder."""
    return ImageError(
        needed="a PNG, JPEG, TIFF, BMP, WebP or DICOM image that can be decoded",
        found=f"{path.name}: {str(error).replace(str(path), path.name) or type(error).__name__}",
        next_step="repair the file or remove it from the collection, then run: balance scan DATA --deep",
    )


class Budget:
    """A file that can be read so often and so much: millions of sections keep a reader busy, long ones fill memory."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._reads, self._bytes = MAX_READS, MAX_BYTES_BESIDE_PIXELS
        self.seek, self.tell, self.fileno, self.close = file.seek, file.tell, file.fileno, file.close

    def __repr__(self) -> str:
        return repr(self._name)

    def allow(self, count: int) -> None:
        """Let so many bytes more be read."""
        self._bytes += count

    def read(self, count: int = -1, /) -> bytes:
        """What a file's `read` gives, up to one byte beyond what is allowed."""
        self._reads -= 1
        content = self._file.read(self._bytes + 1 if count < 0 else min(count, self._bytes + 1))
        self._bytes -= len(content)
        if self._reads < 0 or self._bytes < 0:
            raise ValueError("too much data beside the pixels")
        return content

    def readline(self, count: int = -1, /) -> bytes:
        """One line of at most `count` bytes (without it, of the budget); it counts as one read."""
        self._reads -= 1
        return self._file.readline(MAX_BYTES_BESIDE_PIXELS if count < 0 else min(count, MAX_BYTES_BESIDE_PIXELS))
