"""Does `probe` alarm where there is something, and only there? Halves of phantoms, and classifiers trained on them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from analysis.data.balanced_folder import Images, TrainingImagesByClass
from analysis.realism.detectability import probe
from analysis.realism.matched_control import ProbeSettings, duplicated
from analysis.realism.shortcut_reliance import Lean, measure_lean
from analysis.statistics.agreement import proportion
from analysis.statistics.intervals import auroc, auroc_interval
from analysis.vision.classifier import ClassifierSettings, train_classifier
from analysis.vision.copy_perturbations import blurred
from examples.phantoms import draw_radiograph
from tests.benchmarks.rows import Row

SIDE, LABEL = 32, "pleural_effusion"
Change = Callable[[Any], Any]


def drawn(label: str, first: int, count: int) -> Any:
    return np.stack([draw_radiograph(label, patient, 0, SIDE, 3) for patient in range(first, first + count)])


def sharpened(greys: Any) -> Any:
    images = torch.tensor(greys).unsqueeze(1).float() / 255
    sharper = images + 0.6 * (images - blurred(images, 1.0))
    return np.rint(255 * sharper.clamp(0, 1).squeeze(1).numpy()).astype(np.uint8)


def reliance(draw: int, change: Change, seeds: int, steps: int) -> Lean:
    """Classifiers of 100 normals and 15 of a finding, 85 more of it passed off as synthetic after `change`."""
    torch.set_num_threads(1)
    first = 10_000 * draw
    normal, rare = drawn("normal", first, 100), drawn(LABEL, first + 1000, 15)
    made = change(drawn(LABEL, first + 2000, 85))
    greys, targets = np.concatenate((normal, rare, made)), np.repeat([0, 1], [100, 100])
    pairs = []
    for seed in range(seeds):
        settings = ClassifierSettings(steps=steps, width=16, seed=seed)
        rows = (np.arange(200), duplicated(targets, 115, seed))
        both = [train_classifier(greys, targets[some], ("normal", LABEL), settings, rows=some) for some in rows]
        pairs.append((both[0], both[1]))
    sides = [drawn("normal", first + 5000, 80), drawn(LABEL, first + 6000, 40)]
    traced = [((each, np.arange(len(each))), (sharpened(each), np.arange(len(each)))) for each in sides]
    return measure_lean("sharpened", pairs, [LABEL], traced[0], traced[1])


def no_shortcut(full: bool) -> Row:
    draws = 10 if full else 3
    found = [reliance(draw, lambda greys: greys, 5, 60).leans for draw in range(draws)]
    what = "S2 real images alone, half of them called synthetic; a sharpening as the trace"
    return Row(what, "no shortcut", f"{sum(found)} alarms of {draws}", "at most 1", sum(found) <= 1)


def a_shortcut(full: bool) -> Row:
    draws = 10 if full else 3
    found = [reliance(draw, sharpened, 5, 60).leans for draw in range(draws)]
    what = "S2 the images called synthetic are sharpened, in one class alone"
    return Row(
        what, "a shortcut", f"{sum(found)} alarms of {draws}", "at least two of three", 3 * sum(found) >= 2 * draws
    )


def written(folder: Path, greys: Any) -> Images:
    folder.mkdir()
    paths = tuple(folder / f"{number:03}.bmp" for number in range(len(greys)))
    for path, grey in zip(paths, greys, strict=True):
        Image.fromarray(grey).save(path)
    return Images(paths, tuple(f"image {path}" for path in paths))


def drawn_halves(number: int) -> Any:
    return drawn("normal", 20_000 + 100 * number, 60)


def alarms_of_halves(probes: int, halves: Callable[[int], Any] = drawn_halves) -> int:
    """Of so many probes of two halves of one class, 30 images each, those with an alarm of any detector."""
    found, settings = 0, ProbeSettings(side=SIDE, steps=2, seeds=1, permutations=199)
    for draw in range(probes):
        greys = halves(draw)
        with tempfile.TemporaryDirectory() as place:
            both = [written(Path(place, name), some) for name, some in (("a", greys[:30]), ("b", greys[30:]))]
            one = TrainingImagesByClass(Path(place), ("A",), {"A": both[0]}, {"A": both[1]}, {"A": Images()}, True, ())
            found += probe(one, settings).p_value <= 0.01
    return found


def two_halves(full: bool) -> Row:
    probes, most = (200, 5) if full else (30, 2)
    found = alarms_of_halves(probes)
    return Row(
        f"S2 {probes} probes of two halves", "no difference", f"{found} alarms", f"at most {most}", found <= most
    )


def the_clearest_detector(full: bool) -> Row:
    """Fifteen detectors of area 0.7 each; the clearest is picked, and its interval must still hold 0.7."""
    rng, times, flags = np.random.default_rng(0), 2000 if full else 400, np.arange(120) >= 60
    held = 0
    for _ in range(times):
        scores = rng.standard_normal((15, 120)) + 0.7416 * flags
        best = max(scores, key=lambda each: auroc(each, flags))
        found = auroc_interval(best, flags, level=1 - 0.05 / 15)
        held += found.low <= 0.7 <= found.high
    share = held / times
    return Row(
        "S13 interval of the clearest of 15 detectors", "95%", f"covers in {share:.0%}", "at least 93%", share >= 0.93
    )


def reader_accuracy(full: bool) -> Row:
    """Readers who are right or wrong on whole patients, five images each, half of all on average."""
    rng, times, covered = np.random.default_rng(0), 2000 if full else 400, 0
    names = [str(number) for number in np.repeat(np.arange(20), 5)]
    for _ in range(times):
        hits = (rng.random(100) < np.repeat(rng.beta(1, 1, 20), 5)).tolist()
        found = proportion(hits, names)
        covered += found.low <= 0.5 <= found.high
    share = covered / times
    what = "S13 a reader's accuracy, 20 patients of 5 images"
    return Row(what, "95%", f"covers in {share:.0%}", "92% to 98%", 0.92 <= share <= 0.98)


ROWS = [no_shortcut, a_shortcut, two_halves, the_clearest_detector, reader_accuracy]
