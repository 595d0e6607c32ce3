"""How a model draws: steps, guidance, precision, size, and on which device."""

from __future__ import annotations

from dataclasses import dataclass

from balancer.devices import PRECISIONS
from balancer.errors import SettingsError
from balancer.settings import Settings, option


@dataclass(frozen=True)  # no slots: another settings class stands beside it as a base
class DrawingSettings(Settings):
    """How images are drawn. All but the device changes them, and is recorded with each."""

    steps: int = option(25, "Denoising steps.", minimum=1)
    guidance: float | None = option(
        None,
        "Guidance scale (default: 1 for a model trained from scratch, 2 in --mode mix; 3 for others; 5 in inpaint).",
        minimum=0,
    )
    precision: str = option(
        "auto",
        "Numbers that the model computes with: float32, float16, bfloat16; auto: float16 on a GPU, else float32.",
    )
    size: int | None = option(
        None, "Image size in pixels at which the model generates (default: the size of the model).", minimum=1
    )
    batch_size: str = option("auto", "Images generated at once; auto: as many as fit.")
    device: str = option("auto", "cuda, mps or cpu.")

    @property
    def at_once(self) -> int | None:
        """How many images are made at once; `None`: as many as suit the device."""
        return None if self.batch_size == "auto" else int(self.batch_size)

    def check(self) -> None:
        """Refuse a batch size that is no number, and a precision that there is not."""
        if self.precision not in ("auto", *PRECISIONS):
            raise SettingsError(
                needed=f"--precision as one of auto, {', '.join(PRECISIONS)}",
                found=repr(self.precision),
                next_step="balance fill --precision float32",
            )
        if self.batch_size != "auto" and not (self.batch_size.isascii() and self.batch_size.isdigit() and self.at_once):
            raise SettingsError(
                needed="a number above 0, or auto, for --batch-size",
                found=repr(self.batch_size),
                next_step="balance fill --batch-size auto",
            )
