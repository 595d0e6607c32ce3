"""Which device networks run on and in which precision: generating, training and judging choose alike."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from balancer.errors import ModelError
from balancer.parallel import cores

PRECISIONS = ("float32", "float16", "bfloat16")
"""Numbers that networks can compute with while they draw."""


def choose_device(name: str) -> str:
    """The device for "auto" (a GPU if there is one), or the one that was asked for: `cpu`, `mps`, `cuda`, `cuda:1`.

    torch then has no more threads than this process may use: `use_cores`.

    Raises:
        ModelError: the device is not there.
    """
    import torch

    use_cores()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            needed="a device that this machine has: cpu, cuda or mps",
            found=f"--device {name}, which torch cannot use on this machine",
            next_step="use --device auto",
        ) from error
    return name


GPUS = "CUDA_VISIBLE_DEVICES"
"""The variable that says which GPUs a process sees."""


def visible_gpus() -> list[str]:
    """The GPUs that this process sees, by the names that `GPUS` has for them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [each.strip() for each in os.environ.get(GPUS, "").split(",") if each.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def supports_bfloat16(device: str) -> bool:
    """Whether a device multiplies in bfloat16 itself. A processor that must emulate it is slower by it than in float32.

    Of processors, those with AVX512-BF16 or AMX do, as far as torch may use them (`ATEN_CPU_CAPABILITY`); whether torch
    has the instructions of an Arm processor depends on how it was built, so there the answer is no.

    >>> supports_bfloat16("mps")
    False
    """
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu" or not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def usual_precision(device: str) -> str:
    """The numbers that a device draws with where the user names none.

    >>> usual_precision("cuda:1"), usual_precision("cpu")
    ('float16', 'float32')
    """
    return "float16" if device.startswith("cuda") else "float32"


def use_cores() -> None:
    """Let torch compute with no more threads than this process has cores; it does not know a container's quota."""
    import torch

    if torch.get_num_threads() > cores():
        torch.set_num_threads(cores())


MADE_AGAIN = ", made again in float32"
"""The end of a device's name on record, where images were made again because half precision gave no numbers."""


def device_name(device: str) -> str:
    """What a device is called in a record: a GPU by its model, a processor by its model and the number of threads.

    The same weights and seeds give the same bytes on the same device with as many threads.
    """
    import torch

    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(torch.device(device)))
    if device != "cpu":
        return device
    return f"{_processor()}, threads: {torch.get_num_threads()}"


@cache
def _processor() -> str:
    """The model of the processor; its architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine() or "cpu"


VERSIONS = ("xray-balancer", "torch", "diffusers")
"""Packages whose version an image depends on."""


@cache
def software_versions() -> Mapping[str, str]:
    """The versions of the packages that an image depends on; of one that was not installed as a package, "unknown"."""
    return {name: _version(name) for name in VERSIONS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
