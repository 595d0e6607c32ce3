"""Balance an imbalanced X-ray collection with synthetic radiographs, every one of them traceable.

>>> workspace = Workspace.open(folder)
>>> scan(workspace, ScanSettings(folder / "xrays")).imbalance.deficits
{'nodule': 3, 'normal': 0}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_HOMES = {
    "balancer.collection.scan": ("Collection",),
    "balancer.errors": ("BalanceError",),
    "balancer.generators.protocol": ("ImageGenerator",),
    "balancer.imaging.decode": ("GreyImage",),
    "balancer.jobs": ("Candidate", "Job", "Verdict"),
    "balancer.progress": ("Progress",),
    "balancer.splits.split": ("Split",),
    "balancer.workspace.adapt_run": ("AdaptResult", "adapt"),
    "balancer.workspace.scan_run": ("ScanResult", "scan"),
    "balancer.workspace.settings": ("AdaptSettings", "ScanSettings", "SplitSettings"),
    "balancer.workspace.split_run": ("SplitResult", "split"),
    "balancer.workspace.workspace": ("Workspace",),
}
"""Where each public name is made; it is imported when it is asked for."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.errors import BalanceError
    from balancer.generators.protocol import ImageGenerator
    from balancer.imaging.decode import GreyImage
    from balancer.jobs import Candidate, Job, Verdict
    from balancer.progress import Progress
    from balancer.splits.split import Split
    from balancer.workspace.adapt_run import AdaptResult, adapt
    from balancer.workspace.scan_run import ScanResult, scan
    from balancer.workspace.settings import AdaptSettings, ScanSettings, SplitSettings
    from balancer.workspace.split_run import SplitResult, split
    from balancer.workspace.workspace import Workspace


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'balancer' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
