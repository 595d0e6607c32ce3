"""What the arms of a comparison train: backbones behind one small Protocol, found by name.

A small residual network from scratch, a network with weights from disk that is trained on as a whole, or features of
one of them that are computed once, with logistic regression.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import FineTuned, SmallNetwork
from analysis.comparison.training.training_spec import Backbone
from analysis.vision.pretrained import BACKBONES, SIDE, load_body
from balancer.devices import choose_device
from balancer.errors import ModelError


def find_backbone(
    backbone: str = "small",
    *,
    weights: Path | None = None,
    side: int | None = None,
    steps: int | None = None,
    device: str = "cpu",
) -> Backbone:
    """The backbone that goes by that name: "small", "frozen", or one of `BACKBONES` with its weights.

    >>> find_backbone("small", side=128).side
    128

    Raises:
        ModelError: no such backbone or device; weights that are missing, of another network, or of no use.
    """
    device = choose_device(device)
    chosen: dict[str, Any] = {"device": device} | ({} if steps is None else {"steps": steps})
    _check_side(backbone, weights, side)
    if backbone == "frozen":
        if weights is not None:
            load_body(weights)  # whatever is wrong with them is said before anything is decoded
        return Frozen(weights, side=SIDE if weights else side or 64, **chosen)
    if backbone == "small" and weights is None:
        return SmallNetwork(side=side or 64, **chosen)
    if backbone in BACKBONES and weights is not None and load_body(weights).name == backbone:
        return FineTuned(backbone, weights, **chosen)
    raise _no_such(backbone, weights)


def _check_side(backbone: str, weights: Path | None, side: int | None) -> None:
    fits = side in (None, SIDE) if weights is not None or backbone in BACKBONES else side is None or 16 <= side <= 512
    if fits:
        return
    raise ModelError(
        needed="an image size that the backbone supports: 64 or 128 px for a network from scratch, 224 with weights",
        found=f"{side} px for {backbone}",
        next_step="leave --size out, or use --backbone small",
    )


def _no_such(backbone: str, weights: Path | None) -> ModelError:
    if backbone == "small":
        found = "weights for the small network, which is trained from scratch"
    elif backbone not in BACKBONES:
        found = repr(backbone)
    elif weights is None:
        found = f"{backbone} without a file of weights"
    else:
        found = f"{backbone}, and weights of {load_body(weights).name} in {weights.name}"
    return ModelError(
        needed=f"a backbone: small, frozen, or one of {', '.join(BACKBONES)} with its weights in safetensors",
        found=found,
        next_step="for example: --backbone small, or: --backbone resnet50 --weights FILE.safetensors",
    )
