"""How many real lesions lie where `fill --mode inpaint` paints? `python -m tests.benchmarks.lesion_places [PRIOR...]`.

Phantoms at 64 px, a patient each: 200 normal images and 20 or 50 with the finding tell places, without masks. Of 200
other patients the masks are known: what share of their lesions, of all images together, lies in the fifth of the
central field that a map of places ranks first? The maps: where the class differs from normal for certain, else the
lungs (`before`); where a linear classifier sees it, in the lungs (`attributed`, else as before); and the best there
can be, from masks of further patients. Images of nothing: other normal ones pass for the finding. Three seeds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from balancer.collection.scan import Sample
from balancer.filling.lesion_places import attributions, central_place, differing, lung_place
from examples.phantoms import DIFFICULTIES, draw_radiograph, finding_mask
from tests.benchmarks.rows import Row, print_rows

Maps = npt.NDArray[np.float64]
SIDE, NORMAL, ASKED, TOP = 64, 200, 200, 0.2
CASES = (("consolidation", "usual"), ("consolidation", "hard"), ("nodule", "usual"), ("nodule", "hard"))
COUNTS = (20, 50)


@cache
def images(label: str, difficulty: str, first: int, count: int) -> Maps:
    """Phantoms of patients from a number on, (count, 64, 64)."""
    greys = [draw_radiograph(label, first + n, 0, SIDE, difficulty=DIFFICULTIES[difficulty]) for n in range(count)]
    return np.stack(greys).astype(float)


def masses(label: str, difficulty: str, first: int, count: int) -> Maps:
    """How many of these patients have the finding at each pixel, (64, 64)."""
    masks = [finding_mask(label, first + n, 0, SIDE, difficulty=DIFFICULTIES[difficulty]) for n in range(count)]
    return np.asarray(np.sum(masks, axis=0), float)


def share(weight: Maps, mass: Maps) -> float:
    """The share of the lesions in the fifth of the central field with the greatest weights; equal weights share it."""
    field = central_place().region.mask(SIDE, SIDE)
    left, found = TOP * field.sum(), 0.0
    for value in np.unique(weight[field])[::-1]:
        here = field & (weight == value)
        found += mass[here].sum() * min(1.0, left / here.sum())
        left -= here.sum()
        if left <= 0:
            break
    return float(found / mass.sum())


def lungs(normal: Maps) -> Maps:
    """The lungs as `fill` finds them."""
    with tempfile.TemporaryDirectory() as folder:
        samples = [Sample(f"{number}.png", "normal", None, "") for number in range(len(normal))]
        for sample, grey in zip(samples, normal, strict=True):
            Image.fromarray(grey.astype(np.uint8)).save(Path(folder) / sample.path)
        return lung_place(Path(folder), samples).region.mask(SIDE, SIDE).astype(float)


def before(of_class: Maps, normal: Maps) -> Maps:
    """Where the class differs from normal for certain, else the lungs."""
    mask = differing(of_class, normal)
    return lungs(normal) if mask is None else mask.astype(float)


def attributed(of_class: Maps, normal: Maps) -> Maps:
    """Where a linear classifier sees the class, in the lungs."""
    people = [[f"{side}{n}" for n in range(len(some))] for side, some in enumerate((of_class, normal))]
    seen = attributions(of_class, normal, *people)
    return before(of_class, normal) if seen is None else np.where(lungs(normal) > 0, seen, -2.0)


PRIORS: dict[str, Callable[[Maps, Maps], Maps]] = {each.__name__: each for each in (before, attributed)}


def places(seeds: int, priors: Sequence[str]) -> Iterator[Row]:
    """Every prior of every case."""
    for label, difficulty in CASES:
        mass, known = (masses(label, difficulty, first, ASKED) for first in (50_000, 60_000))
        best = share(gaussian_filter(known, 1.0), mass)
        for name, count in (*((label, count) for count in COUNTS), ("normal", COUNTS[0])):
            sets = [
                (
                    images(name, difficulty, 1000 * seed, max(COUNTS))[:count],
                    images("normal", difficulty, 10_000 + 1000 * seed, NORMAL),
                )
                for seed in range(seeds)
            ]
            found = {each: [share(PRIORS[each](*some), mass) for some in sets] for each in priors or PRIORS}
            said = "; ".join(f"{each} {np.mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for each, v in found.items())
            what = f"{difficulty} {label}, {count} images{' of nothing' if name == 'normal' else ''}"
            yield Row(what, f"at best {best:.2f}", said, "none", True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("priors", nargs="*", choices=[[], *PRIORS], metavar="PRIOR", help=f"of {', '.join(PRIORS)}")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args(arguments)
    return print_rows([places], [], asked.seeds, asked.priors)


if __name__ == "__main__":
    sys.exit(main())
