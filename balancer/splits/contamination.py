"""What a model learned from, against what is held out now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from balancer.collection.scan import Collection, with_hashes
from balancer.generators.models.model_card import read_card
from balancer.splits.groups import stay_together
from balancer.splits.split import Split

HELD_OUT = ("holdout", "val", "test")


def learned_files(folder: Path) -> dict[str, str] | None:
    """The files that a model in `folder` learned from, by path, with their hashes; None where its card does not say."""
    files = read_card(folder).get("training_files")
    return files if isinstance(files, dict) else None


def pretrained_images(folder: Path) -> int:
    """How many unlabelled images of another folder a model in `folder` learned from first, by its card."""
    said = read_card(folder).get("pretrained")
    count = said.get("images") if isinstance(said, dict) else 0
    return count if isinstance(count, int) else 0


def left_out_classes(folder: Path) -> frozenset[str]:
    """The classes that a model in `folder` learned nothing of, since they had one training image."""
    labels = read_card(folder).get("left_out")
    return frozenset(labels if isinstance(labels, list) else ())


def exposed_images(collection: Collection, split: Split, learned: Mapping[str, str]) -> pd.Index:
    """The held-out images that a model knows: it learned from them, from a copy, or from an image of their patient.

    Files are known by path, whatever they hold now, and by content. Contents are read where a learned file is no
    longer what and where it was, since it may be held out now under another name.

    Raises:
        CollectionError: a held-out file is gone, or has another size than when it was scanned.
    """
    images = collection.images
    held = split.paths(*HELD_OUT).intersection(images.index)
    hashes = images["sha256"].reindex(list(learned))
    moved = hashes.isna() & ~hashes.index.isin(images.index) | hashes.notna() & (hashes != pd.Series(learned))
    images = with_hashes(collection, held).images if moved.any() else images
    known = images.index.isin(list(learned)) | images["sha256"].isin(learned.values())
    groups = stay_together(collection)
    return held[groups[held].isin(groups[known])]
