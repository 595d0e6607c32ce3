"""The energy that a GPU takes, as its driver counts it."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from balancer.adapting.common.clock import Clock
from balancer.files import write_whole


def gpu_joules(device: torch.device) -> float | None:
    """What the device has taken since its driver was loaded, in joules; `None` where nobody counts."""
    if device.type != "cuda":
        return None
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        handle, count = ctypes.c_void_p(), ctypes.c_ulonglong()
        failed = (
            nvml.nvmlInit_v2()
            or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle))
            or nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(count))
        )
        return None if failed else count.value / 1000
    except (OSError, AttributeError):
        return None


@dataclass(slots=True)
class EnergyMeter:
    """Adds up the time, and the energy of all devices, over the sittings of one training, kept in a file; a killed
    sitting counts up to its last note."""

    path: Path
    devices: Sequence[torch.device]
    clock: Clock = field(default_factory=Clock)
    _before: dict[str, float | None] = field(init=False)
    _joules: float | None = field(init=False)

    def __post_init__(self) -> None:
        self._before = {"seconds": 0.0, "joules": 0.0}
        if self.path.exists():
            self._before = json.loads(self.path.read_text(encoding="utf-8"))
        self.clock.go_on(self._before["seconds"] or 0.0)
        self._joules = self._now()

    def _now(self) -> float | None:
        counted = [joules for device in self.devices if (joules := gpu_joules(device)) is not None]
        return sum(counted) if len(counted) == len(self.devices) else None

    def note(self) -> dict[str, float | None]:
        """Seconds and joules up to now; joules are `None` where they are unknown of any sitting."""
        now, before = self._now(), self._before["joules"]
        joules = None if now is None or self._joules is None or before is None else before + now - self._joules
        found = {"seconds": self.clock.seconds(), "joules": joules}
        write_whole(self.path, json.dumps(found).encode())
        return found
