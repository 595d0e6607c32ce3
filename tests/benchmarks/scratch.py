"""Which way of training from scratch draws best? `python -m tests.benchmarks.scratch WHOLE CUT WORK [NAME ...]`.

CUT is a collection with a part `train` that was cut down from WHOLE, as a long tail. Each candidate trains for
`--minutes` on CUT's training part and draws `--images` of its rarest class as `fill` draws them. One line each, as soon
as it is done: KID against the images of that class that were cut away (those of two halves of them beside it), how
often a classifier of WHOLE gives the wanted label, the autoencoder's error on the images cut away, and the steps.
Killed and run again it goes on: what is done stands in WORK/results.jsonl, an unfinished training is resumed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from analysis.data.images import Greys, decode
from analysis.realism.fidelity import kid
from analysis.vision.classifier import Classifier
from analysis.vision.reconstruction import Autoencoder
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

IMAGES = 200
USUAL = SamplingOptions(device="cpu")
CANDIDATES: Mapping[str, Mapping[str, Any]] = {
    "base": {},
    "wide": {"unet_channels": (128, 192)},
    "eager": {"compile": False},
    "more-autoencoder": {"autoencoder_share": 0.5},
    "less-autoencoder": {"autoencoder_share": 0.15},
    "small-batch": {"batch_size": 16},
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


def measure(ground: Ground, folder: Path, images: int) -> dict[str, float]:
    """The figures of a finished checkpoint."""
    checkpoint, judge = find_checkpoint(str(folder)), ground.judge
    away = decode(list(ground.away), SIDE)
    order = np.random.default_rng(0).permutation(len(away))
    count = min(images, len(away) // 2)
    real, other = (judge.features(away[order[place : place + count]]) for place in (0, count))
    made = draw(checkpoint, ground.label, images, ground.kept)
    side = checkpoint.native_size
    through = Autoencoder(checkpoint, (side, side), "cpu", lambda *_: None)(list(ground.away[:images]), SIDE)
    card = json.loads((folder / "card.json").read_text("utf-8"))["training"]
    return {
        "kid": float(kid(real, judge.features(made[:count]))),
        "kid_real": float(kid(real, other)),
        "wanted": right(judge, made, ground.label),
        "reconstruction": float(np.abs(through.astype(float) - away[:images]).mean()),
        **{f"{phase}_{name}": card[phase][name] for phase in card for name in ("steps", "seconds")},
    }


def line(name: str, found: Mapping[str, float]) -> str:
    """A candidate's figures in words."""
    rate = found["denoiser_steps"] / max(found["denoiser_seconds"], 1e-9)
    return (
        f"{name:<18} KID {found['kid']:.4f} (of real ones {found['kid_real']:.4f}), "
        f"wanted label {found['wanted']:.0%}, autoencoder {found['reconstruction']:.2f} grey levels off, "
        f"{found['autoencoder_steps']:.0f} + {found['denoiser_steps']:.0f} steps ({rate:.1f} a second)"
    )


def screen(
    ground: Ground, work: Path, candidates: Mapping[str, ScratchSettings], images: int = IMAGES
) -> dict[str, dict[str, float]]:
    """Train, draw and measure each candidate that WORK has no figures of; each is printed and kept once it is done."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "results.jsonl"
    rows = [json.loads(row) for row in kept.read_text("utf-8").splitlines()] if kept.exists() else []
    results = {row.pop("name"): row for row in rows}
    packs = {sample.label: choose_pack([sample.label]) for sample in ground.samples}
    for name, settings in candidates.items():
        if name not in results:
            folder = train_from_scratch(ground.samples, ground.root, packs, settings, work / name, "")
            results[name] = measure(ground, folder, images)
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
    parser.add_argument("--guidance", type=float, nargs="+", default=[], help="draw by these guidance scales too")
    parser.add_argument("--anew", action="store_true", help="forget what WORK holds of these candidates")
    given = parser.parse_args()
    names = given.names or list(CANDIDATES)
    if unknown := sorted(set(names) - set(CANDIDATES)):
        parser.error(f"no candidate {', '.join(unknown)}")
    if given.anew:
        forget(given.work, names)
    usual = ScratchSettings(minutes=given.minutes, seed=given.seed, size=given.size, sample_every=0.99, device="cpu")
    candidates = {name: replace(usual, **CANDIDATES[name]) for name in names}
    ground = lay_ground(given.whole, given.cut)
    screen(ground, given.work, candidates, given.images)
    for name, guidance in product(names, given.guidance):
        found = looks(ground, given.work / name, given.images, guidance)
        print(f"{name} at guidance {guidance:g}: {found}", flush=True)


def looks(ground: Ground, folder: Path, images: int, guidance: float) -> str:
    """KID and the wanted label of what a finished checkpoint draws by a guidance scale."""
    real = ground.judge.features(decode(list(ground.away), SIDE))
    made = draw(
        find_checkpoint(str(folder)), ground.label, images, ground.kept, SamplingOptions(guidance_scale=guidance)
    )
    found = kid(real[:: max(1, len(real) // images)][:images], ground.judge.features(made))
    return f"KID {found:.4f}, wanted label {right(ground.judge, made, ground.label):.0%}"


def forget(work: Path, names: Sequence[str]) -> None:
    """Take the figures, checkpoints and unfinished trainings of candidates away."""
    kept = work / "results.jsonl"
    if kept.exists():
        rows = kept.read_text("utf-8").splitlines(keepends=True)
        kept.write_text("".join(row for row in rows if json.loads(row)["name"] not in names), "utf-8")
    for name in names:
        for folder in (work / name, work / f"{name}.training"):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
