"""Where a fill generates: in this process, on workers, or as one of several shards that are collected later."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from balancer.errors import SettingsError
from balancer.filling.shard import Shard
from balancer.settings import Settings, option

ENGINES = ("local", "ray")
_SHARD_STEP = "for example: balance fill --target 500 --shard 1/8 --shard-dir shards"


@dataclass(frozen=True)  # no slots: another settings class stands beside it as a base
class PlacementSettings(Settings):
    """Where images are generated. It changes none of them, and is no part of what is remembered of a fill."""

    engine: str = option("local", "Where to generate: local (this process), or ray (workers, also of a cluster).")
    workers: int | None = option(
        None, "With --engine ray: generators at once (default: one for each GPU; 1 without).", minimum=1
    )
    shard: str | None = option(None, "Generate only this part, K/N (such as 3/8), into --shard-dir; screen nothing.")
    shard_dir: Path | None = option(None, "With --shard: the folder that all shards go to.")
    collect: Path | None = option(None, "Take the images of finished shards from this folder; screen and merge them.")

    @property
    def chosen_shard(self) -> Shard | None:
        """The part to generate; `None`: all."""
        return None if self.shard is None else Shard.from_text(self.shard)

    def here(self) -> Self:
        """The same fill in this process, as it is remembered and repeated."""
        return replace(self, engine="local", workers=None, shard=None, shard_dir=None, collect=None)

    def check(self) -> None:
        """Refuse an engine or a shard that there is not, and options that exclude each other."""
        if self.engine not in ENGINES:
            raise SettingsError(
                needed=f"--engine as one of {', '.join(ENGINES)}",
                found=repr(self.engine),
                next_step="balance fill --target 500 --engine ray",
            )
        if self.workers is not None and self.engine == "local":
            raise SettingsError(
                needed="--engine ray, for --workers",
                found="--workers without it",
                next_step="balance fill --target 500 --engine ray --workers 2",
            )
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
        there = {"--shard": self.shard, "--collect": self.collect, "--engine ray": self.engine != "local" or None}
        given = [name for name, value in there.items() if value is not None]
        if len(given) > 1:
            raise SettingsError(
                needed="one of --shard, --collect and --engine ray",
                found=" and ".join(given),
                next_step="first every shard (balance fill --shard K/N --shard-dir DIR), then: "
                "balance fill --collect DIR, each with the same --target",
            )
