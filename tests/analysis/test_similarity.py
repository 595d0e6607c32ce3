import numpy as np
import pytest

from analysis import similarity
from analysis.similarity import nearest


def unit(count, seed, width=16):
    vectors = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_neighbours_are_exact_over_several_blocks(monkeypatch):
    monkeypatch.setattr(similarity, "_BLOCK", 7)
    queries, pool = unit(20, 0), unit(50, 1)
    alike = queries @ pool.T
    best, where = nearest(queries, pool, 3)
    assert np.array_equal(where, np.argsort(-alike, axis=1)[:, :3])
    assert np.allclose(best, np.take_along_axis(alike, where, 1), atol=1e-6)


def test_beyond_the_bound_a_library_finds_them(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(similarity, "EXACT", 500)
    pool = unit(2000, 1)
    best, where = nearest(pool[:100], pool)
    assert np.array_equal(where[:, 0], np.arange(100))
    assert np.allclose(best, 1, atol=1e-5)


def test_a_pool_that_is_too_small_is_an_error():
    with pytest.raises(ValueError, match="needed: 2 images"):
        nearest(unit(1, 0), unit(1, 1), 2)
