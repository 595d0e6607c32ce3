"""How many denoising steps, and guidance in which, are worth their time? `python -m tests.benchmarks.steps WORK`.

The pocket checkpoint draws one class of phantoms in each way, with several seeds; each is held against phantoms that
it never saw, by KID in the features of a classifier that is trained for this alone, and by how often that classifier
gives the wanted label. `--images` are of each seed; KID is of each seed's images, and of all seeds' together. Killed
and run again it goes on: what is drawn stands in WORK.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.data.images import Greys, decode
from analysis.realism.fidelity import Embeddings, kid
from analysis.vision.classifier import Classifier
from balancer.files import write_whole
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions
from examples.phantoms import CHEST, write_collection
from tests.benchmarks.generator import SIDE, STEPS, judge_of, right
from tests.benchmarks.scratch import draw
from tests.support.cli_process import POCKET


@dataclass(frozen=True, slots=True)
class Way:
    """A way of drawing; `guidance` `None` is what the checkpoint takes by itself, which is none."""

    steps: int = 25
    guidance: float | None = None
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        guided = "" if self.guidance is None else f", guidance {self.guidance:g}"
        within = "" if self.interval is None else " in {:g},{:g}".format(*self.interval)
        return f"{self.steps} steps{guided}{within}"

    @property
    def sampling(self) -> SamplingOptions:
        """The options of `fill`."""
        return SamplingOptions(self.steps, self.guidance, device="cpu", guidance_interval=self.interval)


WAYS = (
    *(Way(steps) for steps in (15, 25)),
    *(Way(guidance=3.0, interval=each) for each in (None, (0.2, 0.8))),
    *(Way(steps) for steps in (10, 20, 40)),
    Way(guidance=3.0, interval=(0.4, 0.8)),
)
"""The most telling ones first."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What images are held against: two sets of phantoms of the class as features, and the classifier of these."""

    real: Embeddings
    other: Embeddings
    judge: Classifier


def phantoms(work: Path, label: str, images: int) -> dict[str, list[Path]]:
    """Phantoms that the checkpoint never saw: of all classes, and of one to be held against and to lend intensities."""
    counts = {"whole/train": dict.fromkeys(CHEST, images // 2), "references": {label: 100}}
    found = {}
    for number, name in enumerate(("whole/train", "held", "other", "references"), start=1):
        if not (folder := work / name).exists():
            write_collection(part := work / "part", counts.get(name, {label: images}), SIDE, 100 + number, max_images=1)
            folder.parent.mkdir(parents=True, exist_ok=True)
            part.rename(folder)
        found[name] = sorted(folder.rglob("*.png"))
    return found


def lay_ground(work: Path, label: str, images: int, steps: int = STEPS) -> Ground:
    """Train the classifier, and look at the phantoms that were held out."""
    found, judge = phantoms(work, label, images), judge_of(work / "whole", steps)
    real, other = (judge.features(decode(found[name], SIDE)) for name in ("held", "other"))
    return Ground(real, other, judge)


def drawn(way: Way, seed: int, images: int, label: str, work: Path, references: Sequence[Path]) -> Greys:
    """What is drawn in a way with a seed, (images, SIDE, SIDE); drawn before where WORK has it."""
    place = work / f"{label} {way}, {images} of seed {seed}.npy"
    if not place.exists():
        made = draw(find_checkpoint(str(POCKET)), label, images, references, way.sampling, seed)
        write_whole(place, made.tobytes())
    return np.frombuffer(place.read_bytes(), np.uint8).reshape(images, SIDE, SIDE).copy()


def line(way: Way, sets: Sequence[Greys], label: str, ground: Ground) -> str:
    """The figures of a way in words."""
    features = [ground.judge.features(each) for each in sets]
    each = [kid(ground.real, some) for some in features]
    spread = statistics.stdev(each) if len(each) > 1 else float("nan")
    whole, wanted = kid(ground.real, np.concatenate(features)), right(ground.judge, np.concatenate(sets), label)
    return (
        f"{way!s:<32} KID {whole:.4f} of {sum(map(len, sets))} images, of each seed "
        f"{', '.join(f'{one:.4f}' for one in each)} (spread {spread:.4f}); wanted label {wanted:.0%}"
    )


def sweep(work: Path, label: str, ways: Sequence[Way], images: int, seeds: int, real: int, steps: int) -> Iterator[str]:
    """Draw in each way with one seed after another, then judge: a line for each way."""
    references = phantoms(work, label, real)["references"]
    sets = [[drawn(way, seed, images, label, work, references) for way in ways] for seed in range(seeds)]
    ground = lay_ground(work, label, real, steps)
    found = (
        kid(ground.real, ground.other),
        right(ground.judge, decode(phantoms(work, label, real)["held"], SIDE), label),
    )
    yield f"{'real ones':<32} KID {found[0]:.4f} of {real} a side; wanted label {found[1]:.0%}"
    for way, some in zip(ways, zip(*sets, strict=True), strict=True):
        yield line(way, some, label, ground)


def main() -> None:
    """Measure all ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--label", default="nodule")
    parser.add_argument("--images", type=int, default=600, help="of each seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--real", type=int, default=600, help="phantoms a side")
    parser.add_argument("--first", type=int, default=len(WAYS), help="only this many of the ways")
    given = parser.parse_args()
    for each in sweep(given.work, given.label, WAYS[: given.first], given.images, given.seeds, given.real, STEPS):
        print(each, flush=True)


if __name__ == "__main__":
    main()
