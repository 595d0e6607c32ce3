"""What was painted into a real image: is it a part of another real image of the class?"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from analysis.data.images import Greys
from analysis.screening.reference_images import Reals
from balancer.imaging.decode import GreyImage, resize
from balancer.parallel import one_thread

_LEAST, _STEP = 8, 4  # pixels of 64: the least side of what is compared, and the grid that it is brought to
_MOST = 300  # real images that are searched
_ASKED = 24  # real images that tell how alike parts of different patients are
Box = tuple[int, int, int, int]


@dataclass(slots=True)
class InsideGate:
    """Parts of real images (N, 64, 64), and how alike those of different patients are, by label and place."""

    greys: Greys
    groups: npt.NDArray[np.int64]
    _usual: dict[tuple[bytes, Box], float] = field(default_factory=dict)

    @classmethod
    def of(cls, reals: Reals) -> InsideGate:
        """The gate of the real images that a screen has."""
        return cls(reals.images.greys, reals.groups)

    def likeness(
        self, grey: GreyImage, mask: npt.NDArray[np.bool_], of_class: npt.NDArray[np.bool_], source: int | None
    ) -> tuple[float, float] | None:
        """How alike the painted part is to the most similar part of any image of the class, wherever that lies there.

        And how alike the same part of real images of the class comes to those of other patients at most. `source` is
        the place of the image that was painted into, whose patient does not count. `None`: there are too few images.
        """
        own = -1 if source is None else int(self.groups[source])
        places = np.flatnonzero(of_class & ((self.groups != own) | (self.groups < 0)))
        if source is not None:
            places = places[places != source]
        places = places[:: max(1, len(places) // _MOST)][:_MOST]
        if len(places) < 2:
            return None
        box = _box(mask, grey.shape[0])
        with one_thread():
            value = float(_best(grey, self.greys[places], box).max())
            return round(value, 5), self._usual_of(places, box)

    def _usual_of(self, places: npt.NDArray[np.int64], box: Box) -> float:
        key = places.tobytes(), box
        if key not in self._usual:
            found = []
            for place in places[:: max(1, len(places) // _ASKED)][:_ASKED]:
                others = self.groups[places] != self.groups[place] if self.groups[place] >= 0 else places != place
                if others.any():
                    found.append(float(_best(self.greys[place], self.greys[places[others]], box).max()))
            self._usual[key] = round(max(found, default=1.0), 5)
        return self._usual[key]


def _best(grey: GreyImage, pool: Greys, box: Box) -> torch.Tensor:
    """For each image of a pool the highest correlation of any part of it with the part of an image in a box."""
    top, left, bottom, right = box
    part = torch.from_numpy(grey[top:bottom, left:right].astype(np.float32))
    part = part - part.mean()
    images = torch.from_numpy(pool.astype(np.float32))[:, None]
    count, ones = part.numel(), torch.ones(1, 1, *part.shape)
    total, squares = F.conv2d(images, ones), F.conv2d(images.square(), ones)
    spread = (squares - total.square() / count).clamp(min=1.0).sqrt()
    alike = F.conv2d(images, part[None, None]) / (spread * part.square().sum().clamp(min=1.0).sqrt())
    return alike.flatten(1).amax(1).clamp(max=1.0)


def _box(mask: npt.NDArray[np.bool_], side: int) -> Box:
    """The box of a mask in an image of (side, side), on a grid, so that many masks have the same."""
    levels = resize(mask.astype(np.uint8) * 255, side, side)
    seen = levels >= min(128, int(levels.max()))
    spans = [np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0)]
    (top, bottom), (left, right) = (_on_grid(int(each[0]), int(each[-1]) + 1, side) for each in spans)
    return top, left, bottom, right


def _on_grid(first: int, last: int, side: int) -> tuple[int, int]:
    """A span of at least the least side, its ends on the grid.

    >>> _on_grid(9, 11, 64), _on_grid(61, 64, 64), _on_grid(3, 60, 64)
    ((8, 16), (56, 64), (0, 60))
    """
    first, last = first // _STEP * _STEP, min(side, -(-last // _STEP) * _STEP)
    last = min(side, max(last, first + _LEAST))
    return max(0, min(first, last - _LEAST)), last
