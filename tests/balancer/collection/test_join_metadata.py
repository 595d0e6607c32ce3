"""Rows of a table of patients find their images."""

import pandas as pd
import pytest

from balancer.collection.join_metadata import fill_in, take_over
from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan
from balancer.errors import TableError

NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)


@pytest.fixture
def write(tmp_path):
    def write(text, name="meta.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def images(*paths, patients=None):
    index = pd.Index(paths, dtype=object)
    columns = {"label": "a", "patient": patients, "sex": None, "view": None}
    return pd.DataFrame(columns, index=index, dtype=object).assign(age=float("nan"))


def told(table, path):
    row = table.loc[path]
    return tuple(None if pd.isna(row[name]) else row[name] for name in ("patient", "sex", "age", "view"))


def kinds(findings):
    return {finding.kind: [str(path) for path in finding.paths] for finding in findings}


def test_a_table_as_nih_publishes_it(write):
    path = write(
        NIH
        + "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
        + "00000002_000.png,No Finding,0,2,034M,F,AP,2682,2749,0.143,0.143,\n"
        + "00000003_000.png,No Finding,0,3,414,F,LL,2682,2749,0.143,0.143,\n"
    )
    table = read_table(path)
    assert table.ref.columns == {
        "file": "Image Index",
        "patient": "Patient ID",
        "sex": "Patient Gender",
        "age": "Patient Age",
        "view": "View Position",
    }
    found, findings = fill_in(images("a/00000001_000.png", "b/00000002_000.png", "b/00000003_000.png"), table)
    assert told(found, "a/00000001_000.png") == ("1", "male", 58.0, "PA")
    assert told(found, "b/00000002_000.png") == ("2", "female", 34 / 12, "AP")
    assert told(found, "b/00000003_000.png") == ("3", "female", None, "lateral")
    assert kinds(findings) == {"table-unreadable": []}
    assert "age could not be read in 1 rows of the table, for instance '414'" in findings[0].message


def test_a_table_by_patient(write):
    path = write("PID;Gender;Age\np1;F;30\np2;Male;61\n")
    found, findings = fill_in(images("a/1.png", "a/2.png", "b/3.png", patients=["p1", "p1", "p9"]), read_table(path))
    assert told(found, "a/1.png") == told(found, "a/2.png") == ("p1", "female", 30.0, None)
    assert told(found, "b/3.png") == ("p9", None, None, None)
    assert kinds(findings) == {"table-no-row": ["b/3.png"]}


def test_the_patient_that_a_file_s_row_tells_brings_what_its_other_rows_say(write):
    path = write("file,patient,sex,age\n1.png,p1,,30\n2.png,p1,F,31\n")
    found, findings = fill_in(images("a/1.png", "a/2.png"), read_table(path))
    assert told(found, "a/1.png") == ("p1", "female", 30.0, None)
    assert told(found, "a/2.png") == ("p1", "female", 31.0, None)
    assert findings == []


def test_patients_of_an_expression_are_kept(write):
    path = write("file,patient,sex\n1.png,A-7,M\n")
    found, _ = fill_in(images("a/1.png", "a/2.png", patients=["x", None]), read_table(path))
    assert told(found, "a/1.png") == ("x", "male", None, None)
    assert told(found, "a/2.png")[0] is None


def test_paths_come_before_names_and_names_before_stems(write):
    path = write("path,view\na\\1.png,PA\n/data/old/b/1.png,AP\nx/2.png,PA\n3.dcm,AP\n./c/4.png,LL\n")
    names = ("a/1.png", "b/1.png", "b/2.png", "b/3.png", "c/4.png")
    found, findings = fill_in(images(*names), read_table(path))
    assert [told(found, name)[3] for name in names] == ["PA", "AP", "PA", "AP", "lateral"]
    assert findings == []


def test_entries_without_a_name_find_nothing(write):
    path = write("file,view\n,PA\n/,PA\na/1.png,AP\n")
    found, _ = fill_in(images("a/1.png", "a/2.png"), read_table(path))
    assert [told(found, name)[3] for name in found.index] == ["AP", None]


def test_names_that_are_not_unique_are_not_guessed(write):
    path = write("file,view\n1.png,PA\n2.png,AP\n")
    found, findings = fill_in(images("a/1.png", "b/1.png", "b/2.png"), read_table(path))
    assert [told(found, name)[3] for name in found.index] == [None, None, "AP"]
    assert kinds(findings)["table-ambiguous"] == ["a/1.png", "b/1.png"]
    several = write("file,view\nx/1.png,PA\ny/1.png,AP\nz/2.png,AP\n")
    found, findings = fill_in(images("a/1.png", "b/2.png"), read_table(several))
    assert told(found, "a/1.png")[3] is None
    assert kinds(findings)["table-ambiguous"] == ["a/1.png"]


def test_rows_that_contradict_each_other_make_a_value_unknown(write):
    path = write("file,patient,sex,view\n1.png,p1,F,PA\n1.png,p1,F,AP\n2.png,p2,F,PA\n3.png,p2,M,PA\n4.png,p3,F,PA\n")
    found, findings = fill_in(images("a/1.png", "a/2.png", "a/3.png", "a/4.png"), read_table(path))
    assert told(found, "a/1.png") == ("p1", "female", None, None)
    assert told(found, "a/2.png") == ("p2", None, None, "PA")
    assert told(found, "a/4.png") == ("p3", "female", None, "PA")
    assert kinds(findings) == {"table-contradiction": ["a/1.png", "a/2.png", "a/3.png"]}


def test_formulas_are_text_and_do_not_become_views(write):
    path = write('file,patient,view\n1.png,"=cmd|\' /C calc\'!A0","=HYPERLINK(""http://x"")"\n2.png,@p,oblique\n')
    found, findings = fill_in(images("a/1.png", "a/2.png"), read_table(path))
    assert told(found, "a/1.png") == ("=cmd|' /C calc'!A0", None, None, None)
    assert told(found, "a/2.png") == ("@p", None, None, "oblique")
    assert kinds(findings) == {"table-unreadable": []}


def test_a_table_of_other_images_is_refused(write):
    with pytest.raises(TableError) as caught:
        fill_in(images("a/1.png"), read_table(write("file,sex\n9.png,F\n")))
    assert caught.value.found == "none: file is '9.png', and the collection has a/1.png"


def test_a_scan_fills_its_columns_and_keeps_them_when_the_table_is_gone(xrays, write):
    table = read_table(write("patient,sex,age,view\np0000,F,30,PA\np2000,M,3,AP\n"))
    found = scan(xrays, r"(p\d+)", table=table)
    assert told(found.images, "NODULE/p2000-1.png") == ("p2000", "male", 3.0, "AP")
    assert (found.table, found.patient_source) == (table.ref, r"(p\d+)")
    again = scan(xrays, r"(p\d+)", table=table.ref, known=found)
    pd.testing.assert_frame_equal(again.images, found.images)
    pd.testing.assert_frame_equal(
        take_over(scan(xrays).images, found.images, table.ref)[["sex"]], found.images[["sex"]]
    )
