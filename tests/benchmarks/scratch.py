"""Which way of training from scratch draws best? `python -m tests.benchmarks.scratch WHOLE CUT WORK [NAME ...]`.

CUT is a collection with a part `train` that was cut down from WHOLE, as a long tail. Each candidate trains for
`--minutes` on CUT's training part and draws `--images` of its rarest class as `fill` draws them. One line each, as soon
as it is done: KID against the images of that class that were cut away (those of two halves of them beside it), how
often a classifier of WHOLE gives the wanted label, the autoencoder's error on the images cut away, and the steps. With
`--pretrain DIR` each candidate learns from DIR first, under the name of NAME-pretrained. Files of WHOLE in it are left
out; that nothing else in it is of its patients is for you to see to. Below 64 px the real images are reduced to that
size too. The interval of KID is that of random halves of both sides, over `--generations` seeds of generation.
Killed and run again it goes on: what is done stands in WORK/results.jsonl, an unfinished training is resumed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from analysis.data.images import Greys, decode
from analysis.realism.fidelity import kid
from analysis.statistics.intervals import wilson
from analysis.vision.classifier import Classifier
from analysis.vision.reconstruction import Autoencoder
from balancer.adapting.common.clock import Clock
from balancer.adapting.scratch.pool import Pool, read_pool
from balancer.adapting.scratch.pretrain import pretrain
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.train import train_from_scratch
from balancer.collection.scan import Sample
from balancer.files import sha256_of
from balancer.filling.intensity_matching import harmonise_to, histogram
from balancer.generators.models.checkpoint import Checkpoint, find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import OutputFormat, read_grey, resize
from balancer.jobs import Job, ModeDraw, job_seed
from balancer.prompting.packs import choose_pack
from balancer.prompting.prompts import make_prompt
from tests.benchmarks.generator import SIDE, STEPS, judge_of, right

IMAGES, HALVES = 200, 100
USUAL = SamplingOptions(device="cpu")
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "wide": {"unet_channels": (128, 192)},
    "eager": {"compile": False},
    "more-autoencoder": {"autoencoder_share": 0.5},
    "less-autoencoder": {"autoencoder_share": 0.15},
    "small-batch": {"batch_size": 16},
    "narrow": {"autoencoder_width": 32, "unet_channels": (32, 64, 96), "text_width": 64},
}
"""Changes of the usual settings, by the name that picks them."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What candidates are trained on and judged by: `label` is the rarest class, `away` its images that were cut.

    `kept` are those that were not."""

    root: Path
    samples: Sequence[Sample]
    label: str
    away: Sequence[Path]
    kept: Sequence[Path]
    judge: Classifier


def lay_ground(whole: Path, cut: Path, steps: int = STEPS) -> Ground:
    """The training part of a collection that was cut down, and a classifier of the whole one."""
    files = sorted(path for path in (cut / "train").glob("*/*") if path.is_file())
    samples = [Sample(path.relative_to(cut).as_posix(), path.parent.name, None, sha256_of(path)) for path in files]
    counts = Counter(sample.label for sample in samples)
    label = min(counts, key=lambda each: (counts[each], each))
    kept = [path for path in files if path.parent.name == label]
    known = {path.name for path in kept}
    away = [path for path in sorted((whole / "train" / label).iterdir()) if path.name not in known]
    return Ground(cut, samples, label, away, kept, judge_of(whole, steps))


def draw(
    checkpoint: Checkpoint,
    label: str,
    count: int,
    references: Sequence[Path],
    sampling: SamplingOptions = USUAL,
    seed: int = 0,
) -> Greys:
    """Images of a class as `fill` draws them, each harmonised to a real one of `references`: (count, SIDE, SIDE)."""
    chance = np.random.default_rng(seed)
    config, pack = resolve_config(checkpoint, None, sampling), choose_pack([label])
    generator, file = StableDiffusion(checkpoint, None, config, "cpu"), OutputFormat("PNG", ".png", "L", 8, None)
    jobs = [
        Job(label, index, make_prompt(pack, label, index, seed), job_seed(seed, label, index), config, ModeDraw(), file)
        for index in range(count)
    ]
    images = [
        image
        for first in range(0, count, config.batch_size)
        for image in generator.generate(jobs[first:][: config.batch_size])
    ]
    known = [histogram(read_grey(path)) for path in references]
    lent = [harmonise_to(image, known[chance.integers(len(known))]) for image in images]
    return np.stack([resize(image, SIDE, SIDE) for image in lent])


def seen_at(paths: Sequence[Path], size: int) -> Greys:
    """Real images, (n, SIDE, SIDE), as sharp as those of a checkpoint of so many pixels."""
    if size >= SIDE:
        return decode(list(paths), SIDE)
    return np.stack([resize(grey, SIDE, SIDE) for grey in decode(list(paths), size)])


def measure(ground: Ground, folder: Path, images: int, generations: int = 1) -> dict[str, float]:
    """The figures of a finished checkpoint."""
    checkpoint, judge = find_checkpoint(str(folder)), ground.judge
    side = checkpoint.native_size
    away = seen_at(ground.away, side)
    chance = np.random.default_rng(0)
    order = chance.permutation(len(away))
    count = min(images, len(away) // 2)
    real, other = (judge.features(away[order[place : place + count]]) for place in (0, count))
    drawn = [draw(checkpoint, ground.label, images, ground.kept, seed=seed) for seed in range(generations)]
    made = [judge.features(each)[:count] for each in drawn]
    half = max(2, count // 2)
    spread = [
        kid(real[chance.permutation(count)[:half]], each[chance.permutation(count)[:half]])
        for each in made
        for _ in range(HALVES)
    ]
    low, high = np.quantile(spread, [0.025, 0.975])
    hits = [right(judge, each, ground.label) for each in drawn]
    wanted = wilson(sum(hits) * images, images * generations)
    through = Autoencoder(checkpoint, (side, side), "cpu", lambda *_: None)(list(ground.away[:images]), SIDE)
    card = json.loads((folder / "card.json").read_text("utf-8"))["training"]
    return {
        "kid": float(np.mean([kid(real, each) for each in made])),
        "kid_low": float(low),
        "kid_high": float(high),
        "kid_real": float(kid(real, other)),
        "wanted": wanted.value,
        "wanted_low": wanted.low,
        "wanted_high": wanted.high,
        "wanted_real": right(judge, away, ground.label),
        "reconstruction": float(np.abs(through.astype(float) - away[:images]).mean()),
        **{f"{phase}_{name}": card[phase][name] for phase in card for name in ("steps", "seconds")},
    }


def line(name: str, found: Mapping[str, float]) -> str:
    """A candidate's figures in words."""
    rate = found["denoiser_steps"] / max(found["denoiser_seconds"], 1e-9)
    return (
        f"{name:<18} KID {found['kid']:.4f} [{found['kid_low']:.4f}, {found['kid_high']:.4f}] "
        f"(of real ones {found['kid_real']:.4f}), "
        f"wanted label {found['wanted']:.0%} [{found['wanted_low']:.0%}, {found['wanted_high']:.0%}] "
        f"(of real ones {found['wanted_real']:.0%}), autoencoder {found['reconstruction']:.2f} grey levels off, "
        f"{found['autoencoder_steps']:.0f} + {found['denoiser_steps']:.0f} steps ({rate:.1f} a second)"
    )


