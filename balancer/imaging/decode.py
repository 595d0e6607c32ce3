"""Any X-ray file to one canonical 8-bit grey array, and back to a file in the collection's own format."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin

from balancer.errors import ImageError
from balancer.imaging.dicom import FORMAT, read_dicom_grey, read_dicom_header, starts_as_dicom
from balancer.imaging.grey import GreyImage as GreyImage
from balancer.imaging.grey import Header as Header
from balancer.imaging.grey import rescaled, robust_window
from balancer.imaging.safe_open import opened
from balancer.imaging.secondary_capture import read_capture_xmp

EXTENSIONS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
}
_DEEP_MODES = ("I", "F")  # and all that begin with "I;": more than 8 bits a pixel
_FORMATS_SAMPLED = 64
_BAND = 256  # rows that are rescaled at once


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The file format that a collection's training images mostly have.

    `size` is (width, height) in pixels where one size holds for at least half of them, else `None`. `levels` are the
    usual darkest and brightest value of files with more than 8 bits. `tables` and `subsampling` are JPEG's, so that a
    new file is compressed as hard as the real ones; `lossless` is WebP's, `compression` TIFF's.
    """

    codec: str
    extension: str
    mode: str
    bits: int
    size: tuple[int, int] | None
    levels: tuple[float, float] = (0, 255)
    tables: tuple[tuple[int, ...], ...] | None = None
    subsampling: int = -1
    lossless: bool = True
    compression: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> OutputFormat:
        """The format whose fields went through JSON, which knows lists only."""
        tables = fields["tables"] and tuple(tuple(table) for table in fields["tables"])
        size = fields["size"] and tuple(fields["size"])
        return cls(**{**fields, "size": size, "levels": tuple(fields["levels"]), "tables": tables})

    @property
    def kind(self) -> tuple[object, ...]:
        """What a reader of the file sees of its format."""
        return self.codec, self.extension, self.mode, self.bits, self.size


def read_header(path: Path) -> Header:
    """Read format, mode and size without decoding the pixels.

    Raises:
        ImageError: the file is not a readable PNG, JPEG, TIFF, BMP, WebP or DICOM image.
    """
    if starts_as_dicom(path):
        return read_dicom_header(path)
    with opened(path, decode=False) as image:
        return Header(str(image.format), image.mode, _bits(image), image.width, image.height)


def read_grey(path: Path) -> GreyImage:
    """Decode any supported X-ray file to shape (height, width).

    Up to 8 bits the values stay as they are and colour becomes luminance. Above 8 bits they are stretched to 0 and 255
    by `robust_window`: Pillow's own conversion would clip all above 255 to white. DICOM is seen as its header says.

    Raises:
        ImageError: the file cannot be decoded, or holds values that are not numbers.
    """
    if starts_as_dicom(path):
        return read_dicom_grey(path)
    with opened(path) as image:
        return _to_grey(image)


def read_small(path: Path, side: int) -> tuple[Image.Image, int]:
    """Decode a file to a grey Pillow image of (side, side) pixels, stretched, and count its frames.

    A JPEG is decoded at the smallest scale that is not below `side`, its brightness alone: much faster, and still
    every byte of it is read, so that a truncated file is found. Of DICOM the headers tell how many frames there are: 1
    is counted here.

    Raises:
        ImageError: the file cannot be decoded, or holds values that are not numbers.
    """
    if starts_as_dicom(path):
        return Image.fromarray(read_dicom_grey(path)).resize((side, side), Image.Resampling.BOX), 1
    with opened(path) as image:
        image.draft("L" if image.mode in ("L", "RGB") else None, (side, side))
        plain = image.mode == "L" and not image.has_transparency_data
        frames = int(getattr(image, "n_frames", 1))  # a TIFF's are counted before its pixels are decoded
        grey = image if plain else Image.fromarray(_to_grey(image))
        whole = grey.size == (side, side) and grey is not image
        return (grey if whole else grey.resize((side, side), Image.Resampling.BOX)), frames


def resize(grey: GreyImage, width: int, height: int) -> GreyImage:
    """Stretch to (height, width), antialiased.

    >>> resize(np.full((8, 6), 7, np.uint8), width=3, height=2).tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    if grey.shape == (height, width):
        return grey
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.LANCZOS))


def encode_png(grey: GreyImage) -> bytes:
    """A PNG of 8 bits without anything beside its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def encode(grey: GreyImage, output: OutputFormat, xmp: bytes) -> bytes:
    """Turn a grey image into the bytes of a file in `output`'s format that carries `xmp`.

    BMP has no room for metadata: there the ledger and the tables beside the images are the only record.
    """
    image = _to_mode(grey, output)
    buffer = io.BytesIO()
    image.save(buffer, output.codec, **_save_options(output, xmp))
    return buffer.getvalue()


def read_xmp(path: Path) -> bytes | None:
    """The XMP packet of an image file, or `None` where there is none.

    Raises:
        ImageError: the file is no readable image.
    """
    if starts_as_dicom(path):
        return read_capture_xmp(path)
    with opened(path, decode=False) as image:
        found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        if found is None and image.format == "TIFF":
            found = image.tag_v2.get(700)  # type: ignore[attr-defined]  # only TIFF images have tags
        packet = found.encode("utf-8", "replace") if isinstance(found, str) else found
        return packet if isinstance(packet, bytes) else None  # a TIFF may have a number in its place


