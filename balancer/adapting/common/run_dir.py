"""The folder of an unfinished training, beside the one that it is to become, and whose training it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from balancer.adapting.common.train_state import to_json
from balancer.errors import ModelError
from balancer.files import write_whole
from balancer.generators.models.model_card import read_card


def work_folder(folder: Path) -> Path:
    """Where the unfinished work for `folder` lies.

    >>> work_folder(Path("adapters/mine")).name
    'mine.training'
    """
    return folder.with_name(folder.name + ".training")


def pretrained_folder(folder: Path) -> Path:
    """Where the checkpoint lies that the training of `folder` goes on from, until that is finished.

    >>> pretrained_folder(Path("adapters/mine")).name
    'mine.pretrained'
    """
    return folder.with_name(folder.name + ".pretrained")


def require_not_begun(folder: Path) -> None:
    """Refuse to pretrain for a folder whose training began already, without that pretraining.

    Raises:
        ModelError: it did.
    """
    if (work_folder(folder) / "begun.json").exists() and not pretrained_folder(folder).exists():
        raise _another_training(work_folder(folder))


def begin(folder: Path, fingerprint: str, learned: str) -> None:
    """Make the work folder of a training, or take up its own; `learned` is there once anything was learned.

    Raises:
        ModelError: the work there is of another training.
    """
    work = work_folder(folder)
    begun = work / "begun.json"
    if begun.exists() and json.loads(begun.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
        if (work / learned).exists():
            raise _another_training(work)
        shutil.rmtree(work)  # nothing was learned there yet
    (work / "samples").mkdir(parents=True, exist_ok=True)
    write_whole(begun, to_json({"fingerprint": fingerprint}).encode())


def clear_away(folder: Path) -> None:
    """Remove the work of a finished training: its latents are patients' data and must not be left without a word.

    Raises:
        OSError: something of it cannot be removed; called again, it goes on.
    """
    before = pretrained_folder(folder)
    for made in (work_folder(before), before, work_folder(folder)):
        if made.exists():
            shutil.rmtree(made)


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether the folder is there and came of this very training.

    Raises:
        ModelError: it holds something else.
    """
    if not folder.exists():
        return False
    if read_card(folder).get("fingerprint") != fingerprint:
        raise _another_training(folder)
    return True


def _another_training(folder: Path) -> ModelError:
    return ModelError(
        needed="a new name, or the name of the same training",
        found=f"{folder.name}, which has other files, or was started with other images or settings",
        next_step="use another --name, or delete this folder",
    )
