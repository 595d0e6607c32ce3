"""Public collections in miniature, as they unpack: a builder for each, and what a right reading of it counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.layouts import draw, write_table


@dataclass(frozen=True)
class Right:
    """Counts of a right reading: images with each label, patients, images in each split, and what is left out."""

    classes: dict[str, int]
    patients: int | None = None
    splits: dict[str, int] | None = None
    ignored: dict[str, int] = field(default_factory=dict)


def nih(root: Path) -> Right:
    """Archive parts, labels joined by bars, two lists, a row without a file."""
    header = ["Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age", "Patient Gender"]
    rows: list[list[object]] = [[*header, "View Position"]]
    for number, finding in enumerate(["No Finding", "Effusion", "Effusion|Mass", "Mass"] * 3):
        name = f"{number // 2:08}_{number % 2:03}.png"
        rows.append([name, finding, number % 2, number // 2, 50 + number, "MF"[number % 2], "PA"])
        draw(root / f"images_{1 + number // 6:03}" / "images" / name)
    rows.append(["00000099_000.png", "Hernia", 0, 99, 50, "F", "PA"])
    write_table(root / "Data_Entry_2017_v2020.csv", rows)
    names = [[row[0]] for row in rows[1:]]
    write_table(root / "train_val_list.txt", names[:8])
    write_table(root / "test_list.txt", names[8:])
    return Right(
        {"Effusion": 6, "Mass": 6, "No Finding": 3}, 6, {"train": 8, "test": 4}, ignored={"rows_without_file": 1}
    )


def mura(root: Path) -> Right:
    """Splits, regions, patients and studies as folders; tables without a header beside."""
    rows = []
    for part, region, patient in [("train", "XR_HAND", 1), ("train", "XR_HIP", 2), ("valid", "XR_HAND", 3)]:
        for study, label in ((1, "positive"), (2, "negative")):
            folder = f"{part}/{region}/patient{patient:05}/study{study}_{label}"
            rows.append([f"MURA-v1.1/{folder}/", int(label == "positive")])
            for number in range(2):
                draw(root / folder / f"image{number}.png")
    write_table(root / "train_labeled_studies.csv", rows)
    return Right({"negative": 6, "positive": 6}, 3, {"train": 8, "val": 4})


def kermany(root: Path) -> Right:
    """The archive holds everything twice, and what macOS adds."""
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        for number in range(count):
            draw(root / part / "NORMAL" / f"IM-{part}{number:04}-0001.jpeg".replace(part, str(len(part))))
            draw(root / part / "PNEUMONIA" / f"person{number}_bacteria_{len(part)}{number}.jpeg")
    shutil.copytree(root, root / root.name)
    shadow = root / "__MACOSX" / "train" / "NORMAL" / "._IM-0001.jpeg"
    shadow.parent.mkdir(parents=True)
    shadow.write_bytes(b"\0")
    return Right({"NORMAL": 6, "PNEUMONIA": 6}, 9, {"train": 6, "val": 2, "test": 4}, {"second_copy": 12, "macos": 1})


def padchest(root: Path) -> Right:
    """Numbered folders, lists in cells, 16-bit names alone in the table."""
    rows: list[list[object]] = [["", "ImageID", "ImageDir", "PatientID", "PatientSex_DICOM", "Projection", "Labels"]]
    labels = ["['normal']", "['pleural effusion', 'cardiomegaly ']", "['', 'cardiomegaly']", "['normal']", ""]
    for number, cell in enumerate(labels * 2):
        name = f"2168{number:04}_00-{number:03}.png"
        rows.append([number, name, number % 3, f"sj_{number // 2}", "MF"[number % 2], "PA", cell])
        draw(root / str(number % 3) / name)
    write_table(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", rows)
    return Right({"cardiomegaly": 4, "normal": 4, "pleural effusion": 2}, 5, None, {"unlabelled": 2})


def siim(root: Path) -> Right:
    """Run lengths as labels, -1 for none, a row for each mask; the images exported from DICOM."""
    rows: list[list[object]] = [["ImageId", " EncodedPixels"]]
    for number in range(6):
        name = f"1.2.276.0.7230010.3.1.4.8323329.{number}.1517875252.443{number}"
        rows += [[name, f" {run} 4 1020 6"] for run in range(number % 3)] or [[name, " -1"]]
        draw(root / "dicom-images-train" / f"series{number}" / f"{name}.png")
    draw(root / "dicom-images-test" / "series9" / "1.2.276.9.png")
    write_table(root / "train-rle.csv", rows)
    return Right({"no pneumothorax": 2, "pneumothorax": 4}, None, None, {"unlabelled": 1})


def grazpedwri(root: Path) -> Right:
    """Stems in the table, blank for no fracture, two parts of an archive."""
    rows: list[list[object]] = [
        ["filestem", "patient_id", "study_number", "gender", "age", "laterality", "projection", "fracture_visible"]
    ]
    for number in range(8):
        stem = f"{number // 2:04}_{1297860395 + number}_01_WRI-L{1 + number % 2}_M014"
        rows.append([stem, number // 2, 1, "M", 14.2, "L", 1 + number % 2, "1" if number > 2 else ""])
        draw(root / f"images_part{1 + number // 4}" / f"{stem}.png")
    write_table(root / "dataset.csv", rows)
    return Right({"fracture": 5, "no fracture": 3}, 4)


def fracatlas(root: Path) -> Right:
    """Folders, and a table beside them with views in three columns."""
    rows: list[list[object]] = [
        ["image_id", "hand", "leg", "hip", "shoulder", "mixed", "frontal", "lateral", "oblique"]
    ]
    for number in range(8):
        name = f"IMG{number:07}.jpg"
        rows.append([name, 1, 0, 0, 0, 0, 1, number % 2, 0])
        draw(root / "images" / ("Fractured" if number < 3 else "Non_fractured") / name)
    write_table(root / "dataset.csv", rows)
    return Right({"Fractured": 3, "Non_fractured": 5})


def covidx(root: Path) -> Right:
    """Lists with blanks between patient, file, class and source."""
    for part, count in (("train", 6), ("test", 4)):
        lines = []
        for number in range(count):
            name = f"{part}{number}.png"
            lines.append(f"{part}p{number // 2} {name} {['negative', 'positive'][number % 2]} cohen")
            draw(root / part / name)
        (root / f"{part}_COVIDx9B.txt").write_text("\n".join(lines) + "\n")
    return Right({"negative": 5, "positive": 5}, 5, {"train": 6, "test": 4})


def tbx11k(root: Path) -> Right:
    """Three folders of classes, one without labels, lists of paths below imgs."""
    listed: dict[str, list[list[object]]] = {"train": [], "val": []}
    for number in range(4):
        for folder, letters in (("health", "h"), ("sick", "s"), ("tb", "tb")):
            name = f"{folder}/{letters}{number:04}.png"
            draw(root / "imgs" / name)
            listed["val" if number == 3 else "train"].append([name])
    draw(root / "imgs" / "test" / "test_0001.png")
    for part, names in listed.items():
        write_table(root / "lists" / f"TBX11K_{part}.txt", names)
    return Right({"health": 4, "sick": 4, "tb": 4}, None, {"train": 9, "val": 3}, {"unlabelled": 1})


def montgomery(root: Path) -> Right:
    """The last digit of the name; masks of the same names in two folders."""
    for number in range(6):
        name = f"MCUCXR_{number:04}_{int(number > 3)}.png"
        draw(root / "CXR_png" / name)
        for side in ("leftMask", "rightMask"):
            draw(root / "ManualMask" / side / name)
    return Right({"normal": 4, "tuberculosis": 2}, 6, None, {"masks": 12})


def btxrd(root: Path) -> Right:
    """Two columns of flags, where neither is normal."""
    rows: list[list[object]] = [["image_id", "center", "age", "gender", "tumor", "benign", "malignant", "frontal"]]
    for number in range(9):
        name = f"IMG{number:06}.jpeg"
        rows.append([name, 1, 20, "M", int(number > 3), int(4 <= number < 7), int(number >= 7), 1])
        draw(root / "images" / name)
    write_table(root / "dataset.csv", rows)
    return Right({"benign": 3, "malignant": 2, "normal": 4})


MINIATURES: dict[str, Callable[[Path], Right]] = {
    "nih": nih, "mura": mura, "kermany": kermany, "padchest": padchest, "siim": siim, "grazpedwri": grazpedwri,
    "fracatlas": fracatlas, "covidx": covidx, "tbx11k": tbx11k, "montgomery": montgomery, "btxrd": btxrd,
}  # fmt: skip
