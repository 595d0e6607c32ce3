"""Embeddings from weights that the user has: ResNet-50 or DenseNet-121 of torchvision, DenseNet-121 of TorchXRayVision.

Only safetensors are read: loading a pickle can run any program. A state_dict is turned into such a file with
`safetensors.torch.save_file(model.state_dict(), "FILE.safetensors")`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analysis.decoding import Greys
from balancer.errors import ModelError
from balancer.generators.weights import require_sound

Floats = npt.NDArray[np.float32]

SIDE = 224
_BATCH = 16
_MEAN, _SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_NEXT = "save a state_dict with safetensors.torch.save_file, then: balance quality --weights FILE.safetensors"


def load_pretrained(file: Path, device: str = "cpu") -> Callable[[Greys], Floats]:
    """A function from (N, 224, 224) images to (N, D) features: 2048 of a ResNet-50, 1024 of a DenseNet-121.

    Raises:
        ModelError: it is no safetensors file, or its weights are of no network that is known here.
    """
    state = _read(file)
    network, head = _network(state, file)
    result = network.load_state_dict({name: value for name, value in state.items() if _belongs(name, head)}, False)
    missing = [name for name in result.missing_keys if not name.startswith(head) and "num_batches" not in name]
    if missing or result.unexpected_keys:
        raise _unknown(file, f"{(missing or result.unexpected_keys)[0]} does not fit")
    setattr(network, head, nn.Identity())
    network.eval().to(device)
    grey = next(value for name, value in state.items() if name.endswith(("conv0.weight", "conv1.weight"))).shape[1] == 1
    return lambda greys: _embed(network, greys, _as_xray_vision if grey else _as_torchvision, device)


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if file.suffix != ".safetensors" or not file.is_file():
        found = f"{file.name}: {'no safetensors file' if file.is_file() else 'no such file'}"
        raise ModelError(needed="weights in safetensors; pickles are refused", found=found, next_step=_NEXT)
    require_sound(file, _NEXT)
    try:
        return dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise ModelError(
            needed="weights in safetensors", found=f"{file.name}: damaged, or something else", next_step=_NEXT
        ) from error


def _network(state: dict[str, Tensor], file: Path) -> tuple[Any, str]:
    """The network that these weights are of, and the name of its last layer."""
    from torchvision import models

    with torch.random.fork_rng(devices=[]):
        if "layer4.2.conv3.weight" in state:
            return models.resnet50(), "fc"
        if "features.denseblock4.denselayer16.conv2.weight" not in state:
            raise _unknown(file, "neither")
        network = models.densenet121()
        if state["features.conv0.weight"].shape[1] == 1:
            network.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        return network, "classifier"


def _belongs(name: str, head: str) -> bool:
    return not name.startswith((head, "op_threshs"))


def _unknown(file: Path, found: str) -> ModelError:
    return ModelError(
        needed="weights of ResNet-50 or DenseNet-121 under torchvision's names",
        found=f"{file.name}: {found}",
        next_step="leave --weights out: an embedding is then trained on the collection",
    )


@torch.inference_mode()
def _embed(network: nn.Module, greys: Greys, prepare: Callable[[Tensor], Tensor], device: str) -> Floats:
    found = []
    for start in range(0, len(greys), _BATCH):
        images = torch.from_numpy(greys[start : start + _BATCH]).to(device).float().unsqueeze(1)
        found.append(network(prepare(images)).float().cpu().numpy())
    return np.concatenate(found)


def _as_torchvision(images: Tensor) -> Tensor:
    mean, scale = (torch.tensor(each, device=images.device).view(1, 3, 1, 1) for each in (_MEAN, _SCALE))
    return (images / 255 - mean) / scale


def _as_xray_vision(images: Tensor) -> Tensor:
    return (images / 255 * 2 - 1) * 1024  # the range that TorchXRayVision's weights were trained at
