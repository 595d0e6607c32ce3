"""Stored values of a DICOM image to grey levels, by the steps of the standard and in their order (PS3.3 C.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from balancer.imaging.grey import GreyImage, robust_window, windowed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[Any]


def to_grey(stored: Values, header: Dataset) -> GreyImage:
    """Stored values of shape (rows, columns) or (rows, columns, 3) as a person is meant to see them.

    The order of PS3.3 C.11: modality, values of interest, presentation. Padding has no part in it and becomes black.

    Raises:
        ValueError: values that are no finite numbers.
    """
    if stored.ndim == 3:
        return _luminance(stored)
    padding = padded(stored, header)
    grey = of_interest(modality(stored, header), header, padding)
    grey = 255 - grey if is_inverted(header) else grey
    if padding is not None:
        grey[padding] = 0
    return grey


def padded(stored: Values, header: Dataset) -> npt.NDArray[np.bool_] | None:
    """Which pixels lie outside the image (PS3.3 C.7.5.1.1.2); None where the header tells of none."""
    value, limit = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if value is None:
        return None
    low, high = sorted((_number(value), _number(value if limit is None else limit)))
    found = (stored >= low) & (stored <= high)
    return found if found.any() and not found.all() else None


def modality(stored: Values, header: Dataset) -> Values:
    """The values that the device measured: by a table, or slope and intercept (PS3.3 C.11.1)."""
    if header.get("ModalityLUTSequence"):
        from pydicom.pixels.processing import apply_modality_lut

        return apply_modality_lut(stored, header)
    slope, intercept = (_number(header.get(name), 0.0) for name in ("RescaleSlope", "RescaleIntercept"))
    if not slope or (slope, intercept) == (1, 0):
        return stored
    return np.asarray(stored.astype(np.float32) * np.float32(slope) + np.float32(intercept))


def of_interest(values: Values, header: Dataset, padding: npt.NDArray[np.bool_] | None = None) -> GreyImage:
    """Grey levels by the header's table or its first window (PS3.3 C.11.2), else by `robust_window`.

    A window in which nothing is to be seen is left aside. Values of 8 bits without a window stay as they are.
    """
    grey = _by_table(values, header) if header.get("VOILUTSequence") else _by_window(values, header)
    seen = values if padding is None else values[~padding]
    if grey is not None and len(np.unique(grey if padding is None else grey[~padding])) > 1:
        return grey
    if values.dtype == np.uint8:
        top = 2 ** min(8, max(1, int(header.get("BitsStored", 8)))) - 1
        return values if top == 255 else windowed(values, 0, top)
    return windowed(values, *robust_window(seen))


def is_inverted(header: Dataset) -> bool:
    """Whether small values are bright, by the photometric interpretation alone.

    Some devices write a Presentation LUT Shape that contradicts it.
    """
    return str(header.get("PhotometricInterpretation", "")).upper() == "MONOCHROME1"


def _by_table(values: Values, header: Dataset) -> GreyImage | None:
    from pydicom.pixels.processing import apply_voi

    depth = int(header.VOILUTSequence[0].LUTDescriptor[2])
    whole = values if values.dtype.kind in "iu" else np.rint(values).astype(np.int32)
    return windowed(apply_voi(whole, header), 0, 2**depth - 1)


def _by_window(values: Values, header: Dataset) -> GreyImage | None:
    """Grey levels by the first window, in a straight line or a curve (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    center, width = (_number(_first(header.get(name))) for name in ("WindowCenter", "WindowWidth"))
    if not (np.isfinite(center) and np.isfinite(width)) or width <= 0:
        return None
    function = str(header.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        curve = 1 / (1 + np.exp(-4 * np.clip((values.astype(np.float32) - center) / width, -20, 20)))
        return windowed(curve, 0, 1)
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)
    return windowed(values, center - width / 2, center + width / 2)


def _luminance(colours: Values) -> GreyImage:
    deep = colours if colours.dtype == np.uint8 else windowed(colours, 0, float(np.iinfo(colours.dtype).max))
    return np.array(Image.fromarray(np.ascontiguousarray(deep)).convert("L"))


def _first(value: Any) -> Any:
    return value[0] if type(value).__name__ == "MultiValue" and len(value) else value


def _number(value: Any, otherwise: float = float("nan")) -> float:
    try:
        found = float(_first(value))
    except (TypeError, ValueError):
        return otherwise
    return found if np.isfinite(found) else otherwise
