"""`python -m tests.benchmarks.screening FOLDER [--images N]`: what the gates find and what they wrongly find.

FOLDER is a collection of real X-rays in which the patient is named as in the pediatric set. A part of the patients is
set aside: their images are the real ones that must pass. Copies are planted of training images, faults are drawn.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from analysis.screening.screen import Screen, fit_checks
from balancer.collection.scan import scan
from balancer.jobs import Candidate, Verdict
from balancer.splits.split import draw_split

PATIENT = r"(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+|p\d+)"
COPIES, FAULTS = 50, 20  # of each kind
Chance = np.random.Generator
Edit = Callable[[Image.Image, Chance], Image.Image]


def flip(image: Image.Image, chance: Chance) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def crop(image: Image.Image, chance: Chance) -> Image.Image:
    """A tenth of each side cut off, at a place by chance, and the rest enlarged."""
    width, height = round(image.width * 0.9), round(image.height * 0.9)
    left, top = (int(chance.integers(0, room + 1)) for room in (image.width - width, image.height - height))
    return image.resize(image.size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def light(image: Image.Image, chance: Chance) -> Image.Image:
    """Brightness and contrast a tenth up or down."""
    contrast, brightness = chance.choice([0.9, 1.1]), chance.choice([-25.5, 25.5])
    return image.point([int(np.clip((v - 128) * contrast + 128 + brightness, 0, 255)) for v in range(256)])


def jpeg(image: Image.Image, chance: Chance) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer).convert("L")


def turn(image: Image.Image, chance: Chance) -> Image.Image:
    return image.rotate(float(chance.choice([-2, 2])), Image.Resampling.BICUBIC)


def everything(image: Image.Image, chance: Chance) -> Image.Image:
    for edit in (flip, crop, light, turn, jpeg):
        image = edit(image, chance)
    return image


EDITS: dict[str, Edit] = {"flip": flip, "10% crop": crop, "10% brightness and contrast": light}
EDITS |= {"JPEG quality 50": jpeg, "2 degrees": turn, "all five": everything}


def blank(image: Image.Image, chance: Chance) -> Image.Image:
    return Image.new("L", image.size, int(chance.integers(0, 256)))


def half_grey(image: Image.Image, chance: Chance) -> Image.Image:
    """The upper, lower, left or right half is missing."""
    grey, side = np.array(image), int(chance.integers(4))
    half = [
        np.s_[: len(grey) // 2],
        np.s_[len(grey) // 2 :],
        np.s_[:, : grey.shape[1] // 2],
        np.s_[:, grey.shape[1] // 2 :],
    ]
    grey[half[side]] = 128
    return Image.fromarray(grey)


def tinted(image: Image.Image, chance: Chance) -> Image.Image:
    channels = np.repeat(np.array(image, float)[:, :, None], 3, 2) * chance.permutation([1.0, 0.9, 0.8])
    return Image.fromarray(channels.astype(np.uint8))


def blurry(image: Image.Image, chance: Chance) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(0.03 * image.width))


def noise(image: Image.Image, chance: Chance) -> Image.Image:
    """Noise alone, or an image drowned in it."""
    grain = chance.normal(128, 60, (image.height, image.width))
    drowned = np.array(image, float) + chance.normal(0, 60, grain.shape)
    return Image.fromarray(np.clip(grain if chance.random() < 0.5 else drowned, 0, 255).astype(np.uint8))


def photograph(image: Image.Image, chance: Chance) -> Image.Image:
    """A part of a photograph, in colour or in grey."""
    from sklearn.datasets import load_sample_images

    photo = Image.fromarray(load_sample_images().images[int(chance.integers(2))])
    side = int(chance.integers(200, min(photo.size)))
    left, top = (int(chance.integers(0, room - side + 1)) for room in photo.size)
    part = photo.resize(image.size, Image.Resampling.LANCZOS, (left, top, left + side, top + side))
    return part if chance.random() < 0.5 else part.convert("L")


BROKEN: dict[str, Edit] = {"blank": blank, "half grey": half_grey, "tinted": tinted}
BROKEN |= {"blurred": blurry, "noise": noise, "photograph": photograph}


def judged(screen: Screen, paths: list[Path], label: str = "") -> list[Verdict]:
    """Each alone, so that nothing repeats another."""
    return [screen([Candidate(label or path.parent.name, path, str(path), None)], [])[0] for path in paths]


def planted(folder: Path, sources: list[Path], name: str, edit: Edit, chance: Chance) -> list[Path]:
    made = []
    for number, source in enumerate(sources):
        place = folder / name / source.parent.name / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        edit(Image.open(source).convert("L"), chance).save(place)
        made.append(place)
    return made


def share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / max(1, total):.1%})"


def by_gate(verdicts: list[Verdict], gate: str, decision: str = "reject") -> int:
    return sum(v.decision == decision and any(r.startswith(gate) for r in v.reasons) for v in verdicts)


def link_collection(root: Path, folder: Path, images: int) -> tuple[Path, list[Path]]:
    """Some of the patients as links in train/, and paths of the images of the others, one for each patient."""
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    found = {path: match.group(1) for path in files if (match := re.search(PATIENT, path.name))}
    people = sorted(set(found.values()))
    order = np.random.default_rng(0).permutation(len(people))
    others = {people[place] for place in order[: round(0.2 * len(people))]}
    mine = [path for path in found if found[path] not in others]
    for place in np.sort(np.random.default_rng(1).permutation(len(mine))[:images]):
        path = mine[place]
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path)
    return folder, [next(path for path in found if found[path] == person) for person in sorted(others)]


def main(root: Path, images: int, cache: Path | None) -> None:
    """Measure and print."""
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder, strangers = link_collection(root, Path(place) / "xrays", images)
        collection = scan(folder, PATIENT)
        split = draw_split(collection)
        began = time.perf_counter()
        screen = fit_checks(collection, split, cache or Path(place) / "cache")
        assert screen.calibration is not None
        print(f"fitted on {len(screen.reals.paths)} images in {time.perf_counter() - began:.0f} s")
        print("; ".join(screen.notes) or "no notes")
        train = [folder / path for path in split.paths("train")]
        sources = [train[at] for at in chance.permutation(len(train))[:COPIES]]
        total = missed = 0
        for name, edit in EDITS.items():
            found = judged(screen, planted(Path(place), sources, name, edit, chance))
            total, missed = total + len(found), missed + sum(v.decision == "accept" for v in found)
            print(f"copies, {name}: rejected as copies {share(by_gate(found, 'copy'), len(found))}")
        print(f"copies not accepted: {share(total - missed, total)} (goal: at least 99%)")
        began = time.perf_counter()
        real = judged(screen, strangers)
        each = (time.perf_counter() - began) / len(real)
        print(f"real images of other patients called copies: {share(by_gate(real, 'copy'), len(real))} (goal: 1%)")
        print(f"  sent to review: {share(by_gate(real, 'copy', 'review'), len(real))}; {1000 * each:.0f} ms an image")
        print(f"  rejected by the sound gate: {share(by_gate(real, 'sound'), len(real))} (goal: 2%)")
        print(f"  rejected by the label gate: {share(by_gate(real, 'label'), len(real))}")
        for name, edit in BROKEN.items():
            found = judged(screen, planted(Path(place), sources[:FAULTS], name, edit, chance))
            print(f"faults, {name}: rejected {share(by_gate(found, 'sound'), len(found))} (goal: all)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--cache", type=Path, help="keep what was learned here, for the next time")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.images, arguments.cache)
