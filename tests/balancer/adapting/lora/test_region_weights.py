import numpy as np
import torch

from balancer.adapting.lora.latents import moved
from balancer.adapting.lora.region_weights import region_weights, shared
from balancer.collection.region_files import rectangle
from balancer.collection.regions import Region
from balancer.collection.scan import Sample
from tests.benchmarks.lora import prepared

BOX = Region(40, 40, (rectangle(8, 20, 20, 30),))


def test_half_of_the_loss_is_of_the_region():
    inside = np.zeros((8, 8), np.float32)
    inside[2:4, 3:7] = 1
    weights = shared(inside)
    assert torch.isclose(weights[inside > 0].sum() / weights.sum(), torch.tensor(0.5))
    assert torch.isclose(weights.mean(), torch.tensor(1.0))
    tiny = np.zeros((32, 32), np.float32)
    tiny[0, 0] = 1
    assert shared(tiny).max() == 20
    assert torch.equal(shared(np.ones((4, 4), np.float32)), torch.ones(4, 4))


def test_the_region_goes_the_way_of_its_image():
    sample = Sample("a.png", "nodule", None, "")
    found = region_weights([sample] * 2, {"a.png": [BOX]}, (40, 40), (2, 3, 4, 20, 20), seed=1)
    image = np.where(BOX.mask(40, 40), 255, 0).astype(np.uint8)
    for place in range(2):
        for version in range(3):
            there = moved(image, (40, 40), 1, place, version)[0].reshape(20, 2, 20, 2).mean(axis=(1, 3)) > 127
            weights = found.of(torch.tensor([place]), torch.tensor([version]))[0, 0].numpy()
            np.testing.assert_array_equal(weights > (weights.min() + weights.max()) / 2, there)
    assert region_weights([sample], {}, (40, 40), (1, 3, 4, 20, 20), seed=1) is None


def test_a_step_learns_more_from_the_region(tmp_path):
    region = Region(32, 32, (rectangle(8, 8, 16, 16),))
    regions = {f"xrays/nodule/p100{number // 2}-{number % 2}.png": [region] for number in range(4)}
    trainer = prepared(tmp_path, regions)
    assert len(trainer.weights.known) == 4
    *rest, weights = trainer.draw(0)
    assert weights.amax(dim=(1, 2, 3)).unique().tolist() == [1, 8]
    torch.testing.assert_close(weights.mean(dim=(1, 2, 3)), torch.ones(8))
    with torch.no_grad():
        plain = trainer.model.losses(*rest)
        torch.testing.assert_close(trainer.model.losses(*rest, weights=torch.ones_like(weights)), plain)
        weighted = trainer.model.losses(*rest, weights=weights)
        torch.testing.assert_close(trainer.loss(*rest, weights), weighted.mean())
    same = weights.amax(dim=(1, 2, 3)) == 1
    torch.testing.assert_close(weighted[same], plain[same])
    assert not torch.isclose(weighted[~same], plain[~same]).any()