def common_format(headers: Iterable[tuple[str, Header]], root: Path) -> OutputFormat:
    """The format that most of the given files have; `headers` pairs paths relative to `root` with their headers.

    Beside DICOM it is PNG of 8 bits, which every loader reads; `secondary_capture` makes DICOM of it again.

    Raises:
        ImageError: a file that was looked at more closely cannot be decoded.
    """
    known = list(headers)
    of_dicom = _most(header.format for _, header in known) == FORMAT
    if of_dicom:
        known = [(path, replace(header, format="PNG", mode="L", bits=8)) for path, header in known]
    codec, mode, bits = _most(((h.format, h.mode, h.bits) for _, h in known))
    same = [path for path, h in known if (h.format, h.mode, h.bits) == (codec, mode, bits)]
    sizes = Counter((h.width, h.height) for _, h in known)
    size, often = sizes.most_common(1)[0]
    closer = [root / path for path in same[:: max(1, len(same) // _FORMATS_SAMPLED)]]
    return OutputFormat(
        codec=codec,
        extension=".png" if of_dicom else _most(Path(path).suffix for path in same),
        mode=mode,
        bits=bits,
        size=size if often * 2 >= len(known) else None,
        levels=_common_levels(closer) if _is_deep(mode) else (0, 255),
        **_common_compression(codec, closer),
    )


def raise_if_disk_failed(error: ImageError) -> None:
    """Raise what the system said, where that is why an image could not be read: the image may well be sound.

    Raises:
        OSError: of the system, as for a bad disk.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno is not None:  # Pillow's own have no number
        raise cause


def _bits(image: ImageFile.ImageFile) -> int:
    if image.mode in ("I", "F"):
        return 32
    if image.mode == "1":
        return 1
    raw = str(image.tile[0].args) if image.tile else ""  # an RGB file of 16 bits shows only in its raw mode
    return 16 if image.mode.startswith("I;16") or ";16" in raw else 8


def _is_deep(mode: str) -> bool:
    return mode in _DEEP_MODES or mode.startswith("I;")


def _to_grey(image: Image.Image) -> GreyImage:
    if _is_deep(image.mode):
        return rescaled(np.asarray(image))
    if not image.has_transparency_data:
        return np.array(image if image.mode == "L" else image.convert("L"))
    grey = np.empty((image.height, image.width), np.uint8)
    for top in range(0, image.height, _BAND):  # the whole would be in memory four times over
        band = image.crop((0, top, image.width, min(top + _BAND, image.height))).convert("RGBA")
        grey[top : top + _BAND] = np.asarray(
            Image.alpha_composite(Image.new("RGBA", band.size, "black"), band).convert("L")
        )
    return grey


def _to_mode(grey: GreyImage, output: OutputFormat) -> Image.Image:
    if not _is_deep(output.mode):
        return Image.fromarray(grey).convert(output.mode)
    low, high = output.levels
    values = low + grey.astype(np.float64) * ((high - low) / 255)
    if output.mode == "F":
        return Image.fromarray(values.astype(np.float32))
    return Image.fromarray(np.rint(values).astype(np.int32 if output.mode == "I" else np.uint16))


def _save_options(output: OutputFormat, xmp: bytes) -> dict[str, Any]:
    if output.codec == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return {"pnginfo": info, "compress_level": 4}  # a third of the time of the default, 2% more bytes
    if output.codec == "JPEG":
        tables = [list(table) for table in output.tables] if output.tables else None
        known = {"qtables": tables, "subsampling": output.subsampling} if tables else {"quality": 95}
        return {**known, "xmp": xmp}
    if output.codec == "WEBP":
        return {"lossless": output.lossless, "quality": 90, "xmp": xmp}
    if output.codec == "TIFF":
        return {"tiffinfo": {700: xmp}, "compression": output.compression}
    return {}


def _common_levels(paths: Sequence[Path]) -> tuple[float, float]:
    windows: list[tuple[float, float]] = []
    for path in paths:
        with opened(path) as image:
            windows.append(robust_window(np.asarray(image)))
    low, high = np.median(np.array(windows), axis=0)
    return float(low), float(high)


def _common_compression(codec: str, paths: Sequence[Path]) -> dict[str, Any]:
    if codec not in ("JPEG", "TIFF", "WEBP"):
        return {}
    return dict(_most(_compression(path) for path in paths))


def _compression(path: Path) -> tuple[tuple[str, Any], ...]:
    """How one file is compressed, as hashable items of `OutputFormat`'s fields."""
    with opened(path, decode=False) as image:
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
            return ("tables", tables), ("subsampling", JpegImagePlugin.get_sampling(image))
        if image.format == "TIFF":
            return (("compression", image.info.get("compression")),)
    with path.open("rb") as file:
        return (("lossless", b"VP8L" in file.read(4096)),)


def _most(values: Iterable[Any]) -> Any:
    return Counter(values).most_common(1)[0][0]
