"""How images are made: from text, from real images, or as parts of real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balancer.errors import SettingsError
from balancer.settings import Settings, option


@dataclass(frozen=True)  # no slots: another settings class stands beside it as a base
class ModeSettings(Settings):
    """What images begin with, and how much of that is made anew."""

    mode: str = option(
        "text",
        "How to generate: text; image (edit a real image of the class); mix (edit a real image of another class "
        "into this one); inpaint (only the finding, into a normal image); or shares, such as text=0.5,mix=0.5.",
    )
    strength: str | None = option(
        None,
        "With --mode image, mix or inpaint: how much of the real image, or of the part, to change, at random one of "
        "(default) 0.5,0.7,0.9; with inpaint 0.6,0.7,0.8.",
    )
    regions: Path | None = option(
        None,
        "With --mode inpaint: where findings are in your images: a table of boxes or run lengths, a COCO file, or a "
        "folder of YOLO files or masks (default: where the class differs from normal images).",
        place=True,
    )
    normal: str | None = option(
        None, "With --mode inpaint: the class of images to paint into (default: the one called normal, or the like)."
    )

    @property
    def paints(self) -> bool:
        """Whether parts of real images are made anew."""
        return "inpaint" in self.mode

    def check(self) -> None:
        """Refuse modes and strengths that there are not, and what belongs to another mode."""
        if (self.mode, self.strength) != ("text", None):
            from balancer.filling.generation_modes import read_mode_options

            read_mode_options(self.mode, self.strength)
        if not self.paints and (self.regions is not None or self.normal is not None):
            raise SettingsError(
                needed="--mode inpaint, for --regions and --normal",
                found=f"--mode {self.mode}",
                next_step="balance fill --target 500 --mode inpaint --regions FILE",
            )
