"""How good are the images of a generator? `python -m tests.benchmarks.generator WHOLE BALANCED [BALANCED ...]`.

BALANCED is what `fill` made of a collection that was cut down from WHOLE, as a long tail: the real images of a filled
class that were cut away are what its synthetic images should be like. Both are seen by one classifier, trained on the
training part of WHOLE for this measurement alone. KID is between equal numbers of images; beside it stands that of two
halves of the real ones. The wanted label is how often that classifier gives images the class that they were made for;
real ones are of the test part of WHOLE, and those that were cut away, which the classifier learned from: where the two
differ much, the test part is of another distribution than the one that the generator learned.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from analysis.data.balanced_folder import TrainingImagesByClass, read_training_images
from analysis.data.images import Greys, decode
from analysis.realism.fidelity import kid
from analysis.vision.classifier import Classifier, ClassifierSettings, train_classifier

SIDE, STEPS = 64, 600


def judge_of(whole: Path, steps: int = STEPS) -> Classifier:
    """The classifier of the whole collection's training part."""
    labels = sorted(folder.name for folder in (whole / "train").iterdir() if folder.is_dir())
    files = [
        (file, number) for number, label in enumerate(labels) for file in sorted((whole / "train" / label).iterdir())
    ]
    greys = decode([file for file, _ in files], SIDE)
    targets = np.array([number for _, number in files], np.int64)
    return train_classifier(greys, targets, labels, ClassifierSettings(steps=steps, sampling="balanced"))


def cut_away(whole: Path, merged: TrainingImagesByClass, label: str) -> list[Path]:
    """The real training images of a class that the balanced folder knows nothing of."""
    known = {path.name for path in merged.real[label].paths}
    return [file for file in sorted((whole / "train" / label).iterdir()) if file.name not in known]


def right(judge: Classifier, greys: Greys, label: str) -> float:
    """The share of images that are given a label."""
    return float((judge.probabilities(greys).argmax(axis=1) == judge.classes.index(label)).mean())


def main(whole: Path, folders: list[Path]) -> None:
    """Print the figures of each balanced folder."""
    judge = judge_of(whole)
    for folder in folders:
        merged = read_training_images(folder)
        for label in merged.filled:
            away = decode(cut_away(whole, merged, label), SIDE)
            made = decode(list(merged.synthetic[label].paths), SIDE)
            tested = decode(sorted((whole / "test" / label).iterdir()), SIDE)
            order = np.random.default_rng(0).permutation(len(away))
            count = min(len(made), len(away) // 2)
            real, other = (judge.features(away[order[place : place + count]]) for place in (0, count))
            print(
                f"{folder.name} {label}: KID {kid(real, judge.features(made[:count])):.4f} (real to real "
                f"{kid(real, other):.4f}) of {count} images a side; wanted label {right(judge, made, label):.0%} of "
                f"{len(made)} synthetic, {right(judge, tested, label):.0%} of {len(tested)} real test images, "
                f"{right(judge, away, label):.0%} of the {len(away)} real ones that were cut away"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
