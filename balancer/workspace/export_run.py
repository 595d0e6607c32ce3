"""What others may get: a balanced folder or a model, made ready for a hub. Nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from balancer.errors import ModelError, OutputError
from balancer.progress import SILENT, Progress
from balancer.store.state_dir import NAME, locked_near
from balancer.workspace.export_settings import ExportSettings
from balancer.workspace.workspace import Workspace

UNKNOWN = "unknown"
_CHECK = "File names are those of the collection: make sure that none names a patient."
_TERMS = "The collection's terms hold for all that is derived from it: make sure that you may share it."


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What is ready: the `folder` with so many `files` for a hub's kind of repository, "dataset" or "model".

    `notes` are what to look at before it is sent. Without a folder, `croissant` is the description that was asked for.
    """

    folder: Path | None
    files: int = 0
    kind: str = "dataset"
    notes: tuple[str, ...] = ()
    croissant: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The folder, its files and the notes as JSON-compatible fields; or the description itself."""
        if self.folder is None:
            return dict(self.croissant)
        return {"files": self.files, "kind": self.kind, "notes": list(self.notes), "uploaded": False}


def export(workspace: Workspace, settings: ExportSettings, *, progress: Progress = SILENT) -> ExportResult:
    """Make a folder ready for a hub, or describe a balanced folder; nothing is uploaded.

    The new folder has the balanced folder's files as they are, its card with the head that a hub reads, and
    `croissant.json`; or an adapter's files with its model card. If it is stopped, the same call begins again.

    Raises:
        ModelError: there is no adapter of this name.
        OutputError: the balanced folder is not as it was merged, or the new place is not free or inside the collection.
        StateError: another command is using the state folder.

    >>> balanced = make_balanced(folder)
    >>> export(Workspace.open(folder), ExportSettings(hub_folder=folder / "hub")).kind
    'dataset'
    >>> (folder / "hub" / "croissant.json").is_file()
    True
    """
    with locked_near(workspace.home):
        if settings.adapter is not None:
            return _model(workspace, settings, settings.adapter)
        balanced = workspace.balanced_folder(settings.folder)
        if settings.hub_folder is None:
            return _description(balanced, settings.licence or UNKNOWN)
        return _dataset(workspace, balanced, settings.hub_folder, settings.licence or UNKNOWN, progress)


def _description(balanced: Path, licence: str) -> ExportResult:
    from balancer.dataset.croissant import describe
    from balancer.dataset.metadata_files import read_rows, require_manifest

    manifest = require_manifest(balanced)
    return ExportResult(None, croissant=describe(balanced, manifest, read_rows(balanced, manifest), licence))


def _dataset(workspace: Workspace, balanced: Path, out: Path, licence: str, progress: Progress) -> ExportResult:
    from balancer.dataset.hub_folder import write_dataset
    from balancer.dataset.metadata_files import read_rows, require_manifest
    from balancer.dataset.verify import verify

    manifest = require_manifest(balanced)
    out = _place(workspace, out, balanced)
    if found := verify(balanced, progress.start("Checking")):
        raise OutputError(
            needed="a balanced folder as it was merged",
            found=f"{found[0].kind}: {found[0].message}",
            next_step=f"balance verify {balanced}",
        )
    rows = read_rows(balanced, manifest)
    files = write_dataset(balanced, rows, out, licence, progress.start("Exporting"))
    return ExportResult(out, files, notes=(_CHECK, *_licence_note(licence)))


def _model(workspace: Workspace, settings: ExportSettings, name: str) -> ExportResult:
    from balancer.dataset.hub_folder import licence_head, write_model
    from balancer.generators.models.model_card import CARD, read_card

    made = workspace.state.adapters
    there = sorted(each.name for each in made.iterdir() if (each / CARD).is_file()) if made.is_dir() else []
    if name not in there:
        raise ModelError(
            needed="an adapter or checkpoint that balance adapt made here",
            found=f"{name!r}; there are: {', '.join(there) or 'none'}",
            next_step="balance export --adapter NAME --hub-folder NEW_FOLDER, or make one: balance adapt --base FOLDER",
        )
    card = read_card(made / name)
    base = card["base"] if isinstance(card.get("base"), dict) else {}
    stated = str(base.get("licence", ""))
    licence = settings.licence or (UNKNOWN if stated in ("", "not stated") else stated)
    head = {
        **licence_head(licence),
        **{"library_name": "diffusers", "pipeline_tag": "text-to-image"},
        "tags": [*(["lora"] if base else []), "stable-diffusion", "x-ray", "medical", "synthetic"],
        **({"base_model": base["name"]} if "/" in str(base.get("name", "")) else {}),
    }
    assert settings.hub_folder is not None
    out = _place(workspace, settings.hub_folder, made)
    files = write_model(made / name, out, head, _without_names(card), CARD)
    note = "A model can repeat its training images: make sure that you may share what it learned from."
    return ExportResult(out, files, "model", (note, *_licence_note(licence)))


def _without_names(card: Mapping[str, Any]) -> dict[str, Any]:
    """A model's card with its training files by their hashes alone: names of files may be those of patients."""
    files = card.get("training_files")
    hashes = sorted(files.values()) if isinstance(files, dict) else []
    return {**card, "training_files": {sha256: sha256 for sha256 in hashes}}


def _place(workspace: Workspace, out: Path, source: Path) -> Path:
    """The new folder, where it may be one.

    Raises:
        OutputError: it is inside the collection, the state folder or what is exported, or holds something.
    """
    from balancer.dataset.hub_folder import require_new
    from balancer.dataset.out_folder import require_writable

    again = "balance export --hub-folder ANOTHER_FOLDER"
    workspace.require_outside(out, again)
    out = out.resolve()
    for other in (source, workspace.home / NAME):
        if out.is_relative_to(other.resolve()):
            raise OutputError(
                needed="a place apart from the state folder and from what is exported",
                found=f"{out}, inside {other}",
                next_step=again,
            )
    require_new(out)
    require_writable(out)
    return out


def _licence_note(licence: str) -> tuple[str, ...]:
    return (f"Licence: {licence}. {_TERMS}" if licence != UNKNOWN else f"Licence: not known (--licence). {_TERMS}",)
