"""Template packs and tables of strangers: a message with the place, never a traceback, never a hang."""

import os
import random

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan
from balancer.errors import BalanceError, PromptError, TableError
from balancer.prompting.packs import load_pack
from balancer.splits.split_table import read_parts
from tests.support.tiny_models import write_xrays

LAUGHS = "a: &a [x,x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '*a'] * 9)}]\n" for n in range(30))
PACK = "modality: radiograph\ntemplates: ['{modality} of {finding}']\nclasses:\n  normal:\n    findings: [normal]\n"
HOSTILE_PACKS = {
    "alias bomb": LAUGHS,
    "alias to itself": "modality: &a [*a]\n",
    "merge": PACK + "<<: {modality: other}\n",
    "python object": PACK.replace("radiograph", "!!python/object/apply:os.system ['touch canary']"),
    "python name": "!!python/name:os.system\n",
    "own tag": PACK.replace("radiograph", "!evil x"),
    "binary": PACK.replace("radiograph", "!!binary aGVsbG8="),
    "timestamp key": "2001-01-01: x\n",
    "deep list": "[" * 100_000,
    "deep mapping": "{a: " * 50_000,
    "deep block": "".join(" " * n + "a:\n" for n in range(900)),
    "deep dashes": "- " * 200_000,
    "keys twice": PACK + "modality: other\n",
    "class twice": PACK + "  normal:\n    findings: [other]\n",
    "documents": PACK + "---\n" + PACK,
    "directive": "%YAML 9.9\n---\n" + PACK,
    "tabs": PACK.replace("  normal", "\tnormal"),
    "no UTF-8": PACK.encode().replace(b"radiograph", b"\xff\xfe"),
    "UTF-16": PACK.encode("utf-16"),
    "NUL": PACK.replace("radiograph", "a\0b"),
    "escape": PACK.replace("radiograph", "\x1b[31m"),
    "empty": "",
    "comment": "# nothing\n",
    "list": "[a, b]\n",
    "number": "17\n",
    "templates are a number": PACK.replace("['{modality} of {finding}']", "7"),
    "classes are a list": PACK[: PACK.index("classes")] + "classes: [normal]\n",
    "findings are a mapping": PACK.replace("[normal]", "{a: b}"),
    "key is a list": PACK + "? [a, b]\n: c\n",
    "key is a mapping": PACK + "? {a: b}\n: c\n",
    "template that evaluates": PACK.replace("{modality} of", "{modality.__class__} of"),
    "template that formats": PACK.replace("{modality} of", "{modality!r:>999999999} of"),
    "unclosed": PACK + "negative: ['a\n",
    "many keys": "".join(f"k{n}: v\n" for n in range(4_000)),
    "megabyte of keys": "".join(f"k{n}: v\n" for n in range(80_000)),
    "larger": "a" * 2_000_000,
}
SLOW = ("megabyte of keys",)
WITHOUT_A_LINE = ("larger",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in HOSTILE_PACKS]
)
def test_a_hostile_pack_is_a_message_with_the_line(tmp_path, name):
    content = HOSTILE_PACKS[name]
    (tmp_path / "p.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PromptError) as caught:
        load_pack(tmp_path / "p.yaml")
    assert "p.yaml" in caught.value.found
    assert ("p.yaml, line " in caught.value.found) == (name not in WITHOUT_A_LINE)
    assert len(caught.value.found) < 10_000
    assert caught.value.next_step
    assert not (tmp_path / "canary").exists()


def test_a_file_of_many_gigabytes_is_no_pack(tmp_path):
    (tmp_path / "p.yaml").write_text(PACK)
    os.truncate(tmp_path / "p.yaml", 1 << 36)  # it would not fit into memory
    with pytest.raises(PromptError, match=r"p\.yaml"):
        load_pack(tmp_path / "p.yaml")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = ("modality", "templates", "slots", "known", "negative", "classes")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(_KEYS), _values, max_size=6))
def test_any_values_are_a_pack_or_a_message(tmp_path, fields):
    import yaml

    (tmp_path / "p.yaml").write_text(yaml.safe_dump(fields, allow_unicode=True), "utf-8")
    with pytest.raises(PromptError, match=r"p\.yaml, line \d"):  # hardly ever is chance a pack
        load_pack(tmp_path / "p.yaml")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80), place=st.integers(0, len(PACK)), cut=st.integers(0, 20))
