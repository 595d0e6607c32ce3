"""What a balanced folder knows of its files: all of them checked, or one explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balancer.collection.findings import Finding
from balancer.dataset import verify as folder
from balancer.errors import BalanceError, OutputError
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

    An image of the scanned collection is told by its label and its part of the split.

    Raises:
        ImageError: the file is no readable image.
        OutputError: there is no such file, or nothing is known of it.

    >>> balanced = make_balanced(folder)
    >>> explain(Workspace.open(folder), ExplainSettings(next(balanced.rglob("syn-*")))).facts["what"]
    'synthetic'
    """
    file = _file(workspace, settings.file)
    try:
        return Explanation(folder.explain(file, _balanced(workspace)))
    except OutputError:
        original = _in_collection(workspace, file)
        if original is None:
            raise
        return Explanation(original)


def _file(workspace: Workspace, file: Path) -> Path:
    balanced = None if file.exists() or file.is_absolute() else _balanced(workspace)
    return balanced / file if balanced is not None and (balanced / file).is_file() else file


def _in_collection(workspace: Workspace, file: Path) -> dict[str, str] | None:
    """What is known of an image of the scanned collection; nothing of any other file."""
    if workspace.is_new:
        return None
    try:
        with workspace.session(write=False, several=True) as session:
            root, place, images = session.collection.root.resolve(), file.resolve(), session.collection.images
            path = place.relative_to(root).as_posix() if place.is_relative_to(root) else ""
            if path not in images.index:
                return None
            label, part = str(images.at[path, "label"]), str(session.split.parts.get(path, "none"))
    except BalanceError:  # the message about a file that is not known says more
        return None
    return {"file": path, "what": "original, in the scanned collection", "label": label, "part": part}


def _balanced(workspace: Workspace) -> Path | None:
    """The last fill's balanced folder, if there is one."""
    try:
        return None if workspace.is_new else workspace.balanced_folder()
    except BalanceError:  # the message about a file that is not there, or not known, says more
        return None
