"""What `balance demo` prints: of each step what its own command prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from balancer.cli.views.compare import show_comparison
from balancer.cli.views.fill import show_fill
from balancer.cli.views.merge import show_merge
from balancer.cli.views.scan import show_scan
from balancer.cli.views.screen import show_screened
from balancer.cli.views.verify import show_verify

if TYPE_CHECKING:
    from balancer.workspace.workspace import Workspace


def show_step(workspace: Workspace, step: Any) -> None:
    """The result of one step; the report's is its page, which the demo names at its end."""
    from analysis.comparison.service import CompareResult
    from analysis.report.contact_sheets import save_fill_sheet, save_screened_sheet
    from balancer.workspace.fill_run import FillResult
    from balancer.workspace.merge_run import MergeResult
    from balancer.workspace.scan_run import ScanResult
    from balancer.workspace.verify_run import VerifyResult

    match step:
        case ScanResult():
            show_scan(step)
        case FillResult():
            show_fill(step, save_fill_sheet(workspace, step))
        case MergeResult():
            show_screened(step.images, save_screened_sheet(workspace, step.images))
            show_merge(step)
        case VerifyResult():
            show_verify(step)
        case CompareResult(comparison=comparison) if comparison is not None:
            show_comparison(comparison, step.place)


def demo_json(steps: Sequence[Any], page: str) -> dict[str, Any]:
    """The result of each step by the name of its command, and the page."""
    names = {"ScanResult": "scan", "FillResult": "fill", "MergeResult": "merge", "VerifyResult": "verify"}
    names |= {"CompareResult": "compare"}
    found = {names[type(step).__name__]: step.to_json() for step in steps if type(step).__name__ in names}
    return found | {"report": page}
