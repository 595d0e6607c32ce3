import pytest
import torch

from balancer.adapting.common import losses


def test_an_equal_picture_has_no_loss() -> None:
    picture = torch.rand(2, 1, 16, 16)
    assert float(losses.reconstruction_loss(picture, picture)) == 0


def test_a_lost_edge_costs_more_than_its_grey() -> None:
    picture = torch.zeros(1, 1, 16, 16)
    picture[..., 8:] = 1
    flat = torch.full_like(picture, 0.5)
    assert float(losses.reconstruction_loss(flat, picture)) > 0.6  # 0.5 is the grey alone


def test_latents_of_mean_0_and_variance_1_are_not_penalised() -> None:
    latents = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert float(losses.latent_penalty(latents)) < 1e-3
    assert float(losses.latent_penalty(3 * latents + 1)) > 1


def test_velocity_and_noised_latents_give_the_clean_ones_back() -> None:
    clean, noise, a = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0.9, 0.5, 0.1])
    noised, v = losses.noised(clean, noise, a), losses.velocity(clean, noise, a)
    a = a.view(-1, 1, 1, 1)
    assert torch.allclose(a.sqrt() * noised - (1 - a).sqrt() * v, clean, atol=1e-6)


def test_weights_follow_min_snr() -> None:
    weights = losses.velocity_weights(torch.tensor([0.1, 0.5, 0.99]))
    assert weights.tolist() == pytest.approx([0.1, 0.5, 5 / 100], rel=1e-4)


def test_the_weighted_loss_is_a_mean_over_the_batch() -> None:
    predicted, target = torch.ones(2, 4, 2, 2), torch.zeros(2, 4, 2, 2)
    assert float(losses.velocity_loss(predicted, target, torch.tensor([0.5, 0.5]))) == pytest.approx(0.5)
