"""What a processor need not do again at each denoising step: convert weights for oneDNN, and read the same prompt.

Both leave the images as they are but for rounding. A convolution's weights are converted to oneDNN's own order at each
call, which takes a third of the time of Stable Diffusion 1.5's shapes at 256 pixels; here it is done once. The layers
that see nothing but the prompt give the same at each step; they are asked once a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")  # what torch itself compiles for a processor


def can_pack(device: str, dtype: torch.dtype) -> bool:
    """Whether `pack` is of use: in float32 on a processor whose convolutions are oneDNN's.

    >>> import torch
    >>> can_pack("cuda", torch.float32), can_pack("cpu", torch.bfloat16)
    (False, False)
    """
    import torch

    if device != "cpu" or dtype != torch.float32:
        return False
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    has_avx = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return has_onednn and has_avx and all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS)


def pack(network: torch.nn.Module) -> None:
    """Let the convolutions of a network convert their weights once, when they are first called; for inference alone.

    Their `weight` is empty from then on, so that nothing is in memory twice: `unpack` before it is read or taught.
    """
    import torch

    for layer in _convolutions(network):
        layer.forward = _Packed(layer)  # type: ignore[assignment, method-assign]
        layer.weight = torch.nn.Parameter(layer.weight.new_empty(0), requires_grad=False)


def unpack(network: torch.nn.Module) -> None:
    """Give the convolutions of a network their weights back, bit for bit; nothing where it was not packed."""
    import torch

    for layer in _convolutions(network):
        packed = vars(layer).get("forward")
        if isinstance(packed, _Packed):
            layer.weight = torch.nn.Parameter(packed.dense(), requires_grad=packed.is_taught)
            del layer.forward


@contextmanager
def prompts_read_once(pipe: Any) -> Iterator[None]:
    """While this lasts, layers of a pipeline's UNet that see the prompt alone are computed once for each that is given.

    On a processor only: elsewhere it saves less than the memory is worth, and what is compiled must stay as it is.
    """
    readers = [
        layer
        for module in (pipe.unet.modules() if hasattr(pipe, "unet") and pipe.device.type == "cpu" else ())
        if getattr(module, "is_cross_attention", False)
        for layer in (module.to_k, module.to_v)
    ]
    for layer in readers:
        layer.forward = _Once(layer.forward)
    try:
        yield
    finally:
        for layer in readers:
            del layer.forward


class _Packed:
    """A convolution whose weights are in the order that suits its first input; others are computed as well."""

    def __init__(self, layer: torch.nn.Conv2d) -> None:
        self._weight, self._bias = layer.weight.detach(), layer.bias
        self._shape = (layer.padding, layer.stride, layer.dilation, layer.groups)
        self.is_taught = layer.weight.requires_grad

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        import torch

        values = values.contiguous(memory_format=torch.channels_last)  # oneDNN would convert each from other orders
        if not self._weight.is_mkldnn:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(self._weight, *self._shape, list(values.shape))
        made: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            values, self._weight, self._bias, *self._shape, "none", [], ""
        )
        return made

    def dense(self) -> torch.Tensor:
        return self._weight.to_dense() if self._weight.is_mkldnn else self._weight


class _Once:
    """A layer that gives again what it gave, while it is given the same tensor."""

    def __init__(self, layer: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._layer = layer
        self._given: torch.Tensor | None = None
        self._made: Any = None

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        if given is not self._given:
            self._given, self._made = given, self._layer(given)
        made: torch.Tensor = self._made
        return made


def _convolutions(network: torch.nn.Module) -> list[torch.nn.Conv2d]:
    """Plain convolutions, each once."""
    import torch

    return [
        layer
        for layer in network.modules()
        if type(layer) is torch.nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros"
    ]
