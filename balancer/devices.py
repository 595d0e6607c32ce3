"""Which device networks run on and in which precision: generating, training and judging choose alike."""

from __future__ import annotations

from balancer.errors import ModelError
from balancer.parallel import cores


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


def use_cores() -> None:
    """Let torch compute with no more threads than this process has cores; it does not know a container's quota."""
    import torch

    if torch.get_num_threads() > cores():
        torch.set_num_threads(cores())
