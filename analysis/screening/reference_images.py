"""The real images that candidates are judged by: read once, embedded once, and found again in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.data.array_cache import Arrays, cached_arrays, key_of
from analysis.data.image_statistics import Inspected, inspect
from analysis.data.minimums import EMBEDDING_IMAGES
from analysis.screening.copies import Calibrators, choose_calibrators
from analysis.vision.copy_embedding import Embedding, Vectors, train_embedding, usual_steps
from balancer.collection.scan import Collection as Xrays
from balancer.collection.scan import with_hashes
from balancer.errors import ImageError
from balancer.files import sha256_if_there
from balancer.splits.split import Split

_VERSION = 2  # of all that is computed here: raised with it, so that an old cache is not mistaken for a new one
Watch = Callable[[str], Callable[[int, int], None]]
"""Named with what takes time, it returns whom to tell how far that is."""


@dataclass(frozen=True, slots=True)
class Reals:
    """Real images in one order: `groups` number their patients (-1 unknown; exact duplicates count as one patient),
    `held` is true of the holdout part, `searched` of images that are only searched: the adapter has seen them, but
    they are not in the training part. `calibrators` show how near patients come to each other. `key` is a hash of all
    that was put in.
    """

    paths: tuple[str, ...]
    labels: npt.NDArray[np.object_]
    groups: npt.NDArray[np.int64]
    held: npt.NDArray[np.bool_]
    searched: npt.NDArray[np.bool_]
    images: Inspected
    embedding: Embedding | None
    vectors: Vectors
    features: Vectors
    calibrators: Calibrators
    key: str

    @property
    def train(self) -> npt.NDArray[np.bool_]:
        """What the classifier learns from."""
        return ~self.held & ~self.searched


def load_reals(
    collection: Xrays,
    split: Split,
    cache: Path,
    exposed: Collection[str] = (),
    steps: int | None = None,
    watch: Watch = lambda what: lambda done, total: None,
    elsewhere: Mapping[str, Path] = {},
) -> tuple[Reals, tuple[str, ...]]:
    """Training and holdout part, and whatever else of the collection has a hash in `exposed`; and what is to be said.

    So have files that are `elsewhere`, by their hashes. They are known by a name of ours, and by no class and patient.

    Raises:
        ImageError: no training image can be read.
    """
    known, table = _table(collection, split, exposed)
    others = _elsewhere({sha256: elsewhere[sha256] for sha256 in sorted(set(exposed) - known) if sha256 in elsewhere})
    known |= set(others["sha256"])
    places = [*(collection.root / path for path in table.index), *others["place"]]
    table = pd.concat([table, others]) if len(others) else table
    cache.mkdir(exist_ok=True)
    read, readable = _inspected(places, list(table["sha256"]), cache, watch)
    rows = table.iloc[readable]
    held, searched = (rows["role"] == role for role in ("holdout", "exposed"))
    train = (~held & ~searched).to_numpy()
    if not train.any():
        raise ImageError(
            needed="real training images to compare with",
            found="none that can be read",
            next_step="balance scan FOLDER --deep",
        )
    groups = patient_groups(rows)
    calibrators = choose_calibrators(groups, held.to_numpy(), train, list(rows.index))
    apart = np.isin(groups, groups[calibrators.places]) & calibrators.detector
    embedding, key = _embedding(read, train & ~apart, groups, list(rows["sha256"]), steps, cache, watch)
    vectors, features = _described(read, embedding, key, cache)
    whole = key_of(key, list(rows["sha256"]), list(rows["label"]), groups.tolist(), list(rows["role"]))
    found = Reals(
        paths=tuple(rows.index),
        labels=rows["label"].to_numpy(object),
        groups=groups,
        held=held.to_numpy(),
        searched=searched.to_numpy(),
        images=read,
        embedding=embedding,
        vectors=vectors,
        features=features,
        calibrators=calibrators,
        key=whole,
    )
    return found, tuple(_notes(table, readable, set(exposed) - known))


def patient_groups(images: pd.DataFrame) -> npt.NDArray[np.int64]:
    """A number for each patient, exact duplicates joined; -1 where the patient is unknown."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, known = len(images), images["patient"].notna().to_numpy()
    people, contents = (pd.factorize(images[name])[0] for name in ("patient", "sha256"))
    nodes = count + max(people.max(initial=-1), 0) + 1 + max(contents.max(initial=-1), 0) + 1
    start = count + max(people.max(initial=-1), 0) + 1
    some = np.flatnonzero(contents >= 0)
    ends = (
        np.concatenate([np.flatnonzero(known), some]),
        np.concatenate([count + people[known], start + contents[some]]),
    )
    _, groups = connected_components(coo_array((np.ones(len(ends[0])), ends), shape=(nodes, nodes)), directed=False)
    own = groups[:count].astype(np.int64)
    return np.where(np.isin(own, own[known]), own, -1)


