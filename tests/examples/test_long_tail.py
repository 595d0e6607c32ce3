"""The cut of the comparison in docs/measurements.md: by patient, the same every time, nothing of the source changed."""

from pathlib import Path

import pytest

from examples.long_tail import cut, patient_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """As the collection is handed out: two classes, causes in file names, several images of a patient."""
    names = {
        "NORMAL": [f"IM-{patient:04}-{number:04}.jpeg" for patient in range(6) for number in (1, 2)],
        "PNEUMONIA": [
            f"person{patient}_{cause}_{patient}.jpeg" for patient in range(8) for cause in ("bacteria", "virus")
        ],
    }
    for part, least in (("train", 0), ("test", 4)):
        for label, files in names.items():
            folder = tmp_path / "source" / part / label
            folder.mkdir(parents=True)
            for name in files[least:]:
                (folder / name).write_bytes(f"{part} {name}".encode())
    return tmp_path / "source"


def listed(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.jpeg")}


def test_so_many_images_by_patient_and_no_patient_in_both_parts(source, tmp_path):
    before = listed(source)
    cut(source, tmp_path / "cut", {"NORMAL": 4, "VIRAL_PNEUMONIA": 3, "BACTERIAL_PNEUMONIA": 5})
    found = {
        part: {
            folder.name: {patient_of(file) for file in folder.iterdir()}
            for folder in (tmp_path / "cut" / part).iterdir()
        }
        for part in ("train", "test")
    }
    assert {label: len(list((tmp_path / "cut/train" / label).iterdir())) for label in found["train"]} == {
        "NORMAL": 4,
        "VIRAL_PNEUMONIA": 3,
        "BACTERIAL_PNEUMONIA": 5,
    }
    assert len(found["train"]["NORMAL"]) == 2
    assert not set.union(*found["train"].values()) & set.union(*found["test"].values())
    assert listed(source) == before


def test_the_same_cut_every_time(source, tmp_path):
    for name in ("one", "other"):
        cut(source, tmp_path / name, {"NORMAL": 3, "VIRAL_PNEUMONIA": 2})
    assert listed(tmp_path / "one") == listed(tmp_path / "other")


def test_too_few_images_and_a_folder_that_is_there_are_told(source, tmp_path):
    with pytest.raises(SystemExit, match="99 images of a class are asked for; there are 12"):
        cut(source, tmp_path / "cut", {"NORMAL": 99})
    assert not (tmp_path / "cut").exists()
    with pytest.raises(SystemExit, match="source is there already"):
        cut(source, source, {"NORMAL": 1})
