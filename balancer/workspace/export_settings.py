"""The settings of `balance export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balancer.errors import SettingsError
from balancer.settings import Settings, option


@dataclass(frozen=True, slots=True)
class ExportSettings(Settings):
    """What is made ready for others: a folder for a hub, of images or of a model; or the description alone.

    >>> ExportSettings(hub_folder="hub", adapter="mine").changed()
    {'hub_folder': 'hub', 'adapter': 'mine'}
    """

    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)
    hub_folder: Path | None = option(None, "New folder, ready for a hub: data, card and Croissant. Nothing is sent.")
    adapter: str | None = option(
        None, "With --hub-folder: this adapter or checkpoint of balance adapt, in place of the images."
    )
    licence: str | None = option(
        None, "Licence for the card, as the hub calls it, such as cc-by-4.0 (default: as known, else unknown)."
    )
    croissant: bool = option(False, "Print the description of the balanced folder in Croissant 1.1, and nothing else.")

    def check(self) -> None:
        """Refuse both or neither of the two ways, and an adapter where the balanced folder is meant."""
        if (self.hub_folder is None) == (not self.croissant):
            raise SettingsError(
                needed="one of --hub-folder and --croissant",
                found="both" if self.croissant else "none of them",
                next_step="balance export --hub-folder NEW_FOLDER",
            )
        if self.adapter is not None and (self.croissant or self.folder is not None):
            raise SettingsError(
                needed="--adapter with --hub-folder, and without a balanced folder",
                found="--croissant" if self.croissant else str(self.folder),
                next_step=f"balance export --adapter {self.adapter} --hub-folder NEW_FOLDER",
            )