def _table(collection: Xrays, split: Split, exposed: Collection[str]) -> tuple[set[str], pd.DataFrame]:
    """The hashes of all images that were looked at, and the rows of those that are searched, with their role."""
    training = split.paths("train", "holdout")
    hashed = with_hashes(collection, training).images
    table = hashed.loc[training].assign(role=split.parts.loc[training])
    if missing := set(exposed) - set(table["sha256"]):
        others = split.paths("val", "test")
        elsewhere = with_hashes(collection, others).images.loc[others]
        seen = elsewhere[elsewhere["sha256"].isin(missing)].assign(role="exposed")
        table = pd.concat([table, seen])
    return set(table["sha256"]), table


def _elsewhere(files: Mapping[str, Path]) -> pd.DataFrame:
    """The rows of files outside the collection that are still what they were."""
    same = {sha256: place for sha256, place in files.items() if sha256_if_there(place) == sha256}
    rows = {"sha256": list(same), "place": list(same.values())}
    names = [f"a pretraining image ({sha256[:12]})" for sha256 in same]
    return pd.DataFrame(rows, index=names, dtype=object).assign(label="", patient=None, role="exposed")


def _inspected(paths: list[Path], hashes: list[str], cache: Path, watch: Watch) -> tuple[Inspected, list[int]]:
    def read() -> Arrays:
        images, readable = inspect(paths, watch("Reading real images"))
        return {"greys": images.greys, "measures": images.measures, "readable": np.array(readable, np.int64)}

    found = cached_arrays(cache / f"images-{key_of(*hashes)}.npz", read)
    return Inspected(found["greys"], found["measures"]), found["readable"].tolist()


def _embedding(
    read: Inspected,
    train: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.int64],
    hashes: list[str],
    steps: int | None,
    cache: Path,
    watch: Watch,
) -> tuple[Embedding | None, str]:
    """The embedding of these training images, from the cache or learned now, and the hash of all that decides it."""
    count = int(train.sum())
    steps = usual_steps(count) if steps is None else steps
    own = [sha256 for sha256, is_train in zip(hashes, train, strict=True) if is_train]
    people = np.where(groups[train] < 0, -1 - np.arange(count), pd.factorize(groups[train])[0])
    key = key_of(_VERSION, own, people.tolist(), steps)
    if count < EMBEDDING_IMAGES:  # it would know each by heart
        return None, key
    place = cache / f"embedding-{key}.safetensors"
    found = Embedding.load(place) if place.is_file() else None
    if found is None:
        found = train_embedding(
            read.greys[train], steps=steps, groups=people, progress=watch("Training the copy detector")
        )
        found.save(place, {"training_files": own, "steps": steps, "kind": "embedding", "version": _VERSION})
    return found, key


def _described(read: Inspected, embedding: Embedding | None, key: str, cache: Path) -> tuple[Vectors, Vectors]:
    if embedding is None:
        return np.zeros((len(read.greys), 0), np.float32), np.zeros((len(read.greys), 0), np.float32)
    place = cache / f"vectors-{key_of(key, hashlib.sha256(read.greys.tobytes()).hexdigest())}.npz"
    found = cached_arrays(
        place, lambda: dict(zip(("vectors", "features"), embedding.describe(read.greys), strict=True))
    )
    return found["vectors"], found["features"]


def _notes(table: pd.DataFrame, readable: list[int], gone: set[str]) -> list[str]:
    notes = []
    if len(table) > len(readable):
        notes.append(f"{len(table) - len(readable)} real images cannot be read and were not searched for copies")
    if gone:
        notes.append(
            f"{len(gone)} training images of the generator are not in the collection, and were not searched for copies"
        )
    return notes
