"""`make bench`: the speeds that the project promises, each measured here and now, ratios within one run.

Without the real X-rays beside the checkout, `scan` is measured on drawn ones.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from balancer.generators.protocol import ImageGenerator
from balancer.imaging.decode import GreyImage
from balancer.jobs import Job
from tests.benchmarks.lora import bench_lora
from tests.support.cli_process import POCKET, balance, finished
from tests.support.tiny_models import write_xrays

XRAYS = Path(__file__).parents[3] / "shared" / "data" / "pediatric-cxr-224"
PATIENT = r"(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+|p\d+)"
HELP = [sys.executable, "-c", "from balancer.cli.app import main; main()", "--help"]


class Timed:
    """A generator that adds up the time spent in the real one."""

    def __init__(self, generator: ImageGenerator) -> None:
        self._generator = generator
        self.seconds = 0.0

    def generate(self, jobs: Sequence[Job]) -> Sequence[GreyImage]:
        began = time.perf_counter()
        images = self._generator.generate(jobs)
        self.seconds += time.perf_counter() - began
        return images


def median_seconds(work: Callable[[], object], times: int = 5) -> float:
    """The middle of a few timings, after one run that does not count."""
    work()
    return statistics.median(seconds(work) for _ in range(times))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bench_help() -> None:
    taken = median_seconds(lambda: subprocess.run(HELP, capture_output=True, check=True))
    print(f"balance --help: {taken:.2f} s (goal: at most 0.5)")


def bench_scan(folder: Path) -> None:
    """Scan anew each time: nothing is remembered between the runs."""
    root = XRAYS if XRAYS.is_dir() else write_xrays(folder / "drawn", {"A": 4000, "B": 1840}, size=(64, 64))
    count = sum(1 for path in root.rglob("*") if path.is_file())

    def anew() -> None:
        with tempfile.TemporaryDirectory() as place:
            finished(balance(Path(place), "scan", str(root), "--patient", PATIENT))

    print(f"balance scan of {count} files, as a whole process: {median_seconds(anew, 3):.2f} s (goal: at most 3)")


def bench_deep(folder: Path) -> None:
    """What `scan --deep` adds, against one thread that only decodes; in turns, since other work disturbs both."""
    import numpy as np
    from PIL import Image

    from balancer.collection.deep_scan import look_inside
    from balancer.collection.image_stats import read_contents
    from balancer.collection.scan import scan

    root = XRAYS if XRAYS.is_dir() else write_xrays(folder / "deep", {"A": 2000, "B": 920}, (224, 224), ".jpg")
    collection = scan(root)

    def decode() -> None:
        for path in collection.images.index:
            with Image.open(root / path) as image:
                np.asarray(image.convert("L"))

    def deep() -> None:
        look_inside(collection, read_contents(root, collection.images, {}))

    decode()
    turns = [(seconds(decode), seconds(deep)) for _ in range(5)]
    alone, ours = (statistics.median(column) for column in zip(*turns, strict=True))
    print(
        f"look inside {len(collection.images)} files (scan --deep): {ours:.2f} s; one thread that only decodes them: "
        f"{alone:.2f} s; {alone / ours:.2f} times as fast (goal: at least 1.7)"
    )


def bench_fill(folder: Path, images: int = 128) -> None:
    """What `fill` adds to the time inside the pipeline, with the pocket checkpoint as it is used by default."""
    from analysis.screening.screen import fit_screen
    from balancer.collection.scan import scan
    from balancer.dataset.merge import merge
    from balancer.devices import choose_device
    from balancer.filling.run import Recipe, fill, measure_look
    from balancer.filling.runner import LocalEngine
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.stable_diffusion import Sampling, StableDiffusion, settle_config
    from balancer.planning import make_plan
    from balancer.prompting.packs import load_pack
    from balancer.splits.split import draw_split, training_counts
    from balancer.store.database import Ledger
    from balancer.store.state_dir import find_or_make_state
    from examples.phantoms import write_collection

    write_collection(folder / "xrays", {"normal": 300, "nodule": 40}, max_images=1)
    collection = scan(folder / "xrays", r"(p\d+)")
    split = draw_split(collection)
    checkpoint, device = find_checkpoint(str(POCKET)), choose_device("auto")
    config = settle_config(checkpoint, None, Sampling())
    recipe = Recipe(dict.fromkeys(collection.labels, load_pack("chest")), config, measure_look(collection, split))
    timed = Timed(StableDiffusion(checkpoint, None, config, device))
    timed.generate([recipe.job("nodule", index) for index in range(config.batch_size)])  # warm
    timed.seconds = 0.0
    counts = training_counts(collection, split)
    plan = make_plan(counts, [f"nodule={counts['nodule'] + images}"])
    state = find_or_make_state(folder, collection.root)

    began = time.perf_counter()
    screen = fit_screen(collection, split, state.cache)
    print(f"fitting the gates, once: {time.perf_counter() - began:.0f} s for {len(screen.reals.paths)} images")

    def whole() -> int:
        with Ledger(state) as ledger:
            report = fill(
                collection,
                plan,
                recipe,
                ledger=ledger,
                store=state.candidates,
                engine=LocalEngine(),
                make_generator=lambda: timed,
                screen=screen,
                usable=("accept", "review"),
            )
        merge(collection, split, [each for rows in report.accepted.values() for each in rows], folder / "out", facts={})
        return report.made

    began = time.perf_counter()
    made = whole()
    taken = time.perf_counter() - began
    added = (taken - timed.seconds) / timed.seconds
    print(
        f"fill of {images} images, {made} made, on {device} ({config.dtype}, {config.steps} steps): "
        f"{timed.seconds:.1f} s in the pipeline ({made / timed.seconds:.1f} images a second), "
        f"{taken - timed.seconds:.2f} s around it, screening and merge included: {added:.1%} (goal: at most 5%)"
    )


def bench_classifier() -> None:
    """One training of the quick classifier as `compare` does it many times, and the share of it spent on batches."""
    import numpy as np

    from analysis.vision.augmentation import Augmentation
    from analysis.vision.classifier import ClassifierSettings, train_classifier

    greys = np.random.default_rng(0).integers(0, 256, (2050, 64, 64), np.uint8)
    targets = np.arange(2050, dtype=np.int64) % 3
    short = ClassifierSettings(steps=60)
    train_classifier(greys, targets, ("a", "b", "c"), short)
    plain = ClassifierSettings(steps=60, augmentation=Augmentation.none())
    without = seconds(lambda: train_classifier(greys, targets, ("a", "b", "c"), plain))
    taken = seconds(lambda: train_classifier(greys, targets, ("a", "b", "c"), short))
    whole = seconds(lambda: train_classifier(greys, targets, ("a", "b", "c"), ClassifierSettings()))
    print(
        f"one training of the quick classifier, 2,050 images at 64 px, 600 steps: {whole:.0f} s (goal: at most 40); "
        f"augmentation is {(taken - without) / taken:.0%} of a step"
    )


def bench_comparison(folder: Path) -> None:
    """One training of a comparison and five of them, as `compare` runs them, and how long a step waits for images."""
    import numpy as np
    import pandas as pd
    import torch

    from analysis.comparison.inputs.study import Part, Study
    from analysis.comparison.training.arms import ARMS
    from analysis.comparison.training.networks import SmallNetwork
    from analysis.comparison.training.runs import RunSettings, run_all
    from balancer.adapting.common.rng import draw_indices, generator

    chance = np.random.default_rng(0)

    def part(count: int) -> Part:
        greys, targets = chance.integers(0, 256, (count, 64, 64), np.uint8), np.arange(count, dtype=np.int64) % 3
        return Part(greys, targets, np.arange(count), tuple(map(str, range(count))), pd.DataFrame(index=range(count)))

    study = Study(("a", "b", "c"), "c", part(2050), part(200), part(200))

    def run(seeds: int) -> float:
        settings = RunSettings(SmallNetwork(), seeds=tuple(range(seeds)))
        with tempfile.TemporaryDirectory(dir=folder) as place:
            return seconds(lambda: run_all(study, (ARMS["oversampling"],), settings, Path(place)))

    one, five = run(1), run(5)
    print(f"one training of a comparison, 2,050 images at 64 px, 600 steps: {one:.0f} s (goal: at most 40)")
    print(f"five seeds: {five:.0f} s, {five / one:.1f} times one (goal: at most 4.5)")
    images, evenly = torch.from_numpy(study.train.images), torch.ones(2050)

    def fetch() -> None:
        for step in range(600):
            images[draw_indices(evenly, 64, generator(0, "bench", step))].float().div(255)

    print(f"waiting for images: {seconds(fetch) / one:.1%} of a training (goal: at most 5%)")


def main() -> None:
    """Measure everything; takes a few minutes."""
    bench_help()
    with tempfile.TemporaryDirectory() as folder:
        bench_scan(Path(folder))
        bench_deep(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        bench_fill(Path(folder))
    bench_classifier()
    with tempfile.TemporaryDirectory() as folder:
        bench_comparison(Path(folder))
    bench_lora()


if __name__ == "__main__":
    main()
