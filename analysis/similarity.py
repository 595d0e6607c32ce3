"""Nearest neighbours among vectors of unit length.

Up to 100,000 images they are exact, by blocks of a matrix product; beyond, faiss finds them where it is
installed (`pip install xray-balancer[large]`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from analysis.vision.copy_embedding import Vectors

EXACT = 100_000
"""Up to so many images nearest neighbours are exact."""
Places = npt.NDArray[np.int64]
_BLOCK = 8192


def nearest(queries: Vectors, pool: Vectors, count: int = 1) -> tuple[Vectors, Places]:
    """Cosine and place in `pool` of the nearest `count` for each query, best first; all vectors of unit length.

    >>> one = np.eye(3, dtype=np.float32)
    >>> nearest(one[:1], one)[1].tolist()
    [[0]]

    Raises:
        ValueError: the pool holds fewer than `count`.
    """
    if len(pool) < count:
        raise ValueError(f"needed: {count} images to search, found: {len(pool)}")
    if len(pool) > EXACT and (found := _with_faiss(queries, pool, count)) is not None:
        return found
    best = torch.full((len(queries), count), -math.inf)
    where = torch.zeros((len(queries), count), dtype=torch.int64)
    for rows in _blocks(len(queries)):
        some = torch.from_numpy(queries[rows])
        for columns in _blocks(len(pool)):
            alike = some @ torch.from_numpy(pool[columns]).T
            top, place = alike.max(1, keepdim=True) if count == 1 else alike.topk(min(count, alike.shape[1]), dim=1)
            values, places = torch.cat([best[rows], top], 1), torch.cat([where[rows], place + columns.start], 1)
            best[rows], order = values.topk(count, dim=1)
            where[rows] = places.gather(1, order)
    return best.numpy(), where.numpy()


def _with_faiss(queries: Vectors, pool: Vectors, count: int) -> tuple[Vectors, Places] | None:
    """The same, nearly, by an inverted file of cells of which the nearest eighth is searched; `None` without faiss."""
    try:
        import faiss
    except ImportError:
        return None
    cells = round(4 * math.sqrt(len(pool)))
    index: Any = faiss.index_factory(pool.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.nprobe = 1, max(8, cells // 8)
    index.train(pool[:: max(1, len(pool) // (40 * cells))])
    index.add(pool)
    best, where = index.search(queries, count)
    return best, where


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))
