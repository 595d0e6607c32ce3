"""A logger, `balance adapt --base sd15 --log tensorboard:runs`: the curves of a training for TensorBoard.

It needs a package that writes such files, `pip install tensorboardX`, and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class TensorBoard:
    """Writes event files into a folder; `tensorboard --logdir runs` shows them."""

    def __init__(self, place: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer: Any = SummaryWriter(str(Path(place or "runs").resolve()))

    def log(self, phase: str, step: int, figures: Mapping[str, float]) -> None:
        """One scalar for each figure, such as "denoiser/loss"."""
        for name, value in figures.items():
            self._writer.add_scalar(f"{phase}/{name}", value, step)

    def close(self) -> None:
        """Write what is not written yet."""
        self._writer.close()
