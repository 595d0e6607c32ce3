"""What leaves a trace, and what leaves the machine: every command once; at length, without a network."""

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys

import pandas as pd
import pytest

from balancer.cli.app import app
from balancer.collection.scan import scan
from balancer.dataset.merge import merge
from balancer.errors import StateError
from balancer.files import private_umask
from balancer.splits.split import no_split
from tests.support import all_commands
from tests.support.balanced_fixtures import FACTS
from tests.support.cli_process import apart, environment
from tests.support.strace_log import changes, connects, watching
from tests.support.tiny_models import write_xrays
from tests.torture.scenarios import sources

TOLD = re.compile(rf"{all_commands.PLACE}|{all_commands.USER}|{all_commands.HOST}|/(home|root|tmp|Users)/".encode())
ELSEWHERE = {
    "fetch": "the only one with a network: tests/balancer/test_fetch.py",
    "demo": "minutes, on a collection that it draws; it calls what the others call: tests/examples/test_demo.py",
}


@pytest.fixture(scope="module", params=["noted", pytest.param("traced", marks=pytest.mark.slow)])
def run(request):
    if request.param == "traced" and not all_commands.can_be_apart():
        pytest.skip("needs unshare, strace, ip and the permission to use them")
    return getattr(all_commands, request.param)


