"""Radiographs of another folder, of any class and unlabelled, that a training from scratch learns from first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from balancer.adapting.common.image_tensors import ImageTensors
from balancer.collection.image_stats import Contents, read_contents
from balancer.collection.near_duplicates import SAME_PICTURE, is_blank, likenesses_between
from balancer.collection.scan import Sample
from balancer.collection.walk import list_files
from balancer.errors import CollectionError, ImageError
from balancer.files import sha256_of
from balancer.imaging.decode import GreyImage, read_grey, resize
from balancer.parallel import in_threads
from balancer.prompting.packs import Packs, TemplatePack
from balancer.text import many, printable

RADIOGRAPH = "radiograph"
"""What all images of a pool are labelled; their caption does not even say that, but the pack's modality alone."""
LEAST = 100
"""Images that a pool has at least: fewer would be learned by heart."""
SHARE = 0.5
"""Of the time or of the steps, what is spent on the pool."""
_DAMAGED, _REPEATED, _BLANK = "damaged", "repeated", "of one grey level"
_HELD_OUT, _ALIKE = "the same file as a held-out image", "the same picture as a held-out image"
_KNOWN = "already in your collection"

Progress = Callable[[int, int], None]
Watch = Callable[[str], Progress]
"""Named with what takes time, it returns whom to tell how far that is."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What is learned from first: `samples` below `root` in the order of their paths, and their `pictures`.

    `left_out` says how many files were not taken, by the reason.
    """

    root: Path
    samples: tuple[Sample, ...]
    pictures: ImageTensors
    left_out: Mapping[str, int]

    @property
    def places(self) -> dict[str, str]:
        """The path of each image below `root`, by its hash."""
        return {sample.sha256: sample.path for sample in self.samples}

    def told(self) -> str:
        """What is said of it before it is learned from."""
        out = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
        images = many(len(self.samples), "unlabelled radiograph")
        said = [f"Pretraining: {SHARE:.0%} of the training is on {images} of {printable(self.root.name)}."]
        said += [f"Left out: {out}."] if out else []
        said += ["Whether held-out patients are on other images of this folder is not known."]
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a training goes on from: the checkpoint in `folder`, which learned the files of these `hashes`.

    `training` are the facts of its phases.
    """

    folder: Path
    hashes: tuple[str, ...]
    left_out: Mapping[str, int]
    training: Mapping[str, Any] = field(default_factory=dict)


def general(packs: Packs) -> TemplatePack:
    """The wording of what no label is known of: the modality alone, of the pack that most labels have.

    >>> from balancer.prompting.packs import load_pack
    >>> general({"nodule": load_pack("chest")}).templates
    ('{modality}',)
    """
    name = Counter(pack.name for _, pack in sorted(packs.items())).most_common(1)[0][0]
    pack = next(pack for _, pack in sorted(packs.items()) if pack.name == name)
    return replace(pack, templates=("{modality}",), slots={}, classes=(), known={})


def read_pool(
    folder: Path,
    size: int,
    known: Mapping[str, bool],
    held: Sequence[Contents],
    watch: Watch = lambda what: lambda done, total: None,
) -> Pool:
    """All radiographs below a folder, stretched to (size, size), but for those that may not be learned from.

    `known` says of the hash of each image of the collection whether it is held out, `held` what the held-out ones
    look like: whatever is the same file or the same picture is left out, and what cannot be decoded too.

    Raises:
        CollectionError: the folder cannot be read, or too few images are left.
    """
    if not folder.is_dir():
        raise _unfit(f"{folder}: {'a file' if folder.exists() else 'nothing there'}")
    listing = list_files(folder)
    seen: dict[str, tuple[str, GreyImage, float]] = {}
    out: Counter[str] = Counter()
    hashes: set[str] = set()
    looked = in_threads(partial(_look, folder, size), listing.paths, watch("Reading images to pretrain on"))
    for path, found in zip(listing.paths, looked, strict=True):
        reason = _reason(found, known, hashes)
        if reason:
            out[reason] += 1
        elif found is not None:
            hashes.add(found[0])
            seen[path] = found
    stats = pd.DataFrame({"size": listing.sizes, "mtime_ns": listing.times}, index=listing.paths, dtype="int64")
    contents = read_contents(folder, stats.loc[list(seen)], {}, watch("Comparing them with held-out images"))
    for path, reason in _unwanted(contents, held).items():
        out[reason] += 1
        del seen[path]
    if len(seen) < LEAST:
        less = ", ".join(f"{count:,} {reason}" for reason, count in sorted(out.items()))
        raise _unfit(f"{folder}: {len(seen)}{f', and left out: {less}' if less else ''}")
    samples = tuple(Sample(path, RADIOGRAPH, None, seen[path][0]) for path in sorted(seen))
    greys = torch.from_numpy(np.stack([seen[sample.path][1] for sample in samples]))
    reduction = float(np.median([each[2] for each in seen.values()]))
    return Pool(folder, samples, ImageTensors(greys, reduction), dict(sorted(out.items())))


def _look(folder: Path, size: int, path: str) -> tuple[str, GreyImage, float] | None:
    """A file's hash, its picture and how much larger it was; None where it cannot be decoded."""
    try:
        grey = read_grey(folder / path)
        return sha256_of(folder / path), resize(grey, size, size), max(grey.shape) / size
    except (ImageError, OSError):
        return None


def _reason(found: tuple[str, GreyImage, float] | None, known: Mapping[str, bool], hashes: set[str]) -> str:
    """Why a file is left out; nothing where it is not."""
    if found is None:
        return _DAMAGED
    if found[0] in known:
        return _HELD_OUT if known[found[0]] else _KNOWN
    return _REPEATED if found[0] in hashes else ""


def _unwanted(contents: Mapping[str, Contents], held: Sequence[Contents]) -> dict[str, str]:
    """Why files are left out for what they show."""
    found = {
        path: _DAMAGED if each.fault else _BLANK for path, each in contents.items() if each.fault or is_blank(each)
    }
    left = [path for path in contents if path not in found]
    others = [each for each in held if each.fault is None and not is_blank(each)]
    pairs = likenesses_between([contents[path] for path in left], others)
    return found | {left[i]: _ALIKE for i, _, alike in pairs if alike >= SAME_PICTURE}


def _unfit(found: str) -> CollectionError:
    return CollectionError(
        needed=f"a folder with at least {LEAST} radiographs to pretrain on",
        found=found,
        next_step="name another: balance adapt --from-scratch --pretrain FOLDER; or leave --pretrain out",
    )
