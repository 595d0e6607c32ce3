import pytest

from balancer.collection.scan import scan
from balancer.errors import SplitError
from balancer.splits.split_table import read_parts
from tests.support.tiny_models import write_xrays


@pytest.fixture
def found(tmp_path):
    return scan(write_xrays(tmp_path / "d", {"A": 12, "B": 12}), r"(p\d+)-")


def rows_of(found, by="patient"):
    parts = ["train", "Training", "valid", "dev", "test", "testing"]
    each = found.images.drop_duplicates("patient") if by == "patient" else found.images
    names = each["patient"] if by == "patient" else each.index
    return {name: parts[int(patient[2:])] for name, patient in zip(names, each["patient"], strict=True)}


def write(found, rows, header, separator=","):
    path = found.root.parent / "splits.csv"
    path.write_text("\n".join([header, *(f"{name}{separator}{part}" for name, part in rows.items())]), "utf-8")
    return path


@pytest.mark.parametrize(
    ("by", "header", "separator"),
    [("patient", "PatientID,Split", ","), ("file", "file_name\tpart", "\t"), ("file", "Image Index;set", ";")],
)
def test_a_table_by_file_or_patient(found, by, header, separator):
    parts = read_parts(write(found, rows_of(found, by), header, separator), found)
    assert parts.index.equals(found.images.index)
    assert dict(parts.value_counts()) == {"train": 8, "val": 8, "test": 8}
    assert parts["A/p0002-1.png"] == "val"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(("separator", "slash"), [("|", "\\"), (",", "\\"), ("|", "/")])
def test_a_table_as_patients_may_have_it(found, encoding, separator, slash):
    """What `--patients` reads, `--splits` reads too: other encodings, a bar, backslashes."""
    rows = {name.replace("/", slash): part for name, part in rows_of(found, "file").items()}
    path = write(found, rows, separator.join(["file", "split"]), separator)
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    assert dict(read_parts(path, found).value_counts()) == {"train": 8, "val": 8, "test": 8}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A/p0000-0.png": "test"}, "1 in two or more: 'p0000'"),
        ({"A/nowhere.png": "test"}, "1 others or ambiguous ones: 'A/nowhere.png'"),
        ({"A/p0000-0.png": "3"}, "found:  '3'"),
        ({"A/p0000-0.png": None}, "1 images without one: 'A/p0000-0.png'"),
        ({f"B/p100{n}-{k}.png": "train" for n in (4, 5) for k in (0, 1)}, "no image of 'B' in test"),
    ],
)
def test_what_does_not_fit_is_refused(found, change, message):
    rows = {name: part for name, part in (rows_of(found, "file") | change).items() if part}
    with pytest.raises(SplitError, match=message):
        read_parts(write(found, rows, "file,part"), found)


def test_two_parts_for_one_name_are_refused(found):
    table = write(found, rows_of(found), "patient,part")
    table.write_text(table.read_text() + "\np0000,test\n")
    with pytest.raises(SplitError, match="two parts for 'p0000'"):
        read_parts(table, found)
