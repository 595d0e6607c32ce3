"""A small workplace as `scan` and `fill` leave it: a drawn collection, its split and the balanced folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save

from analysis.comparison.inputs.build_study import Material, Wanted, gather
from balancer.collection.scan import Collection, samples, scan, with_hashes
from balancer.dataset.merge import merge
from balancer.jobs import Candidate, Job, ModeDraw, ModelRef, Verdict
from balancer.splits.split import Split, draw_split
from balancer.store.database import Ledger
from balancer.store.state_dir import State, find_or_make_state
from balancer.workspace.last_fill import FillManifest
from balancer.workspace.run_record import remember_run
from balancer.workspace.settings import FillSettings
from balancer.workspace.workspace import Session
from tests.support.balanced_fixtures import make_candidate, make_job

PATIENT = r"(p\d+)-"
PARTS = {"train": 24, "val": 8, "test": 12}
SYNTHETIC = 6


def draw(seed: int, size: int = 96) -> Image.Image:
    """A smooth picture of nothing, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 10), np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def write_images(root: Path, counts: Mapping[str, int], first: int = 0) -> Path:
    """`root/LABEL/pN-K.png`, two of each patient; counts of each of two classes."""
    for number, label in enumerate(("NODULE", "NORMAL")):
        (root / label).mkdir(parents=True)
        for index in range(counts.get(label, 0)):
            seed = first + 1000 * number + index
            draw(seed).save(root / label / f"p{first + 1000 * number + index // 2}-{index % 2}.png")
    return root


def write_parts(root: Path) -> Path:
    """A collection with folders of its own for train, val and test."""
    for place, (part, count) in enumerate(PARTS.items()):
        write_images(root / part, {"NODULE": count, "NORMAL": count + 10}, first=10_000 * (place + 1))
    return root


def write_flat(root: Path) -> Path:
    """A flat collection."""
    return write_images(root, {"NODULE": 60, "NORMAL": 70}, first=10_000)


@dataclass(slots=True)
class Place:
    """Where a comparison is asked for; `split` is the present one."""

    folder: Path
    collection: Collection
    split: Split
    state: State
    ledger: Ledger

    @property
    def out(self) -> Path:
        return self.folder / "balanced"

    def paths(self, part: str, label: str = "NODULE") -> list[str]:
        labels = self.collection.images["label"]
        return [path for path in self.split.paths(part) if labels[path] == label]

    def fill(self, judged: list[tuple[Candidate, Verdict]], facts: Mapping[str, str] | None = None) -> None:
        """Record what was made and judged, and merge what was accepted."""
        self.ledger.add_candidates(self.collection, judged)
        ids = {"NODULE": [candidate.id for candidate, _ in judged if candidate.job is not None]}
        FillManifest({"NODULE": len(judged)}, ids, {}, (), "balanced", False).save(self.ledger, self.collection)
        told = {"split": f"{self.split.origin}, seed {self.split.seed}, sha256 {self.split.sha256}", **(facts or {})}
        usable = [each for each in judged if each[1].decision != "reject"]
        merge(self.collection, self.split, usable, self.out, facts=told)

    def asked(self, settings: FillSettings) -> None:
        """Record what the last fill was asked for, in two seconds."""
        remember_run(Session(self.state, self.ledger, self.collection, self.split), "fill", settings, 2.0)

    def gather(self, **options: Any) -> Material:
        """The material at 64 pixels."""
        fields = {"side": 64, "needs": ("synthetic", "unscreened"), **options}
        folder = self.out if self.out.exists() else None
        return gather(self.collection, self.split, folder, Wanted(**fields), ledger=self.ledger, cache=self.state.cache)


def place_of(
    folder: Path,
    write: Callable[[Path], Path] = write_parts,
    plant: Callable[[Path], object] = lambda root: None,
    patient: str | None = PATIENT,
    **options: Any,
) -> Place:
    """A workplace whose collection is written, changed by `plant`, and scanned."""
    root = write(folder / "xrays")
    plant(root)
    state = find_or_make_state(folder, root)
    found = scan(root, patient, **options)
    split = draw_split(found)
    ledger = Ledger(state)
    ledger.save_collection(found)
    ledger.save_split(found, split)
    return Place(folder, found, split, state, ledger)


def judged(
    place: Place,
    count: int = SYNTHETIC,
    decision: Any = "accept",
    scores: Mapping[str, float | str] | None = None,
    change: Callable[[Job], Job] = lambda job: job,
    first: int = 0,
) -> list[tuple[Candidate, Verdict]]:
    """Synthetic nodules, each screened against a training image."""
    near = {"copy_pixels": 0.4, "copy_nearest": place.paths("train")[0], **(scores or {})}
    jobs = [change(make_job("NODULE", index)) for index in range(first, first + count)]
    return [(make_candidate(place.state.candidates, job), Verdict(decision, near, (), "screen 1")) for job in jobs]


def filled(place: Place, **options: Any) -> Place:
    """The same with a balanced folder."""
    place.fill(judged(place, **options))
    return place


def drawn_by(model: ModelRef | None, adapter: ModelRef | None) -> Callable[[Job], Job]:
    """Jobs of these models."""

    def change(job: Job) -> Job:
        config = replace(job.config, adapter=adapter)
        return replace(job, config=config if model is None else replace(config, model=model))

    return change


def made_from(**methods: Any) -> Callable[[Job], Job]:
    """Jobs with another method."""
    return lambda job: replace(job, method=ModeDraw(**methods))


def sample(place: Place, path: str) -> Any:
    """One image of the collection, hash and all."""
    return samples(with_hashes(place.collection, [path]).images.loc[[path]])[0]


def write_card(folder: Path, learned: Mapping[str, str]) -> None:
    """What a model says that it learned from."""
    (folder / "card.json").write_text(json.dumps({"training_files": dict(learned)}))


def write_adapter(place: Place, learned: list[str], name: str = "lora") -> ModelRef:
    """An adapter of the workplace that learned from some images."""
    folder = place.state.adapters / name
    folder.mkdir(parents=True)
    weights = save({f"weights of {name}": np.zeros(1, np.float32)})
    (folder / "pytorch_lora_weights.safetensors").write_bytes(weights)
    write_card(folder, {path: sample(place, path).sha256 for path in learned})
    place.ledger.add_adapter(place.collection, folder)
    return ModelRef(name, None, hashlib.sha256(weights).hexdigest())
