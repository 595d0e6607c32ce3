"""What a UNet of any prediction type is taught, and how much each noise level counts."""

from __future__ import annotations

import torch
from torch import Tensor

from balancer.adapting.common.losses import SNR_LIMIT, velocity

PREDICTIONS = ("epsilon", "v_prediction", "sample")


def target(prediction: str, clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """What the UNet is to predict from noised latents: the noise, the velocity or the clean latents."""
    if prediction == "epsilon":
        return noise
    return velocity(clean, noise, alpha_bar) if prediction == "v_prediction" else clean


def min_snr_weights(prediction: str, alpha_bar: Tensor) -> Tensor:
    """Min-SNR weights, (N,), of the squared error of each prediction type (Hang et al. 2023, section 3.4).

    With s the signal-to-noise ratio: min(s, 5) / s for the noise, min(s, 5) / (s + 1) for the velocity, min(s, 5)
    for the clean latents. A last step without any signal has weight 1 for the noise, and 0 for the others.

    >>> [round(float(min_snr_weights(kind, torch.tensor([0.9]))[0]), 3) for kind in PREDICTIONS]
    [0.556, 0.5, 5.0]
    """
    snr = alpha_bar.double() / (1 - alpha_bar.double()).clamp(min=1e-12)
    least = snr.clamp(max=SNR_LIMIT)
    if prediction == "epsilon":
        return torch.where(snr > 0, least / snr.clamp(min=1e-12), torch.ones_like(snr)).float()
    return (least / (snr + 1) if prediction == "v_prediction" else least).float()


def denoising_losses(prediction: str, predicted: Tensor, clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Weighted mean squared error of each image, (N,); latents and prediction are (N, C, h, w)."""
    errors = (predicted.float() - target(prediction, clean, noise, alpha_bar).float()).square().mean(dim=(1, 2, 3))
    return min_snr_weights(prediction, alpha_bar) * errors
