import torch

from balancer.adapting.common import rng
from balancer.adapting.common.class_mixing import sampling_weights


def test_classes_are_drawn_by_the_square_root_of_their_size() -> None:
    labels = ["common"] * 64 + ["rare"] * 4
    chosen = rng.draw_indices(sampling_weights(labels), 20_000, rng.generator(0, "test", 0))
    rare = float((chosen >= 64).float().mean())
    assert abs(rare - 0.2) < 0.01  # 2 of 8 + 2


def test_images_of_a_class_are_drawn_alike() -> None:
    weights = sampling_weights(["a", "b", "a", "b"])
    assert torch.allclose(weights, torch.full((4,), 0.25, dtype=torch.float64))


def test_a_draw_depends_on_seed_purpose_and_step_alone() -> None:
    torch.manual_seed(1)
    first = torch.rand(3, generator=rng.generator(5, "noise", 7))
    torch.manual_seed(2)
    assert torch.equal(first, torch.rand(3, generator=rng.generator(5, "noise", 7)))
    others = [(6, "noise", 7), (5, "times", 7), (5, "noise", 8)]
    assert not any(torch.equal(first, torch.rand(3, generator=rng.generator(*other))) for other in others)


def test_timesteps_of_a_batch_cover_the_range_evenly() -> None:
    times = rng.draw_timesteps(10, 1000, rng.generator(0, "times", 0))
    assert sorted((times // 100).tolist()) == list(range(10))
