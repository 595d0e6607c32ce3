"""Cut a long tail out of a public collection, the same one on every machine: that of docs/measurements.md.

`python -m examples.long_tail SOURCE TARGET NORMAL=1000 BACTERIAL_PNEUMONIA=1000 VIRAL_PNEUMONIA=50`

SOURCE is the pediatric chest X-ray collection (Kermany 2018) as it is handed out, with `train` and `test`. The files of
its class PNEUMONIA say in their names whether bacteria or a virus caused it. The training part gets so many images of
each class, patient by patient in an order drawn with seed 0; the test part stays whole, less those patients.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_PATIENT = re.compile(r"(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)")
_CAUSES = {"bacteria": "BACTERIAL_PNEUMONIA", "virus": "VIRAL_PNEUMONIA"}


def patient_of(file: Path) -> str:
    """The patient in a file's name; the whole name where there is none.

    >>> patient_of(Path("person12_virus_48.jpeg")), patient_of(Path("NORMAL2-IM-0941-0001.jpeg"))
    ('person12_virus', 'NORMAL2-IM-0941')
    """
    found = _PATIENT.match(file.name)
    return found[0] if found else file.stem


def class_of(file: Path) -> str:
    """The class of a file: its folder's name, but for pneumonia the cause.

    >>> class_of(Path("test/PNEUMONIA/person1_virus_6.jpeg")), class_of(Path("test/NORMAL/IM-0001-0001.jpeg"))
    ('VIRAL_PNEUMONIA', 'NORMAL')
    """
    if file.parent.name != "PNEUMONIA":
        return file.parent.name
    return next(label for cause, label in _CAUSES.items() if f"_{cause}_" in file.name)


def draw(files: Iterable[Path], count: int, chance: random.Random) -> list[Path]:
    """So many files, one patient after the other.

    Raises:
        SystemExit: there are fewer.
    """
    patients: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.name):
        patients[patient_of(file)].append(file)
    order = sorted(patients)
    chance.shuffle(order)
    found = [file for patient in order for file in patients[patient]][:count]
    if len(found) < count:
        raise SystemExit(f"{count} images of a class are asked for; there are {len(found)}")
    return found


def cut(source: Path, target: Path, counts: Mapping[str, int], seed: int = 0) -> None:
    """Write the cut collection to `target`, which must not be there yet.

    Raises:
        SystemExit: a class has too few images, or `target` is there.
    """
    if target.exists():
        raise SystemExit(f"{target.name} is there already: name a folder that is not")
    chance, learned = random.Random(seed), _by_class(source / "train")
    train = {label: draw(learned[label], count, chance) for label, count in counts.items()}
    known = {patient_of(file) for files in train.values() for file in files}
    test = {
        label: [each for each in files if patient_of(each) not in known]
        for label, files in _by_class(source / "test").items()
    }
    for part, classes in (("train", train), ("test", test)):
        for label, files in classes.items():
            folder = target / part / label
            folder.mkdir(parents=True)
            for file in files:
                shutil.copy2(file, folder)


def _by_class(part: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(part.glob("*/*.jpeg")):
        found[class_of(file)].append(file)
    return found


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    asked = {label: int(count) for label, _, count in (word.partition("=") for word in sys.argv[3:])}
    cut(Path(sys.argv[1]), Path(sys.argv[2]), asked)
