"""Can the phantoms show that images help? `python -m tests.benchmarks.yardstick [WORD...] [--seeds N] [--few N]`.

Hard phantoms, 64 px, a patient each: 300 normal ones and some nodules to train on, 100 and 50 to watch the training by,
300 and 100 to test. The small network of `balance compare` trains with strong augmentation and evened classes for as
many steps as `--steps auto` finds. With 20 nodules its AUPRC must be about 0.7, with 300 about 0.95. Then 300 images of
the finding are added to a few: real ones of other patients, which is the most that images can do, and the same few
lesions put into normal images; trained and judged by the code of `balance compare`. A line a figure; exits with 1 on a
miss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from analysis.comparison.inference.result import Comparison
from analysis.comparison.inputs.study import ATTRIBUTES, Part
from analysis.comparison.inputs.transplants import Wish, transplant
from analysis.comparison.training.arms import ARMS, Arm, Rows
from analysis.comparison.training.networks import SmallNetwork
from balancer.collection.regions import Region, Regions
from balancer.collection.run_lengths import to_runs
from examples.phantoms import HARD, draw_radiograph, finding_mask
from tests.benchmarks.honesty import Parts, Pool, compared
from tests.benchmarks.rows import Row, print_rows

CLASSES = ("normal", "nodule")
BASELINE, PRIMARY = "strong-augmentation", "auprc:nodule"
SIDE, LONGEST, MADE = 64, 2000, 300
PARTS = ((300, 620), (100, 50), (300, 100))
"""Normal images and nodules to train on, to watch the training by, to test."""
FEW = 20
GOALS = {FEW: (0.6, 0.8), 300: (0.92, 0.98)}


@cache
def drawn() -> tuple[Pool, Parts]:
    """All phantoms, each another patient's, and which of them train, validate and test."""
    counts = [count for part in PARTS for count in part]
    targets = np.repeat(np.arange(len(counts)) % 2, counts)
    images = [draw_radiograph(CLASSES[each], number, 0, SIDE, difficulty=HARD) for number, each in enumerate(targets)]
    rows = np.split(np.arange(len(targets)), np.cumsum([sum(part) for part in PARTS])[:-1])
    return Pool(np.stack(images)[None], targets, np.arange(len(targets)), CLASSES, SmallNetwork()), Parts(*rows)


def with_transplants(pool: Pool, real: Any, count: int) -> tuple[Pool, Any]:
    """The pool with so many transplants of the nodules among these rows, and their rows."""
    paths = tuple(f"{row}.png" for row in real)
    nothing = pd.DataFrame(columns=ATTRIBUTES, index=range(len(real)))
    part = Part(pool.seen[0][real], pool.targets[real], pool.groups[real], paths, nothing)
    sick = [(path, int(row)) for path, row in zip(paths, real, strict=True) if pool.targets[row]]
    masks = {path: finding_mask(CLASSES[1], row, size=SIDE, difficulty=HARD) for path, row in sick}
    regions = {path: (Region(SIDE, SIDE, runs=to_runs(mask)),) for path, mask in masks.items()}
    normal = np.flatnonzero(part.targets == 0)
    wishes = [Wish(1, int(row)) for row in np.resize(normal, count)]
    made = transplant(part, CLASSES, wishes, Regions(regions, Path("drawn")))
    more = len(pool.targets) + np.arange(len(made))
    targets, groups = np.concatenate((pool.targets, made.targets)), np.concatenate((pool.groups, more))
    seen = np.concatenate((pool.seen, made.images[None]), axis=1)
    return Pool(seen, targets, groups, pool.classes, pool.backbone), more


def judged(few: int, kinds: Mapping[str, str], seeds: int) -> Comparison:
    """Arms on so many real nodules, which are others with each seed, and judged as `balance compare` judges.

    What is added is taken from other patients by a synthetic arm, and from the same nodules by a counter-arm.
    """
    pool, parts = drawn()
    normal, sick = (parts.train[pool.targets[parts.train] == each] for each in (0, 1))
    chosen, pools = {}, pool
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(sick)
        real = np.concatenate((normal, order[:few]))
        added = {"synthetic": order[few : few + MADE]}
        if "counter" in kinds.values():
            pools, added["transplanted"] = with_transplants(pools, real, MADE)
        chosen[seed] = real, added

    def lesson(arm: str, train: Any, fold: int, seed: int) -> tuple[Arm, Rows, Mapping[str, Rows]]:
        real, added = chosen[seed]
        return (
            ARMS[arm],
            Rows(real, pools.targets[real]),
            {name: Rows(x, pools.targets[x]) for name, x in added.items()},
        )

    lessons = {arm: partial(lesson, arm) for arm in kinds}
    return compared(pools, [parts], kinds, lessons, seeds, 0, LONGEST)


# ---- the figures


def levels(seeds: int, few: int) -> Iterator[Row]:
    """What the difficulty was chosen for."""
    for count, (least, most) in GOALS.items():
        found = judged(count, {BASELINE: "free"}, seeds).arms[BASELINE][PRIMARY]
        what = f"300 normal images, {count} nodules, {seeds} seeds"
        goal = f"{least:g} to {most:g}"
        yield Row(what, "drawn to be so", f"AUPRC {found}", goal, least <= found.mean <= most)


def helpful(seeds: int, few: int) -> Iterator[Row]:
    """Real images of other patients, and transplants, beside a few real ones."""
    kinds = {BASELINE: "free", "real-share-0.5": "synthetic", "transplanted": "counter"}
    found = judged(few, kinds, seeds)
    for sentence in (found.sentence, *found.points):
        print(f"  {sentence}")
    what = f"{few} nodules, {MADE} real ones of other patients passed off as synthetic, {seeds} seeds"
    contrast = found.grounds.contrast
    told = found.judgement if contrast is None else f"{found.judgement}, {contrast.signed}"
    yield Row(what, "they help", told, "helps", found.judgement == "helps")
    gain = found.grounds.counters["transplanted"]
    what = f"{few} nodules, transplanted into {MADE} normal images, {seeds} seeds"
    yield Row(what, "unknown", f"AUPRC {found.arms['transplanted'][PRIMARY]}, {gain.signed}", "above 0", gain.low > 0)


EXPERIMENTS = (levels, helpful)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a figure; 1 if one missed its goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="experiments whose name contains it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--few", type=int, default=FEW)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    return print_rows(EXPERIMENTS, asked.words, asked.seeds, asked.few)


if __name__ == "__main__":
    sys.exit(main())
