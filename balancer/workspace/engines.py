"""Which engine a fill generates with: this process, the workers of a Ray cluster, or none, where shards were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from balancer.progress import Progress
from balancer.workspace.shard_run import NothingMade

if TYPE_CHECKING:
    from balancer.filling.runner import Runner
    from balancer.generators.protocol import ImageGenerator
    from balancer.workspace.fill_setup import FillSetup
    from balancer.workspace.settings import FillSettings


@dataclass(frozen=True, slots=True)
class Engine:
    """A runner, how its generators are made, and what is to be said of its workers while it runs; nothing: ""."""

    runner: Runner
    make_generator: Callable[[], ImageGenerator]
    note: Callable[[], str]


@contextmanager
def engine_of(settings: FillSettings, setup: FillSetup, progress: Progress) -> Iterator[Engine]:
    """The engine that the settings name; its workers end with the block.

    Raises:
        SettingsError: Ray is not installed, or RAY_ADDRESS names no cluster of the user's choice.
    """
    from balancer.filling.runner import LocalRunner

    if settings.engine == "ray":
        from balancer.filling.ray_cluster import starting
        from balancer.filling.ray_runner import RayRunner

        progress.message(starting())
        with RayRunner(setup.device, settings.workers, progress.message) as runner:
            yield Engine(runner, setup.blueprint, lambda: runner.note)
        return
    local = NothingMade(settings) if settings.collect else LocalRunner(setup.device)
    yield Engine(local, setup.make_generator, lambda: "")
