"""The blocks of docs/share.md do what they say on a real balanced folder; FiftyOne's runs where it is installed."""

import ast
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.support.balanced_fixtures import balanced
from tests.test_documentation import blocks

FIFTYONE = next(text for page, text in blocks("python") if page == "share.md" and "fiftyone" in text)
CSV = next(text for page, text in blocks("python") if page == "share.md" and "to_csv" in text)


@pytest.fixture
def folder(tmp_path):
    balanced(tmp_path).folder.rename(tmp_path / "xrays-balanced")
    return tmp_path


def test_one_csv_lists_every_image(folder):
    with chdir(folder):
        exec(compile(CSV, "share.md", "exec"), {})
        rows = pd.read_csv("manifest.csv")
        assert all(Path(name).is_file() for name in rows["file_name"])
    assert sorted(rows["label"]) == ["NODULE"] * 5 + ["NORMAL"] * 5
    assert rows["is_synthetic"].sum() == 2


def test_fiftyone_is_given_columns_that_there_are(folder):
    tree = ast.parse(FIFTYONE)
    read = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "row"}
    assert {"file_name", "is_synthetic", "patient"} <= read
    tables = list((folder / "xrays-balanced").rglob("metadata.parquet"))
    assert all(read <= set(pd.read_parquet(table).columns) for table in tables)


@pytest.mark.skipif(find_spec("fiftyone") is None, reason="needs fiftyone")
@pytest.mark.slow
def test_fiftyone_takes_it(folder):
    with chdir(folder):
        names = {}
        exec(compile(FIFTYONE, "share.md", "exec"), names)
    assert names["dataset"].count() == 10
