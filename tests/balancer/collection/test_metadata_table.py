"""Tables of patients as people have them."""

import pytest

from balancer.collection.metadata_table import parse_columns, read_table
from balancer.errors import TableError


@pytest.fixture
def write(tmp_path):
    def write(text, name="meta.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("text", "age"),
    [("34", 34), ("034Y", 34), ("006M", 0.5), ("90+", 90), (">89", 89), ("34,5", 34.5), ("0", 0), ("120", 120)],
)
def test_ages(write, text, age):
    assert read_table(write(f'file,age\na.png,"{text}"\n')).rows["age"][0] == pytest.approx(age)


@pytest.mark.parametrize("text", ["-3", "121", "old", "12 stone", "=1+1"])
def test_impossible_ages_are_unknown_and_told(write, text):
    table = read_table(write(f"file,age\na.png,{text}\n"))
    assert table.rows["age"].isna().all()
    assert repr(text) in table.findings[0].message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_encodings_and_separators(write, encoding, separator):
    path = write(f"Datei{separator}sex\nMüller.png{separator}f\n", encoding=encoding)
    table = read_table(path, {"file": "datei"})
    assert table.rows.to_dict("records") == [{"file": "Müller.png", "sex": "female"}]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "sex,age\nF,3\n", "file\n1.png\n"])
def test_missing_columns_are_told_with_those_found(write, content):
    with pytest.raises(TableError) as caught:
        read_table(write(content))
    assert repr(content.split("\n")[0].split(",")[0]) in caught.value.found
    assert "--columns" in caught.value.next_step


def test_a_named_column_that_is_not_there_is_told(write):
    with pytest.raises(TableError) as caught:
        read_table(write("file,Gender\n1.png,F\n"), {"sex": "Gander"})
    assert caught.value.needed == "the column 'Gander' for sex in meta.csv"
    assert caught.value.found == "the columns 'file', 'Gender'"


@pytest.mark.parametrize("content", ["", "\n\n", "PK\x03\x04\0", "file,sex\n1.png,F\n2.png,F,3,4\n"])
def test_what_is_no_table_is_told(write, content):
    with pytest.raises(TableError):
        read_table(write(content))
    with pytest.raises(TableError):
        read_table(write("").with_name("nowhere.csv"))


@pytest.mark.parametrize("text", ["sex", "colour=x", "sex=", "x sex=y"])
def test_columns_that_are_no_pairs(text):
    with pytest.raises(TableError):
        parse_columns([text])
