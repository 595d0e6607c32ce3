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
    "balancer.filling.verdicts": ("NoScreen", "Screen", "ScreenSource"),
    "balancer.generators.protocol": ("ImageGenerator",),
    "balancer.imaging.decode": ("GreyImage",),
    "balancer.jobs": ("Candidate", "Job", "Verdict"),
    "balancer.progress": ("Progress",),
    "balancer.splits.split": ("Split",),
    "balancer.workspace.adapt_run": ("AdaptResult", "adapt"),
    "balancer.workspace.doctor_run": ("DoctorResult", "doctor"),
    "balancer.workspace.doctor_settings": ("DoctorSettings",),
    "balancer.workspace.export_run": ("ExportResult", "export"),
    "balancer.workspace.export_settings": ("ExportSettings",),
    "balancer.workspace.fill_run": ("FillPreview", "FillResult", "fill", "preview_fill"),
    "balancer.workspace.merge_run": ("MergeResult", "UnmergeResult", "merge", "unmerge"),
    "balancer.workspace.plan_run": ("PlanResult", "plan"),
    "balancer.workspace.prompts_run": ("PromptsCheck", "PromptsResult", "check_prompts", "prompts"),
    "balancer.workspace.scan_run": ("ScanResult", "scan"),
    "balancer.workspace.screens": ("screen_for",),
    "balancer.workspace.settings": (
        *(
            "AdaptSettings",
            "ExplainSettings",
            "FillSettings",
            "MergeSettings",
            "PlanSettings",
            "PromptsSettings",
        ),
        *("ScanSettings", "SplitSettings", "UnmergeSettings", "VerifySettings"),
    ),
    "balancer.workspace.shard_run": ("ShardResult", "fill_shard"),
    "balancer.workspace.split_run": ("SplitResult", "split"),
    "balancer.workspace.status_run": ("StatusResult", "status"),
    "balancer.workspace.verify_run": ("Explanation", "VerifyResult", "explain", "verify"),
    "balancer.workspace.workspace": ("Workspace",),
}
"""Where each public name is made; it is imported when it is asked for."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.errors import BalanceError
    from balancer.filling.verdicts import NoScreen, Screen, ScreenSource
    from balancer.generators.protocol import ImageGenerator
    from balancer.imaging.decode import GreyImage
    from balancer.jobs import Candidate, Job, Verdict
    from balancer.progress import Progress
    from balancer.splits.split import Split
    from balancer.workspace.adapt_run import AdaptResult, adapt
    from balancer.workspace.doctor_run import DoctorResult, doctor
    from balancer.workspace.doctor_settings import DoctorSettings
    from balancer.workspace.export_run import ExportResult, export
    from balancer.workspace.export_settings import ExportSettings
    from balancer.workspace.fill_run import FillPreview, FillResult, fill, preview_fill
    from balancer.workspace.merge_run import MergeResult, UnmergeResult, merge, unmerge
    from balancer.workspace.plan_run import PlanResult, plan
    from balancer.workspace.prompts_run import PromptsCheck, PromptsResult, check_prompts, prompts
    from balancer.workspace.scan_run import ScanResult, scan
    from balancer.workspace.screens import screen_for
    from balancer.workspace.settings import (
        AdaptSettings,
        ExplainSettings,
        FillSettings,
        MergeSettings,
        PlanSettings,
        PromptsSettings,
        ScanSettings,
        SplitSettings,
        UnmergeSettings,
        VerifySettings,
    )
    from balancer.workspace.shard_run import ShardResult, fill_shard
    from balancer.workspace.split_run import SplitResult, split
    from balancer.workspace.status_run import StatusResult, status
    from balancer.workspace.verify_run import Explanation, VerifyResult, explain, verify
    from balancer.workspace.workspace import Workspace


def _warn_of_another_analysis() -> None:
    """Say where a folder of the user's hides the package that comes with this one: its names would just be missing."""
    from importlib.util import find_spec
    from pathlib import Path

    ours, spec = Path(__file__).parents[1] / "analysis", find_spec("analysis")
    where = [] if spec is None else spec.submodule_search_locations or [str(spec.origin)]
    places = [Path(each).resolve() for each in where]
    if places and ours.resolve() not in places:
        from warnings import warn

        warn(
            f"'import analysis' gives {places[0]}, which hides the package 'analysis' that is installed with balancer. "
            "makes. Rename it, or start Python in another folder.",
            RuntimeWarning,
            stacklevel=3,
        )


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'balancer' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__


_warn_of_another_analysis()
