import numpy as np
import pytest

from analysis.vision.copy_embedding import WIDTH, Embedding, train_embedding, usual_steps
from examples.phantoms import draw_radiograph


@pytest.fixture(scope="module")
def greys():
    return np.stack([draw_radiograph("normal", patient) for patient in range(60)])


@pytest.fixture(scope="module")
def embedding(greys):
    return train_embedding(greys[:50], steps=12)


def test_vectors_have_unit_length_and_mirrored_copies_stay_near(embedding, greys):
    vectors = embedding.embed(greys[50:])
    assert vectors.shape == (10, WIDTH)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    brighter = embedding.embed((greys[50:] * 0.8 + 20).astype(np.uint8))
    alike = brighter @ vectors.T
    assert (alike.argmax(1) == np.arange(10)).mean() >= 0.9


def test_a_vector_does_not_depend_on_its_company(embedding, greys):
    alone = np.concatenate([embedding.embed(greys[[place]]) for place in range(5)])
    assert np.array_equal(embedding.embed(greys)[:5], alone)
    assert embedding.embed(greys[:0]).shape == (0, WIDTH)


def test_the_same_images_and_seed_give_the_same_embedding(greys):
    one, again, other = (train_embedding(greys[:30], seed=seed, steps=2).embed(greys[:9]) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_what_was_saved_is_what_is_loaded(embedding, greys, tmp_path):
    embedding.save(tmp_path / "e.safetensors", {"steps": 12})
    assert (tmp_path / "e.json").read_text() == '{\n "steps": 12\n}'
    loaded = Embedding.load(tmp_path / "e.safetensors")
    assert np.array_equal(loaded.embed(greys), embedding.embed(greys))
    (tmp_path / "e.safetensors").write_bytes(b"half")
    assert Embedding.load(tmp_path / "e.safetensors") is None


def test_images_of_one_patient_are_not_pushed_apart(greys):
    pairs = np.concatenate([greys[:20], (greys[:20] * 0.9).astype(np.uint8)])
    known = train_embedding(pairs, steps=4, groups=np.tile(np.arange(20), 2)).embed(pairs)
    unknown = train_embedding(pairs, steps=4).embed(pairs)
    assert (known[:20] * known[20:]).sum(1).mean() > (unknown[:20] * unknown[20:]).sum(1).mean() - 1e-3


def test_one_image_is_not_enough(greys):
    with pytest.raises(ValueError, match="two images"):
        train_embedding(greys[:1])


def test_steps_grow_with_the_collection_up_to_a_bound():
    assert [usual_steps(count) for count in (1, 2000, 10**6)] == [60, 250, 400]
