"""Tables as people have them, in every form that programs write."""

import gzip
import io
import zipfile

import openpyxl
import pandas as pd
import pytest

from balancer.errors import TableError
from balancer.imaging import tables
from balancer.imaging.tables import is_header, read_list, read_table

ROWS = [["image", " label ", "age"], ["0007.png", "mass", "034Y"], ["0008.png", "", "40"]]


def as_text(rows, separator=","):
    return "\n".join(separator.join(row) for row in rows) + "\n"


def as_workbook(rows):
    book, raw = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(raw)
    return raw.getvalue()


def as_parquet(rows):
    raw = io.BytesIO()
    pd.DataFrame(rows[1:], columns=rows[0]).to_parquet(raw)
    return raw.getvalue()


FORMS = {
    "csv": as_text(ROWS).encode(),
    "tsv": as_text(ROWS, "\t").encode(),
    "semicolons": as_text(ROWS, ";").encode(),
    "bars": as_text(ROWS, "|").encode(),
    "with a mark": as_text(ROWS).encode("utf-8-sig"),
    "utf-16": as_text(ROWS).encode("utf-16"),
    "utf-16 without a mark": as_text(ROWS).encode("utf-16-le"),
    "old line ends": as_text(ROWS).replace("\n", "\r").encode(),
    "blank lines before": b"\r\n\n" + as_text(ROWS).encode(),
    "gz": gzip.compress(as_text(ROWS).encode()),
    "xlsx": as_workbook(ROWS),
    "parquet": as_parquet(ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_table(tmp_path, form):
    path = tmp_path / "table"  # what it is, its content tells
    path.write_bytes(FORMS[form])
    table = read_table(path)
    assert table.header == ("image", "label", "age")
    assert table.cells.to_numpy().tolist() == ROWS[1:]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Épanchement pleural à gauche, fièvre", "cp1252"), ("骨折,正常,肺炎,胸腔积液,气胸", "gb18030")],
)
def test_encodings_that_are_no_unicode(tmp_path, text, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes(
        as_text([["file", "note"], *([f"{n}.png", text.replace(",", " ")] for n in range(20))]).encode(encoding)
    )
    assert read_table(path).cells[1][0] == text.replace(",", " ")


def test_a_table_without_a_header_has_numbers_for_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("MURA/train/XR_HAND/patient1/study1_negative/,0\nMURA/train/XR_HAND/patient2/study1_positive/,1\n")
    table = read_table(path)
    assert (table.header, len(table.cells), table.has_header) == (("1", "2"), 2, False)
    assert table.column("2") == 1


def test_blanks_separate_where_nothing_else_does(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("p1 a.png positive cohen\np2 b.png negative rsna\n")
    assert read_table(path).cells.to_numpy().tolist() == [
        ["p1", "a.png", "positive", "cohen"],
        ["p2", "b.png", "negative", "rsna"],
    ]


def test_columns_are_found_by_name_case_and_number(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(as_text(ROWS))
    table = read_table(path)
    assert [table.column(name) for name in ("label", "LABEL", "2", "4", "nothing")] == [1, 1, 1, None, None]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (["Image Index", "Finding Labels", "OriginalImage[Width", "Height]"], True),
        (["Frontal/Lateral", "AP/PA", "Nodule/Mass"], True),
        (["", "0", "1"], True),
        (["a.png", "mass"], False),
        (["0007", "mass"], False),
        (["patient1/study1/", "0"], False),
    ],
)
def test_headers(first, expected):
    assert is_header(first) == expected


def test_a_list_of_files(tmp_path):
    for number, text in enumerate(("a.png\nb c.png\n", "image_id\na.png\nb c.png\n")):
        (tmp_path / f"{number}.txt").write_text(text)
        assert read_list(tmp_path / f"{number}.txt") == ["a.png", "b c.png"]


def test_numbers_of_a_workbook_read_as_in_csv(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(as_workbook([["file", "grade", "score", "seen"], ["a.png", 3, 0.5, True]]))
    assert read_table(tmp_path / "t.xlsx").cells.to_numpy().tolist() == [["a.png", "3", "0.5", "1"]]


def bomb(size):
    raw = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(as_workbook(ROWS))) as old, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " * size if "sheet1" in name else b""))
    return raw.getvalue()


def entities():
    raw = io.BytesIO()
    laughs = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "' + "&a;" * 50 + '"><!ENTITY c "' + "&b;" * 50 + '">]>'
    with zipfile.ZipFile(io.BytesIO(as_workbook(ROWS))) as old, zipfile.ZipFile(raw, "w") as new:
        for name in old.namelist():
            new.writestr(name, laughs.encode() + old.read(name) if "sheet1" in name else old.read(name))
    return raw.getvalue()


BROKEN = {
    "empty": b"",
    "blank lines": b"\n\n",
    "an old workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "an archive": FORMS["xlsx"][:200],
    "no workbook": bomb(0).replace(b"xl/workbook.xml", b"xl/workbook.xxx"),
    "entities": entities(),
    "cut gz": FORMS["gz"][:30],
    "cut parquet": FORMS["parquet"][:-20],
    "a longer line": b"file,label\na.png,b\nb.png,c,d,e\n",
    "an empty sheet": as_workbook([]),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_table_is_a_message(tmp_path, kind):
    (tmp_path / "t.csv").write_bytes(BROKEN[kind])
    with pytest.raises(TableError):
        read_table(tmp_path / "t.csv")


def test_no_file_is_a_message(tmp_path):
    with pytest.raises(TableError):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(TableError):
        read_table(tmp_path)


@pytest.mark.parametrize("content", [bomb(1 << 21), gzip.compress(b"file,label\n" + b"a.png,x\n" * (1 << 18))])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, content):
    monkeypatch.setattr(tables, "MAX_UNPACKED", 1 << 20)
    (tmp_path / "t").write_bytes(content)
    assert len(content) < 1 << 17
    with pytest.raises(TableError, match="unpacked"):
        read_table(tmp_path / "t")
