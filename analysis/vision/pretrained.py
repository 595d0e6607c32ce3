"""Networks with weights that the user has: ResNets or DenseNet-121 of torchvision, DenseNet-121 of TorchXRayVision.

As embeddings, or to be trained on.

Only safetensors are read: loading a pickle can run any program. A state_dict is turned into such a file with
`safetensors.torch.save_file(model.state_dict(), "FILE.safetensors")`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from analysis.data.images import Greys
from analysis.vision.classifier import HeadedNetwork, new_head
from balancer.errors import ModelError
from balancer.generators.models.safetensors_check import require_sound

Floats = npt.NDArray[np.float32]

SIDE = 224
_BATCH = 16
_MEAN, _SCALE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_NEXT = "save a state_dict with safetensors.torch.save_file, then use it: --weights FILE.safetensors"


_MARKS = {  # the first name that is there tells the network
    "densenet121": "features.denseblock4.denselayer16.conv2.weight",
    "resnet50": "layer4.2.conv3.weight",
    "resnet34": "layer4.2.conv2.weight",
    "resnet18": "layer4.1.conv2.weight",
}
BACKBONES = tuple(sorted(_MARKS))
"""The networks that are known here, by torchvision's names."""


@dataclass(frozen=True, slots=True)
class Body:
    """A network of torchvision without its last layer: its name, the width of its features, and what it is to see."""

    name: str
    network: nn.Module
    width: int
    prepare: Callable[[Tensor], Tensor]


class PretrainedNetwork(HeadedNetwork):
    """The body of such a network with a new head, to be trained on as a whole."""

    def __init__(self, body: Body, n_classes: int, seed: int) -> None:
        super().__init__()
        self.trunk = body.network
        self.head = new_head(body.width, n_classes, seed)
        self._prepare = body.prepare

    def body(self, images: Tensor) -> Tensor:
        """(N, 1, side, side) images, 0 to 1, to (N, D) features."""
        seen = self._prepare(images * 255).contiguous(memory_format=torch.channels_last)
        features: Tensor = self.trunk(seen)
        return features


def load_pretrained(file: Path, device: str = "cpu") -> Callable[[Greys], Floats]:
    """A function from (N, 224, 224) images to (N, D) features: 2048 of a ResNet-50, 1024 of a DenseNet-121.

    Raises:
        ModelError: it is no safetensors file, or its weights are of no network that is known here.
    """
    body = load_body(file)
    body.network.eval().to(device)
    return lambda greys: _embed(body.network, greys, body.prepare, device)


def load_body(file: Path) -> Body:
    """The network that a file has the weights of.

    Raises:
        ModelError: it is no safetensors file, or its weights are of no network that is known here.
    """
    state = _read(file)
    name, network = _network(state, file)
    head = "fc" if name.startswith("resnet") else "classifier"
    result = network.load_state_dict({name: value for name, value in state.items() if _belongs(name, head)}, False)
    missing = [name for name in result.missing_keys if not name.startswith(head) and "num_batches" not in name]
    if missing or result.unexpected_keys:
        raise _unknown(file, f"{(missing or result.unexpected_keys)[0]} does not fit")
    width = getattr(network, head).in_features
    setattr(network, head, nn.Identity())
    grey = next(value for name, value in state.items() if name.endswith(("conv0.weight", "conv1.weight"))).shape[1] == 1
    return Body(name, network, width, _as_xray_vision if grey else _as_torchvision)


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
            needed="weights in safetensors", found=f"{file.name}: damaged, or another format", next_step=_NEXT
        ) from error


def _network(state: dict[str, Tensor], file: Path) -> tuple[str, Any]:
    """The network that these weights are of, and its name."""
    from torchvision import models

    name = next((name for name, mark in _MARKS.items() if mark in state), None)
    if name is None:
        raise _unknown(file, "none of these")
    with torch.random.fork_rng(devices=[]):
        network = getattr(models, name)()
        if name == "densenet121" and state["features.conv0.weight"].shape[1] == 1:
            network.features.conv0 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return name, network


def _belongs(name: str, head: str) -> bool:
    return not name.startswith((head, "op_threshs"))


def _unknown(file: Path, found: str) -> ModelError:
    return ModelError(
        needed=f"weights of {', '.join(BACKBONES)} under torchvision's names",
        found=f"{file.name}: {found}",
        next_step="leave --weights out to train on the collection",
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
