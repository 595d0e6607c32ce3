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


def test_a_perfect_prediction_has_no_loss():
    clean, noise = torch.randn(2, 3, 4, 2, 2).unbind()
    alpha_bar = torch.tensor([0.9, 0.5, 0.1])
    for kind in losses.PREDICTIONS:
        right = losses.target(kind, clean, noise, alpha_bar)
        assert losses.denoising_losses(kind, right, clean, noise, alpha_bar).tolist() == [0, 0, 0]


def test_weights_follow_min_snr():
    alpha_bar = torch.tensor([0.5, 0.9])  # signal-to-noise ratios of 1 and 9
    assert losses.min_snr_weights("epsilon", alpha_bar).tolist() == pytest.approx([1, 5 / 9], rel=1e-5)
    assert losses.min_snr_weights("v_prediction", alpha_bar).tolist() == pytest.approx([1 / 2, 5 / 10], rel=1e-5)
    assert losses.min_snr_weights("sample", alpha_bar).tolist() == pytest.approx([1, 5], rel=1e-5)


def test_weights_of_all_prediction_types_mean_the_same_error_of_the_clean_latents():
    """An error of the clean latents is one of s times its square in the noise, and s + 1 times in the velocity."""
    alpha_bar = torch.tensor([0.2, 0.7, 0.95], dtype=torch.float64)
    snr = alpha_bar / (1 - alpha_bar)
    clean = losses.min_snr_weights("sample", alpha_bar)
    assert torch.allclose(losses.min_snr_weights("epsilon", alpha_bar) * snr.float(), clean)
    assert torch.allclose(losses.min_snr_weights("v_prediction", alpha_bar) * (snr + 1).float(), clean)


@pytest.mark.parametrize(("kind", "weight"), [("epsilon", 1.0), ("v_prediction", 0.0), ("sample", 0.0)])
def test_a_last_step_without_signal_has_a_finite_weight(kind, weight):
    assert losses.min_snr_weights(kind, torch.tensor([0.0])).tolist() == [weight]
