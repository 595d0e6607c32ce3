"""Judge what `balancer` makes: screening, comparison, realism, and the report.

>>> fit_screen(Workspace.open(folder)).overrides
{}
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "analysis.comparison.service": (
        *("ComparePreview", "CompareResult", "FiguresResult", "compare", "comparison_figures", "preview_compare"),
    ),
    "analysis.labels.service": ("LabelsResult", "check_labels"),
    "analysis.power.service": ("DetectableEffect", "detectable_effect"),
    "analysis.realism.service": ("DetectabilityResult", "FidelityResult", "detectability", "fidelity"),
    "analysis.report.service": ("ReportResult", "write_report", "write_scan_report"),
    "analysis.screening.service": ("ScreenResult", "fit_screen", "screen"),
    "balancer.workspace.judging_settings": (
        *("CheckLabelsSettings", "CompareSettings", "DetectabilitySettings", "FidelitySettings", "PowerSettings"),
        *("ReportSettings", "ScanReportSettings"),
    ),
    "balancer.workspace.settings": ("ScreenSettings",),
}
"""Where each public name is made; it is imported when it is asked for."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)

if TYPE_CHECKING:
    from analysis.comparison.service import (
        ComparePreview,
        CompareResult,
        FiguresResult,
        compare,
        comparison_figures,
        preview_compare,
    )
    from analysis.labels.service import LabelsResult, check_labels
    from analysis.power.service import DetectableEffect, detectable_effect
    from analysis.realism.service import DetectabilityResult, FidelityResult, detectability, fidelity
    from analysis.report.service import ReportResult, write_report, write_scan_report
    from analysis.screening.service import ScreenResult, fit_screen, screen
    from balancer.workspace.judging_settings import (
        CheckLabelsSettings,
        CompareSettings,
        DetectabilitySettings,
        FidelitySettings,
        PowerSettings,
        ReportSettings,
        ScanReportSettings,
    )
    from balancer.workspace.settings import ScreenSettings


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
