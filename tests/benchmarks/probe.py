"""How often the probe is right on real X-rays: `python -m tests.benchmarks.probe FOLDER [RUNS [LEVELS]]`.

Halves of the real patients of a class are compared, as they are (an alarm is false) and with two pixels of every image
of one half changed (no alarm is a miss). FOLDER holds the images of one class; patients are found
as in `tests.benchmarks.overview`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.realism.detectability import probe
from analysis.realism.matched_control import ProbeSettings
from analysis.realism.text import report
from balancer.imaging.decode import read_grey
from tests.benchmarks.overview import PATIENT

SETTINGS = ProbeSettings(steps=10, seeds=2, permutations=199, most=100)  # the network matters little here


def halves(folder: Path, seed: int, most: int) -> tuple[Images, Images]:
    """Two halves of the patients of a class, up to `most` images each."""
    paths = sorted(folder.iterdir())
    patients = [found.group(1) if (found := re.search(PATIENT, path.name)) else path.name for path in paths]
    names = sorted(set(patients))
    chosen = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
    places = np.random.default_rng(seed).permutation(len(paths))
    one = [place for place in places if patients[place] in chosen][:most]
    other = [place for place in places if patients[place] not in chosen][:most]
    images = Images(tuple(paths), tuple(f"patient {patient}" for patient in patients))
    return images.some(one), images.some(other)


def marked(images: Images, folder: Path, seed: int, levels: int) -> Images:
    """Copies with one pixel brighter and one darker by so many levels, at the same two places of every image."""
    folder.mkdir(parents=True)
    across, down = np.random.default_rng([seed, 1]).random((2, 2))
    paths = []
    for number, path in enumerate(images.paths):
        grey = read_grey(path).astype(int)
        rows, columns = (down * grey.shape[0]).astype(int), (across * grey.shape[1]).astype(int)
        grey[rows[0], columns[0]] += levels
        grey[rows[1], columns[1]] -= levels
        paths.append(folder / f"{number}.bmp")
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(paths[-1])
    return Images(tuple(paths), images.groups)


def as_merged(folder: Path, real: Images, synthetic: Images) -> TrainingImagesByClass:
    """One class, as if half of it were synthetic."""
    return TrainingImagesByClass(folder, ("A",), {"A": real}, {"A": synthetic}, {"A": Images()}, True, ())


def runs(folder: Path, count: int, levels: int) -> int:
    """How many of so many probes raised an alarm; levels 0: nothing was changed, but re-encoded alike."""
    alarms = 0
    for seed in range(count):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            one, other = halves(folder, seed, SETTINGS.most)
            real, synthetic = marked(one, Path(place, "a"), seed, 0), marked(other, Path(place, "b"), seed, levels)
            found = report(probe(as_merged(Path(place), real, synthetic), SETTINGS))
        alarms += found["flagged"]
        best = found["classes"][0]["detectors"][0]
        seen = f"p = {found['p_value']:.4f} by {best['name']} ({best['area']['value']:.2f})"
        print(f"  {levels} levels, seed {seed}: {seen}, {time.monotonic() - began:.0f} s", flush=True)
    return alarms


def main(folder: Path, count: int, chosen: int | None) -> None:
    """Print the alarms without a mark, with a plain one and with a faint one, or for the chosen levels alone."""
    for levels, what in ((0, "nothing changed (goal: at most 1 of 20)"), (255, "two pixels"), (24, "two faint pixels")):
        if chosen in (None, levels):
            print(f"{what}: {runs(folder, count, levels)} alarms of {count}")


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[2:]]
    main(Path(sys.argv[1]), (numbers or [20])[0], numbers[1] if len(numbers) > 1 else None)
