"""Is a model called unfit only where it draws no such images? Images of known kind, judged as a fill's first batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from PIL import Image

from analysis.data.image_statistics import SIDE
from analysis.data.images import Greys, decode
from analysis.screening.model_fitness import ModelFitness
from balancer.filling.run import FIRST
from tests.benchmarks.overview import XRAYS
from tests.benchmarks.rows import Row, Simulation

_PATIENTS = (24, 50, 150)


def drawn(kind: str, count: int, seed: int = 0) -> Greys:
    """Images of a kind that is no radiograph: noise, clouds, blobs, photographs or blank."""
    chance = np.random.default_rng(seed)
    return np.stack([_KINDS[kind](chance) for _ in range(count)])


def called_unfit(fit: ModelFitness, images: Greys, label: str, runs: int, seed: int = 0, first: int = FIRST) -> float:
    """The share of first batches, drawn from the images, that stop a fill."""
    chance = np.random.default_rng(seed)
    batches = (images[chance.permutation(len(images))[:first]] for _ in range(runs))
    return float(np.mean([bool(fit.why_unfit(batch, [label] * len(batch))) for batch in batches]))


@cache
def chests(count: int) -> Greys:
    """Phantoms of as many chests; the real X-rays beside the checkout where they are."""
    chosen = np.random.default_rng(0).permutation(count)
    if not XRAYS.is_dir():
        return _phantoms("normal", count)[chosen]
    files = sorted((XRAYS / "train").glob("*/*"))
    return decode([files[place] for place in np.random.default_rng(0).permutation(len(files))[:count]], SIDE)


@cache
def turned_arms(count: int) -> Greys:
    """Phantoms of forearms, each turned by any angle: a collection whose images differ much."""
    chance = np.random.default_rng(0)
    return np.stack(
        [
            np.asarray(Image.fromarray(each).rotate(float(chance.uniform(0, 360)), fillcolor=0))
            for each in _phantoms("intact", count)
        ]
    )


def false_alarms(full: bool) -> Row:
    """Real images held back: of the whole collection, and of a class of few images that look quite different."""
    runs, shares = 500 if full else 100, []
    for collection, others in ((chests(400), turned_arms(60)), (turned_arms(300), chests(60))):
        for patients in _PATIENTS:
            fit = _fitted({"": collection[:patients]})
            shares += [
                called_unfit(fit, collection[patients:], "", runs),
                called_unfit(fit, collection[patients:], "", runs, 1, 16),
            ]
            for rare in (1, 2, 5):
                fit = _fitted({"": collection[:patients], "rare": others[:rare]})
                shares.append(called_unfit(fit, others[rare:], "rare", runs))
    return Row(
        f"first images, real and held back, or of a rare class of another kind, called unfit ({len(shares)} cases)",
        "none is",
        f"{np.max(shares):.1%} at most",
        "0%",
        max(shares) == 0,
    )


def spoilt_images(full: bool) -> Row:
    """Radiographs of a poor model, blurred or noisy: they are for the other checks to judge."""
    runs, shares = 500 if full else 100, []
    for patients in _PATIENTS:
        fit, held = _fitted({"": chests(400)[:patients]}), chests(400)[patients:]
        blurred = np.stack([np.asarray(Image.fromarray(each).resize((8, 8)).resize((SIDE, SIDE))) for each in held])
        noise = np.random.default_rng(0).normal(0, 60, held.shape)
        shares += [
            called_unfit(fit, each, "", runs) for each in (blurred, (held + noise).clip(0, 255).astype(np.uint8))
        ]
    return Row(
        "the same, blurred to 8 x 8 pixels or noisy",
        "none is",
        f"{np.max(shares):.1%} at most",
        "0%",
        max(shares) == 0,
    )


def found_unfit(full: bool) -> Row:
    """Noise, clouds, blobs, photographs and blank images are found out."""
    runs, shares = 500 if full else 100, {}
    for collection in (chests(400), turned_arms(300)):
        for patients in _PATIENTS:
            fit = _fitted({"": collection[:patients]})
            for kind in _KINDS:
                shares.setdefault(kind, []).append(called_unfit(fit, drawn(kind, 200), "", runs, first=8))
    told = ", ".join(f"{kind} {np.min(some):.0%}" for kind, some in shares.items())
    least = min(map(min, shares.values()))
    return Row("first 8 images that are no radiographs, called unfit", "all are", told, "at least 95%", least >= 0.95)


def _fitted(classes: Mapping[str, Greys]) -> ModelFitness:
    greys = np.concatenate(list(classes.values()))
    found = ModelFitness.fit(
        greys, [name for name, some in classes.items() for _ in some], np.arange(len(greys)), least=1
    )
    assert found is not None
    return found


@cache
def _phantoms(label: str, count: int) -> Greys:
    import tempfile
    from pathlib import Path

    from examples.phantoms import write_collection

    with tempfile.TemporaryDirectory() as folder:
        write_collection(Path(folder), {label: count}, max_images=1)
        return decode(sorted(Path(folder).rglob("*.png")), SIDE)


def _clouds(chance: np.random.Generator) -> Greys:
    """Noise whose amplitude falls as one over the frequency, as in photographs."""
    height, width = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE))
    frequency = np.maximum(np.hypot(height, width), 1 / SIDE)
    return _stretched(np.fft.ifft2(np.fft.fft2(chance.normal(size=(SIDE, SIDE))) / frequency).real)


def _blob(chance: np.random.Generator) -> Greys:
    from scipy.ndimage import gaussian_filter

    return _stretched(gaussian_filter(chance.normal(size=(SIDE, SIDE)), 6))


def _photograph(chance: np.random.Generator) -> Greys:
    photos = _photographs()
    photo = photos[chance.integers(len(photos))]
    side = int(chance.integers(100, min(photo.shape)))
    top, left = (int(chance.integers(length - side + 1)) for length in photo.shape)
    return np.asarray(Image.fromarray(photo[top : top + side, left : left + side]).resize((SIDE, SIDE)))


@cache
def _photographs() -> list[Greys]:
    from sklearn.datasets import load_sample_images

    return [np.asarray(Image.fromarray(each).convert("L")) for each in load_sample_images().images]


def _stretched(values: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Greys:
    low, high = values.min(), values.max()
    return np.asarray(255 * (values - low) / (high - low)).astype(np.uint8)


_KINDS: Mapping[str, Callable[[np.random.Generator], Greys]] = {
    "noise": lambda chance: chance.integers(0, 256, (SIDE, SIDE)).astype(np.uint8),
    "clouds": _clouds,
    "blobs": _blob,
    "photographs": _photograph,
    "blank": lambda chance: np.full((SIDE, SIDE), chance.integers(256), np.uint8),
}

ROWS: list[Simulation] = [false_alarms, spoilt_images, found_unfit]
