"""Which images a reader sees: what the gates sent to review, a random sample, or real and synthetic half and half."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from balancer.collection.label_sets import findings_in
from balancer.collection.scan import Collection
from balancer.files import sha256_if_there
from balancer.imaging.decode import read_header
from balancer.jobs import Candidate, Verdict
from balancer.splits.groups import seeded_order
from balancer.splits.split import Split

Judged = Mapping[str, tuple[Candidate, Verdict]]
"""Candidates by id, each with the verdict that counts."""
REAL: Final = "real"
SYNTHETIC: Final = "synthetic"


def opaque_id() -> str:
    """32 random hexadecimal digits: a name for an image on the page that says nothing of the image."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """A candidate to decide on; `key` is its id in the ledger, `id` its name on the page of this run."""

    key: str
    candidate: Candidate
    verdict: Verdict
    id: str = field(default_factory=opaque_id)


@dataclass(frozen=True, slots=True)
class BlindedCase:
    """A real or synthetic image to tell apart; `key` names it in the ledger alike for every reader."""

    key: str
    label: str
    path: Path
    sha256: str | None
    truth: Literal["real", "synthetic"]
    id: str = field(default_factory=opaque_id)


def listed_label(label: str, collection: Collection) -> str:
    """A class as it is shown to a reader: of a label set, its findings."""
    return ", ".join(findings_in(label)) if collection.is_multi_label else label


def waiting(judged: Judged, reader: str, limit: int | None = None) -> list[ReviewCase]:
    """What waits for a reader, class by class; where this reader was unsure already, last."""
    open_ones = [(key, *each) for key, each in judged.items() if each[1].decision == "review"]
    open_ones.sort(key=lambda each: (each[2].reviewer == reader, each[1].label, _index(each[1]), each[0]))
    return [ReviewCase(*each) for each in open_ones[:limit]]


def random_sample(judged: Judged, count: int, seed: int) -> list[ReviewCase]:
    """`count` of all candidates whatever their verdicts; same seed, same sample, and a larger one holds a smaller.

    >>> random_sample({}, 5, 0)
    []
    """
    return [ReviewCase(key, *judged[key]) for key in seeded_order(judged, seed)[:count]]


def half_and_half(
    collection: Collection, split: Split, usable: Judged, labels: Sequence[str], count: int, seed: int
) -> list[BlindedCase]:
    """At most `count` images, for every synthetic one a real one of its class, if possible of its size, in mixed order.

    Real images are of the training and holdout part. Same seed and images, same sample.
    """
    reals = _Reals(collection, split, labels, seed)
    cases: list[BlindedCase] = []
    for key in seeded_order(usable, seed):
        candidate = usable[key][0]
        real = reals.take(candidate.label, _size(candidate)) if len(cases) + 2 <= count else None
        if real is not None:
            made = BlindedCase(f"{SYNTHETIC} {key}", candidate.label, candidate.path, candidate.sha256, SYNTHETIC)
            cases += [made, real]
    by_key = {case.key: case for case in cases}
    return [by_key[key] for key in seeded_order(by_key, seed + 1)]


def same_again(collection: Collection, usable: Judged, keys: Iterable[str]) -> list[BlindedCase]:
    """The images of an earlier study, for its next reader; what is gone is left out."""
    found = []
    for key in keys:
        truth, _, name = key.partition(" ")
        if truth == REAL and name in collection.images.index:
            found.append(_real(collection, name))
        elif truth == SYNTHETIC and name in usable:
            candidate = usable[name][0]
            found.append(BlindedCase(key, candidate.label, candidate.path, candidate.sha256, SYNTHETIC))
    return found


def is_there(path: Path, sha256: str | None) -> bool:
    """Whether a file is there, and is the one that was recorded."""
    found = sha256_if_there(path)
    return found is not None and sha256 in (None, found)


class _Reals:
    """Real images that are not in the sample yet, class by class, in an order drawn by the seed."""

    def __init__(self, collection: Collection, split: Split, labels: Sequence[str], seed: int) -> None:
        images = collection.images.loc[split.paths("train", "holdout")]
        images = images[images["width"].notna() & images["label"].isin(list(labels))]
        self._collection = collection
        self._left: dict[str, list[str]] = defaultdict(list)
        for name in seeded_order(images.index, seed):
            self._left[str(images.at[name, "label"])].append(name)
        self._sizes = dict(zip(images.index, zip(images["width"], images["height"], strict=True), strict=True))

    def take(self, label: str, size: tuple[int, int]) -> BlindedCase | None:
        left = self._left[label]
        if not left:
            return None
        name = next((name for name in left if self._sizes[name] == size), left[0])
        left.remove(name)
        return _real(self._collection, name)


def _real(collection: Collection, name: str) -> BlindedCase:
    row = collection.images.loc[name]
    sha256 = row["sha256"] if isinstance(row["sha256"], str) else None
    return BlindedCase(f"{REAL} {name}", str(row["label"]), collection.root / name, sha256, REAL)


def _index(candidate: Candidate) -> int:
    return candidate.job.index if candidate.job else 0


def _size(candidate: Candidate) -> tuple[int, int]:
    if candidate.job and candidate.job.output.size:
        return candidate.job.output.size
    header = read_header(candidate.path)
    return header.width, header.height
