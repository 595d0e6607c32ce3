"""Small collections as others lie on disk: drawn here, their folders and columns in the manner of public ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (24, 24)) -> None:
    """Noise of its own for each path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng([seed, *path.as_posix().encode()])
    Image.fromarray(chance.integers(0, 256, size, np.uint8)).save(path)


def write_table(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    """Rows, the header among them, as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(out.getvalue())
    return path


def archive(root: Path) -> Path:
    """Two folders of an archive, a table of labels joined by bars, two lists, a row without a file."""
    rows = [["Image Index", "Finding Labels", "Patient ID", "Patient Gender", "Patient Age", "View Position"]]
    findings = ["No Finding", "Effusion", "Effusion|Mass", "Mass", "No Finding", "Infiltration|Mass"]
    for number, finding in enumerate(findings * 2):
        name = f"{number // 2:08}_{number % 2:03}.png"
        rows.append([name, finding, number // 2, "MF"[number % 2], 40 + number, ["PA", "AP"][number % 2]])
        draw(root / f"images_{1 + number // 6:03}" / "images" / name)
    rows.append(["00000099_000.png", "Hernia", 99, "F", 50, "PA"])
    write_table(root / "entries.csv", rows)
    names = [row[0] for row in rows[1:]]
    (root / "train_list.txt").write_text("\n".join(names[:8]) + "\n")
    (root / "test_list.txt").write_text("\n".join(names[8:]) + "\n")
    return root


def studies(root: Path) -> Path:
    """A folder for each patient and study; 1, 0, -1 and blank in columns, a table for each split, paths from above."""
    header = ["Path", "Sex", "View", "Edema", "Fracture", "No Finding"]
    values = [["1.0", "", ""], ["", "-1.0", ""], ["", "", "1.0"], ["1.0", "1.0", ""], ["", "", ""], ["0.0", "", "1.0"]]
    for part, patients in (("train", range(10, 16)), ("valid", range(20, 26))):
        rows: list[list[object]] = [header]
        for patient, marks in zip(patients, values, strict=True):
            path = f"set-v1/{part}/patient{patient}/study1/view1_frontal.png"
            draw(root / path)
            rows.append([path, "FM"[patient % 2], ["AP", "PA"][patient % 2], *marks])
        write_table(root / "set-v1" / f"{part}.csv", rows)
    return root / "set-v1"


def bones(root: Path) -> Path:
    """Splits, body parts, patients and studies that are positive or negative, as folders; a table without a header."""
    rows = []
    for part, region, patient, study in [
        *(("train", "XR_HAND", n, "study1_positive" if n % 2 else "study1_negative") for n in range(6)),
        *(("train", "XR_HIP", n, "study1_negative" if n % 2 else "study1_positive") for n in range(4, 9)),
        *(("valid", "XR_HAND", n, "study1_positive" if n % 2 else "study2_negative") for n in range(10, 14)),
    ]:
        folder = f"{part}/{region}/patient{patient:05}/{study}"
        rows.append([f"bones/{folder}/", int(study.endswith("positive"))])
        for number in range(2):
            draw(root / folder / f"image{number}.png")
    write_table(root / "studies.csv", rows)
    return root


def masked(root: Path) -> Path:
    """Class folders with images and masks of the same names."""
    for label, count in {"COVID": 6, "Normal": 8}.items():
        for number in range(count):
            for kind in ("images", "masks"):
                draw(root / label / kind / f"{label}-{number}.png")
    return root
