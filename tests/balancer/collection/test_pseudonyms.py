import pandas as pd
import pytest

from balancer.collection.metadata_table import read_table
from balancer.collection.pseudonyms import Pseudonyms
from balancer.collection.scan import scan
from balancer.errors import SplitError, TableError
from balancer.splits.split_table import read_parts
from balancer.store.state_dir import State
from tests.support.layouts import write_table
from tests.support.tiny_models import write_xrays

NAMES = Pseudonyms(b"key")


def of(patients, paths):
    return NAMES.of_patients(pd.DataFrame({"patient": patients}, index=paths, dtype=object))["patient"].tolist()


def test_patients_that_file_names_carry_keep_their_names():
    assert of(["p001", "p2"], ["a/p001-1.png", "a/p2/1.png"]) == ["p001", "p2"]


def test_a_number_that_is_in_a_name_by_chance_is_replaced():
    assert of(["7", "8"], ["a/img17.png", "a/img28.png"]) == [NAMES.of("7"), NAMES.of("8")]


def test_all_are_replaced_or_none_so_that_a_patient_has_one_name():
    found = of(["7", "7", "8", None], ["a/7-1.png", "a/x.png", "a/8.png", "a/y.png"])
    assert found == [NAMES.of("7"), NAMES.of("7"), NAMES.of("8"), None]
    assert of(found, ["a", "b", "c", "d"]) == found


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    state = State(tmp_path)
    key = state.pseudonym_key()
    assert (len(key), state.pseudonym_key()) == (32, key)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def collection(folder, pseudonyms=NAMES):
    """Images whose patients a table tells, two images each."""
    root = write_xrays(folder / "x", {"A": 8, "B": 8})
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    rows = [["file", "patient", "sex"], *([path, f"MRN{n // 2:04}", "F"] for n, path in enumerate(paths))]
    return scan(root, table=read_table(write_table(folder / "t.csv", rows)), pseudonyms=pseudonyms)


def test_patients_of_a_table_are_replaced_and_stay_together(tmp_path):
    found = collection(tmp_path)
    assert found.images["patient"].str.startswith("anon-").all()
    assert found.images["patient"].value_counts().tolist() == [2] * 8
    again = scan(found.root, known=found, table=found.table, pseudonyms=NAMES)
    assert again.images["patient"].equals(found.images["patient"])


def test_a_patient_in_two_parts_is_told_by_its_pseudonym(tmp_path):
    for part in ("train", "test"):
        write_xrays(tmp_path / "x" / part, {"A": 2, "B": 2}, size=(32, 32 if part == "train" else 30))
    paths = sorted(path.relative_to(tmp_path / "x").as_posix() for path in tmp_path.rglob("*.png"))
    rows = [["file", "patient"], *([path, "MRN0042"] for path in paths)]
    table = read_table(write_table(tmp_path / "t.csv", rows))
    found = scan(tmp_path / "x", table=table, pseudonyms=NAMES).findings
    (told,) = [each.message for each in found if each.kind == "patient-leak"]
    assert NAMES.of("MRN0042") in told
    assert "MRN" not in told


def test_a_split_by_patient_may_use_the_real_numbers_or_the_pseudonyms(tmp_path):
    found = collection(tmp_path)
    parts = ["train", "train", "val", "test"] * 2
    rows = [["patient", "split"], *([f"MRN{n:04}", part] for n, part in enumerate(parts))]
    by_number = read_parts(write_table(tmp_path / "s.csv", rows), found, NAMES)
    rows = [["patient", "split"], *([NAMES.of(f"MRN{n:04}"), part] for n, part in enumerate(parts))]
    assert by_number.equals(read_parts(write_table(tmp_path / "s2.csv", rows), found, NAMES))
    write_table(tmp_path / "s3.csv", [["patient", "split"], ["MRN9999", "train"]])
    with pytest.raises(SplitError) as caught:
        read_parts(tmp_path / "s3.csv", found, NAMES)
    assert "MRN9999" not in str(caught.value)


def test_numbers_that_fit_nobody_are_told_by_how_they_are_written(tmp_path):
    root = write_xrays(tmp_path / "x", {"A": 4, "B": 4})
    table = read_table(write_table(tmp_path / "t.csv", [["patient", "sex"], ["MRN0042", "F"]]))
    with pytest.raises(TableError, match="written as 'AAA0000'") as caught:
        scan(root, r"(p\d+)", table=table, pseudonyms=NAMES)
    assert "MRN" not in str(caught.value)
