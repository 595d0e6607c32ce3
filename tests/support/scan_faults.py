"""A drawn collection in which nothing is wrong, and ways to plant in it everything that `scan` can find."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from examples.phantoms import write_collection

PATIENT = r"(p\d+)"
TRAIN, TEST = {"normal": 30, "nodule": 16}, {"normal": 12, "nodule": 10}


def write_clean(root: Path) -> Path:
    """Training and test part with two classes of phantoms, one of each patient: two would be the same drawing."""
    write_collection(root / "train", TRAIN, size=96, seed=5, max_images=1)
    write_collection(root / "test", TEST, size=96, seed=5, first_patient=100, max_images=1)
    return root


def first(root: Path, part: str, label: str, number: int = 0) -> Path:
    return sorted((root / part / label).iterdir())[number]


def altered(image: Image.Image, way: str) -> Image.Image:
    """A copy as people make them."""
    width, height = image.size
    match way:
        case "resized":
            return image.resize((width * 3 // 4, height * 3 // 4), Image.Resampling.LANCZOS)
        case "brightened":
            return ImageEnhance.Brightness(image).enhance(1.1)
        case "cropped":
            return image.crop((1, 1, width - 1, height - 1))
        case "mirrored":
            return ImageOps.mirror(image)
    return image


def copy_altered(source: Path, target: Path, way: str = "re-encoded") -> None:
    """As a JPEG of quality 50."""
    with Image.open(source) as image:
        altered(image.convert("L"), way).save(target.with_suffix(".jpg"), quality=50)


def every(root: Path, label: str) -> list[Path]:
    return sorted(root.glob(f"*/{label}/*.png"))


def redraw(paths: list[Path], change: Callable[[Image.Image], Image.Image]) -> None:
    for path in paths:
        with Image.open(path) as image:
            changed = change(image.convert("L"))
        changed.save(path)


def framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image.crop((6, 6, 90, 90)), 6, fill=255)


def lettered(image: Image.Image) -> Image.Image:
    """With a burnt-in L on black in the upper left corner."""
    draw = ImageDraw.Draw(image)
    draw.rectangle((2, 2, 18, 18), fill=0)
    draw.line((7, 5, 7, 14, 12, 14), fill=255, width=2)
    return image


def _leak(root: Path) -> None:
    shutil.copy(first(root, "train", "normal"), root / "test" / "normal" / "copy.png")


def _conflict(root: Path) -> None:
    shutil.copy(first(root, "train", "normal"), root / "train" / "nodule" / "copy.png")


def _duplicate(root: Path) -> None:
    shutil.copy(first(root, "train", "normal"), root / "train" / "normal" / "copy.png")


def _near_leak(root: Path) -> None:
    copy_altered(first(root, "train", "normal"), root / "test" / "normal" / "p0-copy", "brightened")


def _near_conflict(root: Path) -> None:
    copy_altered(first(root, "train", "normal"), root / "train" / "nodule" / "p0-copy", "resized")


def _near_duplicate(root: Path) -> None:
    copy_altered(first(root, "train", "normal"), root / "train" / "normal" / "p0-copy", "mirrored")


def _same_patient(root: Path) -> None:
    name = first(root, "train", "normal").name.replace("-00", "-77")
    shutil.move(first(root, "test", "normal"), root / "test" / "normal" / name)


def _shortcut(root: Path) -> None:
    for path in every(root, "nodule"):
        copy_altered(path, path)
        path.unlink()


def _empty(root: Path) -> None:
    (root / "train" / "normal" / "p7001-0.png").write_bytes(b"")


def _clipped(root: Path) -> None:
    path = first(root, "train", "normal", 3)
    with Image.open(path) as image:
        values = np.asarray(image, np.uint16) * 16
    Image.fromarray(values).save(path)


def _alike_names(root: Path) -> None:
    shutil.move(root / "test" / "normal", root / "test" / "Normal")


def _hidden(root: Path) -> None:
    (root / "train" / ".ipynb_checkpoints").mkdir()


def _numbered(root: Path) -> None:
    for part in ("train", "test"):
        for grade, label in enumerate(("normal", "nodule")):
            (root / part / label).rename(root / part / str(grade))


def _unlabelled(root: Path) -> None:
    path = first(root, "train", "normal")
    path.rename(root / "train" / path.name)


def _empty_class(root: Path) -> None:
    (root / "train" / "effusion").mkdir()


def _few_images(root: Path) -> None:
    write_collection(root / "train", {"cardiomegaly": 9}, size=96, first_patient=300, max_images=1)


def _few_patients(root: Path) -> None:
    write_collection(root / "train", {"cardiomegaly": 12}, size=96, first_patient=300, max_images=1)
    for number, path in enumerate(every(root, "cardiomegaly")):
        path.rename(path.with_name(f"p30{number % 4}-{number}.png"))


def _no_patient(root: Path) -> None:
    first(root, "train", "normal").rename(root / "train" / "normal" / "unknown.png")


def _blank(root: Path) -> None:
    Image.new("L", (96, 96), 40).save(root / "train" / "normal" / "p7000-0.png")


def _wrong_extension(root: Path) -> None:
    path = first(root, "train", "normal")
    path.rename(path.with_suffix(".jpg"))


def _turned(root: Path) -> None:
    path = first(root, "train", "normal")
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.save(path, exif=exif)


def _several_frames(root: Path) -> None:
    path = first(root, "train", "normal")
    with Image.open(path) as image:
        image.save(path, save_all=True, append_images=[image.rotate(180)])


def _ignored_folder(root: Path) -> None:
    (root / "old" / "normal").mkdir(parents=True)


def _ignored_file(root: Path) -> None:
    (root / "train" / "normal" / "scan.pdf").write_bytes(b"%PDF")


def _named_like_a_part(root: Path) -> None:
    """Of a flat collection, since only there the names are guessed from."""
    flat = root.with_name("flat")
    shutil.move(root / "train", flat)
    shutil.rmtree(root)
    flat.rename(root)
    path = sorted((root / "normal").iterdir())[0]
    path.rename(path.with_name(f"test-{path.name}"))


def table_of(root: Path) -> Path:
    """Where the table of patients lies, if there is one."""
    return root.with_name("patients.csv")


def write_table(root: Path, **changes: str) -> None:
    """A table that knows every patient; `changes` are other lines for a patient, none to leave it out."""
    patients = [path.name.partition("-")[0] for path in every(root, "*")]
    lines = [changes.get(patient, f"{patient},{'FM'[number % 2]},40,PA") for number, patient in enumerate(patients)]
    table_of(root).write_text("\n".join(["patient,sex,age,view", *filter(None, lines)]) + "\n")


def _inverted(root: Path) -> None:
    for path in every(root, "normal")[:2]:
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)


def _patient(root: Path) -> str:
    return first(root, "train", "normal").name.partition("-")[0]


def _table_contradiction(root: Path) -> None:
    patient = _patient(root)
    write_table(root, **{patient: f"{patient},F,40,PA\n{patient},M,40,PA"})


def _table_ambiguous(root: Path) -> None:
    """Two files of one name, in two classes, and a table that tells files by their name."""
    path = first(root, "train", "normal")
    other = first(root, "train", "nodule")
    other.rename(other.with_name(path.name))
    names = sorted({path.name for path in every(root, "*")})
    rows = (f"{name},{'FM'[number % 2]}" for number, name in enumerate(names))
    table_of(root).write_text("\n".join(["file,sex", *rows]) + "\n")


def _table_no_row(root: Path) -> None:
    write_table(root, **{_patient(root): ""})


def _table_unreadable(root: Path) -> None:
    patient = _patient(root)
    write_table(root, **{patient: f"{patient},F,200,PA"})


PLANTS: dict[str, Callable[[Path], None]] = {
    "leak": _leak,
    "near-leak": _near_leak,
    "patient-leak": _same_patient,
    "label-conflict": _conflict,
    "near-label-conflict": _near_conflict,
    "shortcut": _shortcut,
    "unreadable": _empty,
    "clipped-by-loaders": _clipped,
    "turned-by-exif": _turned,
    "named-like-a-part": _named_like_a_part,
    "alike-class-names": _alike_names,
    "hidden-folder": _hidden,
    "numbered-classes": _numbered,
    "unlabelled": _unlabelled,
    "empty-class": _empty_class,
    "few-images": _few_images,
    "few-patients": _few_patients,
    "no-patient": _no_patient,
    "table-contradiction": _table_contradiction,
    "table-ambiguous": _table_ambiguous,
    "table-no-row": _table_no_row,
    "table-unreadable": _table_unreadable,
    "duplicate": _duplicate,
    "near-duplicate": _near_duplicate,
    "blank": _blank,
    "inverted": _inverted,
    "wrong-extension": _wrong_extension,
    "several-frames": _several_frames,
    "ignored-folder": _ignored_folder,
    "ignored-file": _ignored_file,
}
"""For each kind of finding a way to plant it."""
