"""An image made from a real one: does it differ from it in more than the intensities?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from analysis.data.images import Greys
from analysis.vision.copy_perturbations import apply_edits, draw_edits
from analysis.vision.registration import Coarse, Pixels, registered

_EDITED, _FOUND = 60, 0.05  # real images that are edited; the share of edits that may pass as different


@dataclass(frozen=True, slots=True)
class SourceGate:
    """`most` is the likeness in structure that nearly all images keep when only their intensities are edited."""

    most: float

    @classmethod
    def fit(cls, greys: Greys) -> SourceGate:
        """Edit the intensities of some real images (gamma, contrast, blur, noise, compression), and compare.

        Raises:
            ValueError: there are none.
        """
        if not len(greys):
            raise ValueError("real images are needed")
        some = greys[:: max(1, len(greys) // _EDITED)][:_EDITED]
        edited = edit_intensities(some)
        return cls(float(np.quantile([likeness(a, b) for a, b in zip(edited, some, strict=True)], _FOUND)))

    def same(self, value: float) -> bool:
        """Whether a likeness is that of one image whose intensities were edited."""
        return value >= self.most


def likeness(image: Greys, source: Greys) -> float:
    """How alike two images of shape (64, 64) are in structure: the mean of two registered correlations.

    One is of the ranks of the grey values, which no monotone edit of intensities changes, the other of their edges.
    """
    pairs = [(equalised(image), equalised(source))]
    pairs.append((_edges(pairs[0][0]), _edges(pairs[0][1])))
    return round(sum(_correlation(a, b) for a, b in pairs) / len(pairs), 5)


def equalised(grey: Greys) -> Greys:
    """Grey values replaced by their mid-ranks, 0 to 255.

    >>> equalised(np.array([[9, 9], [30, 200]], np.uint8)).tolist()
    [[64, 64], [159, 223]]
    """
    counts = np.bincount(grey.ravel(), minlength=256)
    ranks = (np.cumsum(counts) - counts / 2) / grey.size
    levels: Greys = np.rint(255 * ranks).astype(np.uint8)
    return levels[grey]


def edit_intensities(greys: Greys, seed: int = 0) -> Greys:
    """Images (N, 64, 64) that stay where they are and only change in light, grain and sharpness."""
    chance = torch.Generator().manual_seed(seed)
    drawn, still = draw_edits(len(greys), chance), torch.zeros(len(greys))
    moved = {"angle": still, "zoom": still + 1, "right": still, "down": still, "mirror": still + 1}
    softer = {"blur": drawn.blur / 2, "noise": drawn.noise / 4, "step": drawn.step / 4}
    softer |= {"contrast": (drawn.contrast + 1) / 2, "brightness": drawn.brightness / 3}  # what is clipped is lost
    edits = replace(drawn, **moved, **softer)
    images = torch.tensor(greys).unsqueeze(1).float() / 255
    edited = apply_edits(images, edits, chance).squeeze(1).numpy()
    levels: Greys = np.rint(255 * edited).astype(np.uint8)
    return levels


def _edges(grey: Greys) -> Greys:
    """Magnitude of the Sobel gradient, 0 to 255."""
    ways = torch.tensor([[[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]], [[[1, 2, 1], [0, 0, 0], [-1, -2, -1]]]]) / 8
    wide = F.pad(torch.tensor(grey).float()[None, None], (1, 1, 1, 1), mode="replicate")
    size = F.conv2d(wide, ways).square().sum(1).sqrt()[0]
    levels: Greys = np.rint((255 * size / size.max().clamp(min=1)).numpy()).astype(np.uint8)
    return levels


def _correlation(image: Greys, source: Greys) -> float:
    query, pool = Pixels.of(image[None]), Pixels.of(source[None])
    return float(registered(query, pool, Coarse.of(query, pool.windows).version)[0])