@pytest.fixture(scope="module")
def work(tmp_path_factory, run):
    return all_commands.prepare(tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def before(work):
    return sources(work / "data")


@pytest.fixture(scope="module")
def done(work, before, run):
    return list(all_commands.run_all(work, all_commands.ERRANDS, run))


def test_every_command_is_run(done):
    commands = {command.callback.__name__ for command in app.registered_commands}
    assert commands - {each.arguments[0] for each in done} - {each[0] for each in all_commands.LAST} == set(ELSEWHERE)


def test_every_command_works_without_a_network_to_its_end(done):
    assert {each.arguments: each.output + each.messages for each in done if each.code} == {}


def test_no_command_could_have_written_to_the_collection(work, before, done):
    assert {each.arguments: each.changes for each in done if each.changes} == {}
    assert sources(work / "data") == before


def test_not_one_connection_is_tried(done):
    assert {each.arguments: each.connects for each in done if each.connects} == {}


NOTING = "from pathlib import Path; from tests.support.strace_log import note_calls; note_calls(Path('{log}')); "


def test_a_connection_would_have_been_seen(tmp_path):
    """The instruments themselves: a program that does try is noted."""
    log = tmp_path / "seen"
    program = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    subprocess.run([sys.executable, "-c", NOTING.format(log=log) + program], env=environment(), check=True)
    assert len(connects(log.read_text())) == 1
    if all_commands.can_be_apart():
        log.unlink()
        subprocess.run([*all_commands._apart(), *watching(log), sys.executable, "-c", program], check=True)
        assert len(connects(log.read_text())) == 1


@pytest.mark.parametrize("by", ["note", "strace"])
def test_a_change_of_the_collection_would_have_been_seen(tmp_path, by):
    if by == "strace" and not shutil.which("strace"):
        pytest.skip("takes strace")
    log, place = tmp_path / "seen", tmp_path / "xrays"
    write_xrays(place, {"A": 2})
    program = "import os, sys; [open(each, 'rb').close() for each in sys.argv[1:]]; "
    names = sorted(map(str, place.rglob("*.png")))
    for change in ("open(sys.argv[1], 'r+b')", "os.utime(sys.argv[1])", "os.remove(sys.argv[1])"):
        log.unlink(missing_ok=True)
        before, first = ([], NOTING.format(log=log)) if by == "note" else (watching(log), "")
        command = [*before, sys.executable, "-c", first + program + change, *names]
        subprocess.run(command, env=environment(), check=True)
        assert len(changes(log.read_text(), "xrays")) == 1, change


def test_the_watch_tells_calls_apart():
    lines = (
        '1 openat(AT_FDCWD</w>, "/w/xrays/a.png", O_RDONLY|O_CLOEXEC) = 3</w/xrays/a.png>',
        '1 openat(AT_FDCWD</w>, "/w/xrays/a.png", O_RDWR) = 3</w/xrays/a.png>',
        '1 openat(AT_FDCWD</w>, "/w/xrays-balanced/a.png", O_RDWR) = 3',
        '1 unlink("/w/xrays/a.png") = 0',
    )
    assert changes("\n".join(lines), "xrays") == (lines[1], lines[3])


def test_no_output_names_a_path_a_user_or_a_host(done):
    told = {each.arguments: _around(each.output + each.messages) for each in done}
    assert {arguments: found for arguments, found in told.items() if found} == {}


def test_no_file_names_a_path_a_user_or_a_host(work, done):
    files = [
        path
        for top in (".balance", "data/xrays-balanced", "hub", "hub-model", "mine.yaml")
        for path in _files(work / top)
    ]
    assert len(files) > 100
    told = {path.relative_to(work).as_posix(): TOLD.findall(_plain(path)) for path in files}
    told.pop(".balance/ledger.sqlite")  # it keeps where the collection is, so that the project can be moved
    assert {path for path, found in told.items() if found} == set()


def test_all_that_is_written_is_for_its_owner_alone(work, done):
    for top in (work / ".balance", work / "data" / "xrays-balanced"):
        places = [top, *top.rglob("*")]
        assert len(places) > 20
        assert [path for path in places if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


def test_at_the_end_only_what_was_merged_and_what_was_there_is_left(work, before, done, run):
    last = list(all_commands.run_all(work, all_commands.LAST, run))
    assert [each.code for each in last] == [0, 0], last
    assert [each.connects + each.changes for each in last] == [(), ()]
    assert sources(work / "data") == before
    left = sorted(path.name for path in (*work.iterdir(), *(work / "data").iterdir()))
    assert left == [
        "base",
        "data",
        "hub",
        "hub-model",
        "lora",
        "meta.csv",
        "mine.yaml",
        "shards",
        "theirs",
        "xrays",
        "xrays-balanced",
    ]


def _files(top):
    return [path for path in (top, *top.rglob("*")) if path.is_file()]


def _plain(path):
    """The bytes of a file, or what is in it where it is packed."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_csv().encode()
    return path.read_bytes()


def _around(text):
    return [text[max(0, found.start() - 60) : found.end() + 60] for found in re.finditer(TOLD.pattern.decode(), text)]


def test_a_collection_elsewhere_is_named_in_the_ledger_alone_and_relative_in_messages(tmp_path):
    """Only the ledger must know where it is, to find it again."""
    write_xrays(tmp_path / "zebra" / "xrays", {"A": 6, "B": 6})
    (tmp_path / "work").mkdir()
    told = apart(tmp_path / "work", "scan", "../zebra/xrays")
    assert str(tmp_path) not in told.stdout + told.stderr
    ledger = sqlite3.connect(tmp_path / "work" / ".balance" / "ledger.sqlite")
    tables = [name for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    named = {table for table in tables if str(tmp_path) in str(ledger.execute(f"SELECT * FROM {table}").fetchall())}
    assert named == {"collections"}


@pytest.mark.parametrize(("asked", "folder", "file"), [(None, 0o700, 0o600), ("027", 0o750, 0o640)])
def test_who_may_read_what_is_merged(tmp_path, asked, folder, file):
    collection = scan(write_xrays(tmp_path / "xrays", {"A": 2, "B": 2}))
    before = os.umask(private_umask({} if asked is None else {"BALANCE_UMASK": asked}))
    try:
        merge(collection, no_split(collection), [], tmp_path / "out", facts=FACTS)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out", *(tmp_path / "out").rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {folder}
    assert {mode for path, mode in modes.items() if path.is_file()} == {file}


@pytest.mark.parametrize("asked", ["rw", "777", "0o27", "", "27"])
def test_a_umask_that_is_none_or_locks_the_owner_out_is_refused(asked):
    with pytest.raises(StateError, match="BALANCE_UMASK=027"):
        private_umask({"BALANCE_UMASK": asked})


def test_the_state_folder_is_closed_whatever_may_be_read_elsewhere(tmp_path):
    write_xrays(tmp_path / "xrays", {"A": 6, "B": 6})
    apart(tmp_path, "scan", "xrays", BALANCE_UMASK="022")
    assert stat.S_IMODE((tmp_path / ".balance").stat().st_mode) == 0o700
