"""What autoencoder and UNet are taught: tensors in, a number or a tensor out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 3
LATENT_WEIGHT = 0.01
EDGE_WEIGHT = 2.0
SNR_LIMIT = 5.0
PREDICTIONS = ("epsilon", "v_prediction", "sample")


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours down and across; (N, C, H, W) gives (N, C, H - 1, W) and (N, C, H, W - 1)."""
    return pictures.diff(dim=2), pictures.diff(dim=3)


def reconstruction_loss(decoded: Tensor, pictures: Tensor) -> Tensor:
    """Mean absolute error of grey values and, over a pyramid of scales, of their edges; both (N, C, H, W).

    The edges keep what a plain error blurs: a rib's margin is a small part of the grey but most of the difference.

    >>> float(reconstruction_loss(torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)))
    1.0
    """
    loss = F.l1_loss(decoded, pictures)
    for scale in range(SCALES):
        pairs = zip(edges(decoded), edges(pictures), strict=True)
        loss = loss + EDGE_WEIGHT / 2**scale * sum(F.l1_loss(a, b) for a, b in pairs)
        decoded, pictures = F.avg_pool2d(decoded, 2), F.avg_pool2d(pictures, 2)
    return loss


def latent_penalty(latents: Tensor) -> Tensor:
    """How far each channel of (N, C, h, w) is from mean 0 and variance 1, as the diffusion assumes them.

    It is the Kullback-Leibler divergence of a normal distribution of that mean and variance from the standard one.
    """
    variance, mean = torch.var_mean(latents.float(), dim=(0, 2, 3))
    return 0.5 * (mean**2 + variance - 1 - variance.clamp(min=1e-6).log()).mean()


def noised(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Latents of signal share `alpha_bar`, (N,): sqrt(a) x + sqrt(1 - a) e (Ho et al. 2020, eq. 4)."""
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * latents + (1 - a).sqrt() * noise


def velocity(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """What the UNet predicts: v = sqrt(a) e - sqrt(1 - a) x (Salimans and Ho 2022, appendix D).

    >>> x, e = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> float(velocity(x, e, torch.tensor([0.0])))
    -1.0
    """
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * noise - (1 - a).sqrt() * latents


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
    snr = alpha_bar / (1 - alpha_bar).clamp(min=1e-12)
    least = snr.clamp(max=SNR_LIMIT)
    if prediction == "epsilon":
        return torch.where(snr > 0, least / snr.clamp(min=1e-12), torch.ones_like(snr))
    return least / (snr + 1) if prediction == "v_prediction" else least


def denoising_losses(prediction: str, predicted: Tensor, clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Weighted mean squared error of each image, (N,); latents and prediction are (N, C, h, w)."""
    errors = (predicted.float() - target(prediction, clean, noise, alpha_bar).float()).square().mean(dim=(1, 2, 3))
    return min_snr_weights(prediction, alpha_bar) * errors


@dataclass(frozen=True, slots=True)
class Diffusion:
    """What a denoiser of a diffusion learns: `alpha_bars`, (levels,), are the signal's share at each noise level."""

    alpha_bars: Tensor
    prediction: str

    @property
    def levels(self) -> int:
        """How many noise levels there are."""
        return len(self.alpha_bars)

    def to(self, device: torch.device) -> Diffusion:
        """The same on a device."""
        return replace(self, alpha_bars=self.alpha_bars.to(device))

    def told(self, levels: Tensor) -> Tensor:
        """What the denoiser is told of noise levels, (N,)."""
        return levels

    def noised(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Latents at noise levels, (N,)."""
        return noised(clean, noise, self.alpha_bars[levels])

    def losses(self, predicted: Tensor, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """The weighted loss of each image, (N,)."""
        return denoising_losses(self.prediction, predicted, clean, noise, self.alpha_bars[levels])


@dataclass(frozen=True, slots=True)
class Flow:
    """What a denoiser of rectified flow learns: `sigmas`, (levels,), are the noise's share at each level.

    It predicts the way from the clean latents to the noise (Liu et al. 2022; Esser et al. 2024, section 2). All levels
    weigh the same; how often each is trained is what `sigmas` say.
    """

    sigmas: Tensor
    timesteps: int
    prediction = "flow"

    @property
    def levels(self) -> int:
        """How many noise levels there are."""
        return len(self.sigmas)

    def to(self, device: torch.device) -> Flow:
        """The same on a device."""
        return replace(self, sigmas=self.sigmas.to(device))

    def told(self, levels: Tensor) -> Tensor:
        """What the denoiser is told of noise levels, (N,)."""
        return self.sigmas[levels] * self.timesteps

    def noised(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """Latents at noise levels, (N,)."""
        sigma = self.sigmas[levels].view(-1, 1, 1, 1)
        return (1 - sigma) * clean + sigma * noise

    def losses(self, predicted: Tensor, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
        """The squared error of each image, (N,)."""
        return (predicted.float() - (noise - clean).float()).square().mean(dim=(1, 2, 3))


def flow_sigmas(levels: int, shift: float) -> Tensor:
    """The noise's shares, (levels,), as often as training draws them: logit-normal, then shifted to more noise.

    Both as Stable Diffusion 3 and Sana were trained (Esser et al. 2024, sections 3.1 and 5.3.2; Xie et al. 2024).

    >>> [round(each, 3) for each in flow_sigmas(3, shift=3.0).tolist()]
    [0.533, 0.75, 0.888]
    """
    shares = (torch.arange(levels, dtype=torch.float64) + 0.5) / levels
    plain: Tensor = torch.special.ndtri(shares).sigmoid()
    return (shift * plain / (1 + (shift - 1) * plain)).float()
