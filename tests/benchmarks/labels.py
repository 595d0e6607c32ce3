"""`python -m tests.benchmarks.labels FOLDER [--images N] [--share 0.05]`: of flipped labels, how many are found first.

FOLDER is a collection of real X-rays in class folders. Some of its images are copied, the labels of a share of them are
changed by chance, and `balance labels` looks for them. The precision at the number flipped is that of a list as
long as there are flipped labels. Labels of the collection that are wrong already count as false alarms.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from analysis.labels.service import LabelsResult, check_labels
from balancer.workspace.judging_settings import CheckLabelsSettings
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace
from tests.benchmarks.screening import PATIENT

GOAL = 0.5


def flip(source: Path, target: Path, images: int, share: float, seed: int) -> set[str]:
    """Copy some images below `target`, a share of them into another class by chance: those, by their new paths."""
    chance = np.random.default_rng(seed)
    files = sorted(path for path in source.glob("*/*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    chosen = [files[place] for place in sorted(chance.permutation(len(files))[:images])]
    classes = sorted({path.parent.name for path in chosen})
    wrong = set(chance.permutation(len(chosen))[: round(share * len(chosen))].tolist())
    moved = set()
    for place, path in enumerate(chosen):
        others = [label for label in classes if label != path.parent.name]
        label = str(chance.choice(others)) if place in wrong else path.parent.name
        (target / label).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / label / path.name)
        moved |= {f"{label}/{path.name}"} if place in wrong else set()
    return moved


def figures(found: LabelsResult, flipped: set[str]) -> dict[str, float | int]:
    """Precision at the number flipped; precision and recall of the whole list."""
    listed = [each.image for each in found.suspected]
    first = set(listed[: len(flipped)])
    hits = len(flipped.intersection(listed))
    return {
        "checked": found.checked,
        "flipped": len(flipped),
        "agreement": found.agreement,
        "precision_at_flipped": len(first & flipped) / len(flipped),
        "listed": len(listed),
        "precision_of_list": hits / max(1, len(listed)),
        "recall_of_list": hits / len(flipped),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "xrays"
        flipped = flip(asked.folder, root, asked.images, asked.share, asked.seed)
        workspace = Workspace.open(place)
        scan(workspace, ScanSettings(root, patient=PATIENT))
        start = time.perf_counter()
        found = check_labels(workspace, CheckLabelsSettings(steps=asked.steps, seed=asked.seed))
        result = {**figures(found, flipped), "seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(result, indent=1))
    raise SystemExit(result["precision_at_flipped"] < GOAL)


if __name__ == "__main__":
    main()
