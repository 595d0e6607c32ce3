"""Scan, split and plan of a collection of several findings at the scale of NIH ChestX-ray14: in memory, no files.

    python -m tests.benchmarks.multi_label

112,120 images of 30,805 patients, 14 findings about as frequent as there, joint by a patient's own tendency.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from balancer.collection.label_sets import LabelSets
from balancer.collection.listed import COLUMNS, DTYPES
from balancer.collection.scan import Collection

IMAGES, PATIENTS = 112_120, 30_805
SHARES = {
    **{"Infiltration": 0.177, "Effusion": 0.119, "Atelectasis": 0.103, "Nodule": 0.056, "Mass": 0.052},
    **{"Pneumothorax": 0.047, "Consolidation": 0.042, "Pleural_Thickening": 0.030, "Cardiomegaly": 0.025},
    **{"Emphysema": 0.022, "Edema": 0.021, "Fibrosis": 0.015, "Pneumonia": 0.013, "Hernia": 0.002},
}
"""Images with each finding (Wang et al. 2017)."""


def collection(images: int = IMAGES, patients: int = PATIENTS, seed: int = 0) -> Collection:
    """A collection of no files: patients of one image or many, each inclined to some of the findings."""
    chance = np.random.default_rng(seed)
    weights = chance.pareto(1.2, patients) + 1
    more = chance.choice(patients, images - patients, p=weights / weights.sum())
    patient = np.concatenate([np.arange(patients), more])
    inclined = chance.gamma(0.6, 1 / 0.6, (patients, len(SHARES)))
    likely = np.minimum(np.array([*SHARES.values()]) * inclined[patient], 0.9)
    has = chance.random(likely.shape) < likely
    paths = pd.Index(
        [f"images/{number:08}_{at:03}.png" for at, number in enumerate(patient)], dtype=object, name="path"
    )
    marks = pd.DataFrame(has.astype(np.int8), paths, [*SHARES])
    sets = LabelSets(marks.assign(**{"No Finding": (~has.any(axis=1)).astype(np.int8)}), "No Finding")
    table = pd.DataFrame({name: pd.Series([None] * images, paths, dtype=DTYPES.get(name, object)) for name in COLUMNS})
    sex = chance.choice(["female", "male"], patients)[patient]
    table = table.assign(label=sets.names(), part="", patient=[f"p{number}" for number in patient], sex=sex)
    table = table.assign(view=chance.choice(["PA", "AP"], images, p=[0.6, 0.4]), size=1, mtime_ns=0)
    return Collection(Path("nih"), table, (), "p", label_sets=sets)


def timed(name: str, function: Callable[[], Any]) -> Any:
    """What a function gives; how long it took is printed."""
    began = time.perf_counter()
    found = function()
    print(f"{name}: {time.perf_counter() - began:.1f} s")
    return found


def main() -> None:
    """Time each, and print in what share of its patients each finding is in each split."""
    from balancer.collection.imbalance import measure_findings
    from balancer.planning import make_plan
    from balancer.set_planning import plan_sets
    from balancer.splits.groups import Groups
    from balancer.splits.split import SplitShares, draw_split, training_counts

    found = timed("made", collection)
    timed("figures", lambda: measure_findings(found.label_sets.has()))
    split = timed("split", lambda: draw_split(found, shares=SplitShares(folds=5)))
    groups = timed("groups", lambda: Groups.of(found))
    counts = training_counts(found, split)
    deficits = make_plan(counts, ["max"]).deficits
    real = Counter(found.label_sets.only(split.paths("train", "holdout")).of_each())
    planned = timed("plan", lambda: plan_sets({each: n for each, n in real.items() if each}, deficits))
    print(f"{len(real)} real sets, {len(planned.sets)} made: {sum(planned.sets.values())} images; {planned.lifted}")
    for name in ("train", "holdout", "val", "test"):
        print(name, groups.counts(split.parts == name))
    for fold in range(5):
        print(fold, groups.counts(split.folds == fold))


if __name__ == "__main__":
    main()
