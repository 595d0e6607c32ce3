"""What `balance doctor` looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balancer.settings import Settings, option


@dataclass(frozen=True, slots=True)
class DoctorSettings(Settings):
    """Which model, adapter and prompts are looked at, and on which device."""

    model: str | None = option(
        None, "Model to check: a folder, a fetched name or a .safetensors file (default: what adapt made).", place=True
    )
    adapter: Path | None = option(None, "LoRA adapter to check, on its base or on --model.", place=True)
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    device: str = option("auto", "cuda, mps or cpu.")
    workers: int | None = option(
        None, "Say what a fill takes on this many workers (default: one for each GPU of this machine).", minimum=1
    )
    no_draw: bool = option(False, "Do not load the model and generate an image, which takes time.")