def test_any_damage_leaves_a_pack_or_a_message(tmp_path, content, place, cut):
    (tmp_path / "p.yaml").write_bytes(PACK.encode()[:place] + content + PACK.encode()[place + cut :])
    told(load_pack, tmp_path / "p.yaml")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200),
    head=st.sampled_from([b"", b"file,sex\n", b"patient;age\r\n", b"\xff\xfef\0", b"\xef\xbb\xbffile\tview\n"]),
)
def test_any_bytes_are_a_table_or_a_message(tmp_path, content, head):
    (tmp_path / "t.csv").write_bytes(head + content)
    told(read_table, tmp_path / "t.csv")


def told(read, *arguments):
    """What was read, or None for a message of three parts; anything else is raised."""
    try:
        return read(*arguments)
    except BalanceError as error:
        if not (error.needed and error.found and error.next_step):
            raise AssertionError(str(error)) from error
        return None


TABLE = "file,patient,sex,age,view\nNODULE/a.png,p1,F,40,PA\n"
HOSTILE_TABLES = {
    "nothing": b"",
    "line ends": b"\n" * 1000,
    "NUL bytes": TABLE.encode().replace(b"p1", b"p\0001"),
    "NUL bytes in UTF-16": TABLE.replace("p1", "p\0001").encode("utf-16"),
    "half a letter of UTF-16": TABLE.encode("utf-16")[:-1],
    "UTF-32": TABLE.encode("utf-32"),
    "workbook": b"PK\3\4" + bytes(100),
    "open quote": (TABLE + '"x,p,F,4,PA\n' * 3).encode(),
    "too many cells": (TABLE + "a,b,c,d,e,f,g,h\n").encode(),
    "no columns": b"a,b\n1,2\n",
    "one column": b"file\na\n",
    "giant cell": (TABLE + "x" * 20_000_000 + ",p,F,4,PA\n").encode(),
    "giant header": b"file," + b"x" * 20_000_000 + b",sex\n",
    "many columns": (",".join(f"c{n}" for n in range(100_000)) + ",file,sex\n").encode(),
    "quotes in quotes": (TABLE + '"""a"",b",p,F,4,PA\n').encode(),
    "markup": b"<html><table>",
    "separators": b",;\t|" * 10_000,
}
FINE_TABLES = {
    "UTF-16": TABLE.encode("utf-16"),
    "big-endian UTF-16": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "mark": TABLE.encode("utf-8-sig"),
    "Latin-1": TABLE.replace("p1", "p\xe9").encode("latin-1"),
    "formulas": TABLE.replace("p1", '=HYPERLINK("x")').replace('"', "'").encode(),
    "semicolons": TABLE.replace(",", ";").encode(),
    "Mac": TABLE.replace("\n", "\r").encode(),
    "columns twice": TABLE.replace("view", "sex").encode(),
}


@pytest.mark.parametrize("name", HOSTILE_TABLES)
def test_a_hostile_table_is_read_or_a_message(tmp_path, name):
    (tmp_path / "t.csv").write_bytes(HOSTILE_TABLES[name])
    told(read_table, tmp_path / "t.csv")
    collection = scan(write_xrays(tmp_path / "xrays", {"NORMAL": 2, "NODULE": 2}))
    assert told(read_parts, tmp_path / "t.csv", collection) is None


@pytest.mark.parametrize("name", FINE_TABLES)
def test_other_encodings_and_formulas_are_text(tmp_path, name):
    (tmp_path / "t.csv").write_bytes(FINE_TABLES[name])
    rows = read_table(tmp_path / "t.csv").rows
    assert rows["file"].tolist() == ["NODULE/a.png"]
    if name == "formulas":
        assert rows["patient"].tolist() == ["=HYPERLINK('x')"]


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_rows_are_read(tmp_path, count):
    chance = random.Random(0)
    ages = [str(chance.randrange(100)) for _ in range(1000)]
    lines = (f"NODULE/{n:07}.png,p{n // 3},{'FM'[n % 2]},{ages[n % 1000]},PA\n" for n in range(count))
    (tmp_path / "t.csv").write_text("file,patient,sex,age,view\n" + "".join(lines))
    rows = read_table(tmp_path / "t.csv").rows
    assert len(rows) == count
    assert isinstance(rows, pd.DataFrame)


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/stdin", "pipe", "folder", "loop", "nowhere"])
def test_what_is_no_file_is_a_message(tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    collection = scan(write_xrays(tmp_path / "xrays", {"NORMAL": 2, "NODULE": 2}))
    for read, kind in ((read_table, TableError), (load_pack, PromptError)):
        with pytest.raises(kind):
            read(tmp_path / place)
    with pytest.raises(BalanceError):
        read_parts(tmp_path / place, collection)
