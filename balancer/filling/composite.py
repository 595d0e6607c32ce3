"""A painted part put into the real image that it belongs to: edges blended, intensities matched, the rest kept."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from balancer.imaging.decode import GreyImage, resize

Mask = npt.NDArray[np.bool_]
_EDGE = 0.03  # of the smaller side: how far outside the mask the painted part fades out
_GAIN = 1.25  # how far contrast is matched: more would be a change of the finding itself


def composite(painted: GreyImage, source: GreyImage, mask: Mask) -> GreyImage:
    """The source with the painted part in it, of the source's shape; where `faded` is 0, it is the source exactly.

    `painted` and `mask` may be of another size. What a smaller painted image is too coarse for, as grain, stays that of
    the source. Around the mask the painted part has mean and contrast of the source.
    """
    height, width = source.shape
    weight = faded(_stretched(mask, height, width))
    touched = weight > 0
    there = source[touched].astype(float)
    coarse, new = (resize(each, width, height)[touched].astype(float) for each in (_like(source, painted), painted))
    ring = weight[touched] < 1
    if ring.any():
        spread = new[ring].std()
        gain = float(np.clip(coarse[ring].std() / spread, 1 / _GAIN, _GAIN)) if spread > 0 else 1.0
        new = (new - new[ring].mean()) * gain + coarse[ring].mean()
    blended = there + weight[touched] * (new - coarse)
    result = source.copy()
    result[touched] = np.rint(np.clip(blended, 0, 255)).astype(np.uint8)
    return result


def _like(source: GreyImage, painted: GreyImage) -> GreyImage:
    """The source as coarse as what was painted; as it is where that is no smaller."""
    height, width = painted.shape
    return resize(source, width, height) if height < source.shape[0] or width < source.shape[1] else source


def faded(mask: Mask) -> npt.NDArray[np.float64]:
    """1 inside a mask, and outside down to 0 within 3% of the smaller side, two pixels at least.

    >>> faded(np.array([[1, 0, 0, 0, 0]], bool)).round(2).tolist()
    [[1.0, 0.67, 0.33, 0.0, 0.0]]
    """
    from scipy.ndimage import distance_transform_edt

    reach = max(3, round(_EDGE * min(mask.shape)))
    weight = np.zeros(mask.shape)
    rows, columns = (_span(np.any(mask, axis=axis), reach) for axis in (1, 0))
    far = distance_transform_edt(~mask[rows, columns])
    weight[rows, columns] = np.clip(1 - far / reach, 0, 1)
    return weight


def _span(there: npt.ArrayLike, reach: int) -> slice:
    places = np.flatnonzero(there)
    return slice(max(0, int(places[0]) - reach), int(places[-1]) + 1 + reach)


def _stretched(mask: Mask, height: int, width: int) -> Mask:
    """The mask at another size, smooth where it is enlarged; some pixel of it is always left."""
    if mask.shape == (height, width):
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    levels = np.asarray(grey)
    return levels >= min(128, int(levels.max()))
