"""What a balanced folder knows of its files: all of them checked, or one explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.collection.findings import Finding
from balancer.dataset import verify as folder
from balancer.errors import BalanceError
from balancer.progress import SILENT, Progress
from balancer.workspace.settings import ExplainSettings, VerifySettings
from balancer.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What is not as it was merged; nothing means that all is well."""

    folder: Path
    findings: Sequence[Finding]

    def to_json(self) -> list[dict[str, Any]]:
        """The findings as JSON-compatible fields."""
        return [
            {"kind": each.kind, "paths": list(map(str, each.paths)), "message": each.message, "fix": each.fix}
            for each in self.findings
        ]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one image comes from: facts by name."""

    facts: Mapping[str, str]

    def to_json(self) -> dict[str, str]:
        """The facts about the image as JSON-compatible fields."""
        return dict(self.facts)


def verify(
    workspace: Workspace, settings: VerifySettings = VerifySettings(), *, progress: Progress = SILENT
) -> VerifyResult:
    """Compare every image of a balanced folder with the tables beside it.

    Raises:
        OutputError: there is no such folder, or it is not ours.
        StateError: no folder is named, and nothing was scanned.

    >>> balanced = make_balanced(folder)
    >>> verify(Workspace.open(folder)).findings
    ()
    """
    place = workspace.balanced_folder(settings.folder)
    return VerifyResult(place, folder.verify(place, progress.start("Checking")))


def explain(workspace: Workspace, settings: ExplainSettings) -> Explanation:
    """Say of an image what it is and where it comes from; a name may be one in the last fill's balanced folder.

    Raises:
        ImageError: the file is no readable image.
        OutputError: there is no such file, or nothing is known of it.

    >>> balanced = make_balanced(folder)
    >>> explain(Workspace.open(folder), ExplainSettings(next(balanced.rglob("syn-*")))).facts["what"]
    'synthetic'
    """
    return Explanation(folder.explain(_file(workspace, settings.file), _balanced(workspace)))


def _file(workspace: Workspace, file: Path) -> Path:
    balanced = None if file.exists() or file.is_absolute() else _balanced(workspace)
    return balanced / file if balanced is not None and (balanced / file).is_file() else file


def _balanced(workspace: Workspace) -> Path | None:
    """The last fill's balanced folder, if there is one."""
    try:
        return None if workspace.is_new else workspace.balanced_folder()
    except BalanceError:  # the message about a file that is not there, or not known, says more
        return None
