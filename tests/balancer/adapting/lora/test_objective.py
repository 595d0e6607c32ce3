import pytest
import torch

from balancer.adapting.lora import objective


def test_a_perfect_prediction_has_no_loss():
    clean, noise = torch.randn(2, 3, 4, 2, 2).unbind()
    alpha_bar = torch.tensor([0.9, 0.5, 0.1])
    for kind in objective.PREDICTIONS:
        right = objective.target(kind, clean, noise, alpha_bar)
        assert objective.denoising_losses(kind, right, clean, noise, alpha_bar).tolist() == [0, 0, 0]


def test_weights_follow_min_snr():
    alpha_bar = torch.tensor([0.5, 0.9])  # signal-to-noise ratios of 1 and 9
    assert objective.min_snr_weights("epsilon", alpha_bar).tolist() == pytest.approx([1, 5 / 9], rel=1e-5)
    assert objective.min_snr_weights("v_prediction", alpha_bar).tolist() == pytest.approx([1 / 2, 5 / 10], rel=1e-5)
    assert objective.min_snr_weights("sample", alpha_bar).tolist() == pytest.approx([1, 5], rel=1e-5)


def test_weights_of_all_prediction_types_mean_the_same_error_of_the_clean_latents():
    """An error of the clean latents is one of s times its square in the noise, and s + 1 times in the velocity."""
    alpha_bar = torch.tensor([0.2, 0.7, 0.95], dtype=torch.float64)
    snr = alpha_bar / (1 - alpha_bar)
    clean = objective.min_snr_weights("sample", alpha_bar)
    assert torch.allclose(objective.min_snr_weights("epsilon", alpha_bar) * snr.float(), clean)
    assert torch.allclose(objective.min_snr_weights("v_prediction", alpha_bar) * (snr + 1).float(), clean)


@pytest.mark.parametrize(("kind", "weight"), [("epsilon", 1.0), ("v_prediction", 0.0), ("sample", 0.0)])
def test_a_last_step_without_signal_has_a_finite_weight(kind, weight):
    assert objective.min_snr_weights(kind, torch.tensor([0.0])).tolist() == [weight]
