"""Where a fill generates: in this process, or as one of several shards that are collected later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from balancer.errors import SettingsError
from balancer.filling.shard import Shard
from balancer.settings import Settings, option

_SHARD_STEP = "for example: balance fill --target 500 --shard 1/8 --shard-dir shards"


@dataclass(frozen=True)  # no slots: another settings class stands beside it as a base
class PlacementSettings(Settings):
    """Where images are generated. It changes none of them, and is no part of what is remembered of a fill."""

    shard: str | None = option(None, "Generate only this part, K/N (such as 3/8), into --shard-dir; screen nothing.")
    shard_dir: Path | None = option(None, "With --shard: the folder that all shards go to.")
    collect: Path | None = option(None, "Take the images of finished shards from this folder; screen and merge them.")

    @property
    def chosen_shard(self) -> Shard | None:
        """The part to generate; `None`: all."""
        return None if self.shard is None else Shard.from_text(self.shard)

    def here(self) -> Self:
        """The same fill in this process, as it is remembered and repeated."""
        return replace(self, shard=None, shard_dir=None, collect=None)

    def check(self) -> None:
        """Refuse a shard that there is not, and options that exclude each other."""
        if self.shard is not None:
            try:
                Shard.from_text(self.shard)
            except ValueError as error:
                raise SettingsError(
                    needed="--shard K/N, with K from 1 to N", found=repr(self.shard), next_step=_SHARD_STEP
                ) from error
        if (self.shard is None) != (self.shard_dir is None):
            found = "--shard alone" if self.shard_dir is None else "--shard-dir alone"
            raise SettingsError(needed="--shard and --shard-dir together", found=found, next_step=_SHARD_STEP)
        if self.shard is not None and self.collect is not None:
            raise SettingsError(
                needed="either --shard or --collect",
                found="both",
                next_step="first every shard (balance fill --shard K/N --shard-dir DIR), then: "
                "balance fill --collect DIR, each with the same --target",
            )
