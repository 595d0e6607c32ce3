import os
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

from balancer.adapting.common import device
from balancer.errors import ModelError

_OFF = ("TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE")  # other tests compile nothing
CPU = device.TrainingDevice(torch.device("cpu"), bfloat16=False)


class Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.weight * x.square(),)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match="--device nonsense"):
        device.find_machine("nonsense")


def test_the_processor_is_always_there() -> None:
    assert device.find_machine("cpu").device.type == "cpu"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="takes a C++ compiler")
def test_a_compiled_network_learns_the_same() -> None:
    program = (
        "import torch; from balancer.adapting.common import device\n"
        "network, cpu = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0)), device.find_machine('cpu')\n"
        "given, found = torch.arange(6.0).view(3, 2), []\n"
        "fast = device.compiled(network, (given,), cpu)\n"
        "assert fast is not network\n"
        "for called in (fast, network):\n"
        "    network.zero_grad(); called(given).sum().backward(); found.append(network[0].weight.grad.tolist())\n"
        "assert found == [[[6.0, 9.0]]] * 2, found"
    )
    compiling = {name: value for name, value in os.environ.items() if name not in _OFF}
    done = subprocess.run([sys.executable, "-c", program], env=compiling, capture_output=True, text=True, check=False)
    assert (done.returncode, "training without" in done.stderr) == (0, False), done.stderr


def test_without_a_compiler_the_network_itself_is_used(monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def broken(network: nn.Module) -> nn.Module:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", broken)
    network = Square()
    assert device.compiled(network, (torch.ones(2),), CPU) is network
    assert "training without compilation" in caplog.text


def test_trying_the_compiled_network_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network: network)
    network = Square()
    device.compiled(network, (torch.ones(2),), CPU)
    assert network.weight.grad is None


@pytest.mark.parametrize(("first", "expected"), [(True, [True]), (False, [True, False])])
def test_weights_that_are_not_finite_are_trained_again_in_float32(first: bool, expected: list[bool]) -> None:
    tried = []

    def train(machine: device.TrainingDevice) -> tuple[nn.Module, str]:
        tried.append(machine.bfloat16)
        network = nn.Linear(2, 2)
        if machine.bfloat16 and not first:
            nn.init.constant_(network.weight, float("nan"))
        return network, "bfloat16" if machine.bfloat16 else "float32"

    found = device.train_finite(train, device.TrainingDevice(torch.device("cpu"), bfloat16=True))
    assert tried == expected
    assert found == ("bfloat16" if first else "float32")


def test_a_training_that_is_not_finite_in_float32_is_refused() -> None:
    def train(machine: device.TrainingDevice) -> tuple[nn.Module, None]:
        network = nn.Linear(2, 2)
        nn.init.constant_(network.bias, float("inf"))
        return network, None

    with pytest.raises(ModelError, match="not a number, in float32 too"):
        device.train_finite(train, device.TrainingDevice(torch.device("cpu"), bfloat16=False))
