from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.vision.augmentation import Augmentation
from analysis.vision.classifier import ClassifierSettings, _batches, train_classifier

QUICK = ClassifierSettings(steps=40, batch_size=16, width=16, augmentation=Augmentation.none())


def two_kinds(count=60, seed=0):
    """Stripes that lie and stripes that stand, in noise."""
    chance = np.random.default_rng(seed)
    stripes = np.where(np.arange(32) % 8 < 4, 90, 160)
    targets = np.arange(count) % 2
    greys = np.where(targets[:, None, None] == 1, stripes[None, :, None], stripes[None, None, :])
    return (greys + chance.normal(0, 20, greys.shape)).clip(0, 255).astype(np.uint8), targets.astype(np.int64)


@pytest.fixture(scope="module")
def trained():
    return train_classifier(*two_kinds(), ("standing", "lying"), QUICK)


def test_it_learns_what_can_be_seen(trained):
    greys, targets = two_kinds(seed=1)
    probabilities = trained.probabilities(greys)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (60, 2)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == targets).mean() > 0.95


def test_features_come_before_the_last_layer(trained):
    assert trained.features(two_kinds()[0]).shape == (60, 64)
    assert trained.features(two_kinds()[0][:0]).shape == (0, 64)


def test_equal_seeds_give_equal_classifiers_and_leave_torch_alone(trained):
    before = torch.random.get_rng_state()
    again = train_classifier(*two_kinds(), ("standing", "lying"), QUICK)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(trained.probabilities(two_kinds()[0]), again.probabilities(two_kinds()[0]))
    other = train_classifier(*two_kinds(), ("standing", "lying"), replace(QUICK, seed=1))
    assert not np.array_equal(trained.probabilities(two_kinds()[0]), other.probabilities(two_kinds()[0]))


def test_it_goes_on_from_another_and_leaves_that_as_it_was(trained):
    greys, targets = two_kinds()
    before = trained.probabilities(greys)
    turned = train_classifier(greys, 1 - targets, ("a", "b"), replace(QUICK, steps=60), start=trained)
    assert np.array_equal(before, trained.probabilities(greys))
    assert (turned.probabilities(greys).argmax(axis=1) == 1 - targets).mean() > 0.95
    still = train_classifier(greys, targets, ("a", "b"), replace(QUICK, steps=0), start=trained)
    assert np.array_equal(before, still.probabilities(greys))


def test_the_loss_can_be_another(trained):
    greys, targets = two_kinds()
    prior = torch.tensor([8.0, 0.0])  # adjusted logits: the first class is taken to be far commoner than it is
    adjusted = train_classifier(
        greys, targets, ("a", "b"), QUICK, loss=lambda logits, t: torch.nn.functional.cross_entropy(logits + prior, t)
    )
    assert adjusted.probabilities(greys)[:, 1].mean() > trained.probabilities(greys)[:, 1].mean()


def drawn(sampling, weights=None, steps=50):
    targets = np.array([0] * 90 + [1] * 10)
    settings = replace(QUICK, sampling=sampling, steps=steps, batch_size=10)
    return torch.stack(list(_batches(targets, settings, weights)))


def test_plain_sampling_shows_every_image_equally_often():
    assert torch.bincount(drawn("plain").ravel()).tolist() == [5] * 100


def test_balanced_sampling_shows_every_class_equally_often():
    assert 0.42 < float((drawn("balanced") >= 90).float().mean()) < 0.58


def test_weighted_sampling_leaves_out_what_weighs_nothing():
    weights = np.array([1.0] * 5 + [0.0] * 95, np.float32)
    assert set(drawn("weighted", weights).ravel().tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (np.zeros(3, np.int64), QUICK),
        (np.full(60, 2), QUICK),
        (two_kinds()[1], replace(QUICK, sampling="weighted")),
    ],
)
def test_what_cannot_be_trained_on_is_refused(targets, settings):
    with pytest.raises(ValueError, match=r"targets|weight"):
        train_classifier(two_kinds()[0], targets, ("a", "b"), settings)
