"""`make bench`: the speeds that the project promises, each a ratio of two things measured here, in one run.

It ends with the table that stands in the documentation. Without the real X-rays beside the checkout, made ones serve.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from balancer.generators.protocol import ImageGenerator
from balancer.imaging.decode import GreyImage
from balancer.jobs import Job
from balancer.parallel import cores
from tests.benchmarks.drawing import ratios as drawing_ratios
from tests.benchmarks.lora import bench_lora
from tests.benchmarks.ratio import Ratio, in_turns, markdown, processor, seconds
from tests.benchmarks.scan import bench_many
from tests.support.cli_process import POCKET
from tests.support.tiny_models import write_xrays

XRAYS = Path(__file__).parents[3] / "shared" / "data" / "pediatric-cxr-224"
PATIENT = r"(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+|p\d+)"


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


def bench_help() -> Ratio:
    """What the command line adds to the start of Python and of its parser."""
    bare, whole = in_turns(
        lambda: run("import typer"), lambda: run("from balancer.cli.app import main; main()", "--help")
    )
    return Ratio("`balance --help`", whole / bare, "at most", 3, "`import typer`", f"{whole:.2f} s")


def run(program: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, check=True)


def bench_deep(folder: Path) -> Ratio:
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

    alone, ours = in_turns(decode, deep)
    what = f"`scan --deep` of {len(collection.images)} files"
    return Ratio(what, alone / ours, "at least", 1.7, "one thread that decodes them", f"{ours:.1f} s")


def bench_fill(folder: Path, images: int = 500) -> Iterator[Ratio]:
    """What `fill` adds to the time inside the pipeline, fitting of the screening checks counted."""
    from analysis.screening.screen import fit_checks
    from balancer.collection.scan import scan
    from balancer.dataset.merge import merge
    from balancer.devices import choose_device
    from balancer.filling.recipe import Recipe, measure_profile
    from balancer.filling.run import generate
    from balancer.filling.runner import LocalRunner
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.sampling import SamplingOptions, resolve_config
    from balancer.generators.stable_diffusion import StableDiffusion
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
    config = resolve_config(checkpoint, None, SamplingOptions())
    recipe = Recipe(dict.fromkeys(collection.labels, load_pack("chest")), config, measure_profile(collection, split))
    timed = Timed(StableDiffusion(checkpoint, None, config, device))
    timed.generate([recipe.job("nodule", index) for index in range(config.batch_size)])  # warm
    timed.seconds = 0.0
    counts = training_counts(collection, split)
    plan = make_plan(counts, [f"nodule={counts['nodule'] + images}"])
    state = find_or_make_state(folder, collection.root)

    began = time.perf_counter()
    screen = fit_checks(collection, split, state.cache)
    fitting = time.perf_counter() - began

    def whole() -> int:
        with Ledger(state) as ledger:
            report = generate(
                collection,
                plan,
                recipe,
                ledger=ledger,
                store=state.candidates,
                runner=LocalRunner(),
                make_generator=lambda: timed,
                screen=screen,
            )
        merge(collection, split, [each for rows in report.accepted.values() for each in rows], folder / "out", facts={})
        return report.made

    began = time.perf_counter()
    made = whole()
    taken = time.perf_counter() - began
    around = taken - timed.seconds
    pipeline = f"{made} images in the pipeline, {config.steps} steps, on {device}"
    note = f"{timed.seconds:.0f} s in the pipeline, {around:.1f} s around it, {fitting:.0f} s to fit the checks"
    yield Ratio("`fill`, its checks fitted", (around + fitting) / timed.seconds, "at most", 0.05, pipeline, note)
    yield Ratio("`fill`, checks fitted before", around / timed.seconds, "at most", 0.05, pipeline)


def bench_comparison(folder: Path) -> Iterator[Ratio]:
    """Several trainings of a comparison beside one, and how long a step waits for images."""
    import numpy as np
    import pandas as pd
    import torch

    from analysis.comparison.inputs.study import Part, Study
    from analysis.comparison.training.arms import ARMS
    from analysis.comparison.training.networks import SmallNetwork
    from analysis.comparison.training.runs import Run, RunSettings, run_together
    from balancer.adapting.common.rng import draw_indices, generator

    chance = np.random.default_rng(0)

    def part(count: int) -> Part:
        greys, targets = chance.integers(0, 256, (count, 64, 64), np.uint8), np.arange(count, dtype=np.int64) % 3
        return Part(greys, targets, np.arange(count), tuple(map(str, range(count))), pd.DataFrame(index=range(count)))

    study = Study(("a", "b", "c"), "c", part(2050), part(200), part(200))

    def trained(seeds: int) -> float:
        settings = RunSettings(SmallNetwork(), seeds=tuple(range(seeds)))
        with tempfile.TemporaryDirectory(dir=folder) as place:
            run = Run(study, settings.trainings([ARMS["oversampling"]]), settings, Path(place))
            return seconds(lambda: run_together([run]))

    one, five = trained(1), trained(5)
    goal = 5 / min(cores(), 5) + 0.5
    yield Ratio("five trainings of `compare`", five / one, "at most", goal, "one of them", f"{one:.0f} s for one")
    images, evenly = torch.from_numpy(study.train.images), torch.ones(2050)

    def fetch() -> None:
        for step in range(600):
            images[draw_indices(evenly, 64, generator(0, "bench", step))].float().div(255)

    yield Ratio("waiting for images", seconds(fetch) / one, "at most", 0.05, "a training of 600 steps")


def ratios() -> Iterator[Ratio]:
    """All of them, each as soon as it is measured."""
    yield bench_help()
    with tempfile.TemporaryDirectory() as folder:
        yield from bench_many(Path(folder), 100_000)
    with tempfile.TemporaryDirectory() as folder:
        yield bench_deep(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from bench_fill(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from bench_comparison(Path(folder))
    yield bench_lora()
    yield from drawing_ratios()


def main() -> None:
    """Measure everything; takes some minutes."""
    found = []
    for each in ratios():
        print(each, flush=True)
        found.append(each)
    print(f"\nMeasured on {processor()}.\n\n{markdown(found)}")


if __name__ == "__main__":
    main()