def screen(
    ground: Ground,
    work: Path,
    candidates: Mapping[str, ScratchSettings],
    images: int = IMAGES,
    generations: int = 1,
    pool: Pool | None = None,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, dict[str, float]]:
    """Train, draw and measure each candidate that WORK has no figures of; each is printed and kept once it is done."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "results.jsonl"
    rows = [json.loads(row) for row in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    results = {row.pop("name"): row for row in rows}
    packs = {sample.label: choose_pack([sample.label]) for sample in ground.samples}
    for name, settings in candidates.items():
        if name not in results:
            clock, made = Clock(now), None
            if pool is not None:
                settings, made = pretrain(pool, packs, settings, work / name, clock)
            folder = train_from_scratch(
                ground.samples, ground.root, packs, settings, work / name, "", clock=clock, pretrained=made
            )
            results[name] = measure(ground, folder, images, generations)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"name": name, **results[name]}) + "\n")
        print(line(name, results[name]), flush=True)
    return results


def main() -> None:
    """Screen the named candidates, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for place in ("whole", "cut", "work"):
        parser.add_argument(place, type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CANDIDATES)}; default: all")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--generations", type=int, default=1, help="seeds of generation")
    parser.add_argument("--pretrain", type=Path, help="a folder of other radiographs to learn from first")
    parser.add_argument("--judge-steps", type=int, default=STEPS, help="training of the classifier")
    parser.add_argument("--processor", action="store_true", help="count minutes of processor time, not of the clock")
    parser.add_argument("--guidance", type=float, nargs="+", default=[], help="draw by these guidance scales too")
    parser.add_argument("--anew", action="store_true", help="forget what WORK holds of these candidates")
    given = parser.parse_args()
    names = given.names or list(CANDIDATES)
    if unknown := sorted(set(names) - set(CANDIDATES)):
        parser.error(f"no candidate {', '.join(unknown)}")
    usual = ScratchSettings(minutes=given.minutes, seed=given.seed, size=given.size, sample_every=0.99, device="cpu")
    after = "" if given.pretrain is None else "-pretrained"
    candidates = {f"{name}{after}": replace(usual, **CANDIDATES[name]) for name in names}
    if given.anew:
        forget(given.work, list(candidates))
    pool = None
    if given.pretrain is not None:
        whole = {sha256_of(path): True for path in given.whole.rglob("*") if path.is_file()}
        pool = read_pool(given.pretrain, given.size, whole, ())
    ground = lay_ground(given.whole, given.cut, given.judge_steps)
    now = time.process_time if given.processor else time.monotonic
    screen(ground, given.work, candidates, given.images, given.generations, pool, now)
    for name, guidance in product(candidates, given.guidance):
        found = looks(ground, given.work / name, given.images, guidance)
        print(f"{name} at guidance {guidance:g}: {found}", flush=True)


def looks(ground: Ground, folder: Path, images: int, guidance: float) -> str:
    """KID and the wanted label of what a finished checkpoint draws by a guidance scale."""
    checkpoint = find_checkpoint(str(folder))
    real = ground.judge.features(seen_at(ground.away, checkpoint.native_size))
    made = draw(checkpoint, ground.label, images, ground.kept, SamplingOptions(guidance_scale=guidance))
    found = kid(real[:: max(1, len(real) // images)][:images], ground.judge.features(made))
    return f"KID {found:.4f}, wanted label {right(ground.judge, made, ground.label):.0%}"


def forget(work: Path, names: Sequence[str]) -> None:
    """Take the figures, checkpoints and unfinished trainings of candidates away."""
    kept = work / "results.jsonl"
    if kept.exists():
        rows = kept.read_text("utf-8").splitlines(keepends=True)
        kept.write_text("".join(row for row in rows if json.loads(row)["name"] not in names), "utf-8")
    for name in names:
        for folder in (work / f"{name}{what}" for what in ("", ".training", ".pretrained", ".pretrained.training")):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
