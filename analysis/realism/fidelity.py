"""How near two sets of images are in an embedding: KID, FID, improved precision and recall.

Every figure is taken again and again between random halves, as many images on both sides, and so is the same figure
between halves of the real images: what it would be if the generator were perfect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.data.minimums import FIDELITY_IMAGES
from analysis.statistics.intervals import Groups, Interval

Embeddings = npt.NDArray[np.floating]
"""(N, D): an image a row."""

MAX_IMAGES = 2000
"""Images a side, above which nothing is gained."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Figures between real and synthetic images, the same between two halves of the real ones, and the differences.

    `images` is how many there were on each side.
    """

    images: int
    figures: Mapping[str, Interval]
    reference: Mapping[str, Interval]
    excess: Mapping[str, Interval]


def kid(x: Embeddings, y: Embeddings) -> float:
    """Kernel Inception Distance: the unbiased squared MMD with the kernel (x.y / D + 1)^3 (Bińkowski et al. 2018).

    Its expectation for two samples of one distribution is 0, so that it may be negative.

    >>> kid(np.zeros((4, 3)), np.zeros((5, 3)))
    0.0
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    n, m = len(x), len(y)
    xx, yy, xy = ((one @ other.T / x.shape[1] + 1) ** 3 for one, other in ((x, x), (y, y), (x, y)))
    inside = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(inside - 2 * xy.mean())


def fid(x: Embeddings, y: Embeddings) -> float:
    """Fréchet distance of two normal distributions (Heusel et al. 2017), in float64.

    Biased upwards, the more the fewer images there are for the D dimensions: compare it only at equal numbers.

    >>> round(fid(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]])), 6)
    9.0
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    one, other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (x, y))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    apart = x.mean(axis=0) - y.mean(axis=0)
    return float(max(0.0, apart @ apart + np.trace(one) + np.trace(other) - 2 * shared))


def precision_recall(real: Embeddings, synthetic: Embeddings, k: int = 5) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019).

    Precision is the share of synthetic images that lie within the reach of a real one, its distance to its k-th
    nearest real neighbour: do they look real? Recall is the same the other way round: is every kind of real image
    there?

    >>> precision_recall(np.arange(8.0)[:, None], np.arange(8.0)[:, None] + 100, k=2)
    (0.0, 0.0)

    Raises:
        ValueError: there are not more than `k` images on a side.
    """
    if min(len(real), len(synthetic)) <= k:
        raise ValueError(f"more than {k} images on each side; got {len(real)} and {len(synthetic)}")
    between = _distances(real, synthetic)
    precision = (between <= _reach(real, k)[:, None]).any(axis=0).mean()
    recall = (between <= _reach(synthetic, k)[None, :]).any(axis=1).mean()
    return float(precision), float(recall)


def measure_fidelity(
    real: Embeddings,
    synthetic: Embeddings,
    groups: tuple[Groups, Groups],
    *,
    k: int = 5,
    draws: int = 40,
    seed: int = 0,
) -> Fidelity | None:
    """All figures, each the mean over random halves with the middle 95% of them; `None` where there are too few.

    Halves are drawn by patient. A half deviates from the whole as much as the whole does from the truth, so that the
    spread is an interval of the figure (Wu 1986, delete-half jackknife); where one side was cut down to the size of
    the other it is too wide rather than too narrow.
    """
    chance = np.random.default_rng(seed)
    halves = [(*_halves(groups[0], chance), _halves(groups[1], chance)[0]) for _ in range(draws)]
    images = min(MAX_IMAGES, min(len(each) for some in halves for each in some))
    if images < max(FIDELITY_IMAGES, k + 1):
        return None
    found, reference = [], []
    for some in halves:
        one, other, made = (chance.permutation(each)[:images] for each in some)
        found.append(_figures(real[one], synthetic[made], k))
        reference.append(_figures(real[one], real[other], k))
    excess = [{name: one[name] - same[name] for name in one} for one, same in zip(found, reference, strict=True)]
    return Fidelity(images, _summed_up(found), _summed_up(reference), _summed_up(excess))


def _figures(real: Embeddings, other: Embeddings, k: int) -> dict[str, float]:
    precision, recall = precision_recall(real, other, k)
    return {"kid": kid(real, other), "fid": fid(real, other), "precision": precision, "recall": recall}


def _summed_up(found: list[dict[str, float]]) -> dict[str, Interval]:
    columns = {name: np.array([each[name] for each in found]) for name in found[0]}
    return {
        name: Interval(float(values.mean()), *map(float, np.quantile(values, [0.025, 0.975])))
        for name, values in columns.items()
    }


def _halves(groups: Groups, chance: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The places of two halves, cut between groups as near the middle as they allow."""
    shuffled = chance.permutation(np.unique(groups))
    order = np.argsort(np.argsort(shuffled)[np.searchsorted(np.sort(shuffled), groups)], kind="stable")
    borders = np.flatnonzero(np.diff(groups[order])) + 1
    if not len(borders):
        return order, order[:0]
    cut = borders[np.argmin(np.abs(borders - len(groups) / 2))]
    return order[:cut], order[cut:]


def _reach(points: Embeddings, k: int) -> npt.NDArray[np.float64]:
    """Each point's distance to its k-th nearest other one."""
    among: npt.NDArray[np.float64] = np.partition(_distances(points, points), k, axis=1)[:, k]  # 0 is the point itself
    return among


def _distances(one: Embeddings, other: Embeddings) -> npt.NDArray[np.float64]:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(one, other), np.float64)
