"""The device that trains: which one, in which precision, and with its compiler if it has one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from balancer.devices import choose_device, supports_bfloat16
from balancer.errors import ModelError
from balancer.parallel import deaf_children

logger = logging.getLogger(__name__)
Trained = TypeVar("Trained")


@dataclass(frozen=True, slots=True)
class TrainingDevice:
    """A device and whether it multiplies in bfloat16; weights and sums stay in float32."""

    device: torch.device
    bfloat16: bool

    def autocast(self) -> torch.autocast:
        """The context that networks run in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def send(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors there; to a GPU they travel while it works."""
        if self.device.type != "cuda":
            return tuple(tensor.to(self.device) for tensor in tensors)
        return tuple(tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors)

    def place(self, network: nn.Module) -> None:
        """Move a network there, colours innermost, as convolutions run fastest."""
        network.to(self.device)
        network.to(memory_format=torch.channels_last)


def find_machine(device: str) -> TrainingDevice:
    """The machine for "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:1".

    Raises:
        ModelError: there is no such device.
    """
    name = choose_device(device)
    return TrainingDevice(torch.device(name), supports_bfloat16(name))


def train_finite(train: Callable[[TrainingDevice], tuple[nn.Module, Trained]], machine: TrainingDevice) -> Trained:
    """What `train` makes beside the network of its last step; again in float32 where bfloat16 left no finite weights.

    On a processor with AMX one training of 25 in bfloat16 became not a number, and the next with the same seed did not.
    The cause is not known.

    Raises:
        ModelError: they are not finite in float32 either.
    """
    network, trained = train(machine)
    if machine.bfloat16 and not _is_finite(network):
        logger.warning("weights trained in bfloat16 are not a number: trained again in float32")
        network, trained = train(replace(machine, bfloat16=False))
    if not _is_finite(network):
        raise ModelError(
            needed="a training that stays finite",
            found="weights that are not a number, in float32 too",
            next_step="look for broken images: balance scan FOLDER --deep; or choose other weights to start from",
        )
    return trained


@torch.inference_mode()
def _is_finite(network: nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def compiled(network: nn.Module, example: tuple[Tensor, ...], machine: TrainingDevice) -> Callable[..., Any]:
    """The network compiled, or as it is where no compiler works; found out now and not at the first step."""
    try:
        fast: Callable[..., Any] = torch.compile(network)
        _start_compilers()
        with machine.autocast():
            loss = fast(*example)[0].float().square().mean()
        loss.backward()
    except Exception as exc:  # whatever a missing or broken compiler raises
        logger.warning("training without compilation: %s", str(exc).strip().splitlines()[-1:] or type(exc).__name__)
        torch._dynamo.reset()
        fast = network
    network.zero_grad(set_to_none=True)
    return fast


def _start_compilers() -> None:
    from torch._inductor.async_compile import AsyncCompile

    with deaf_children():  # they ignore Ctrl-C once they have started: before, each prints a traceback
        AsyncCompile.warm_pool()
