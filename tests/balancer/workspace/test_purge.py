"""`balance purge`: all that holds patients' data goes, and nothing else."""

import os
import shutil
import signal
import time

import pytest

from balancer.dataset.staging import PARTIAL, staging_of
from balancer.store.state_dir import find_state, locked
from balancer.workspace import purge
from tests.support import cli_process
from tests.support.cli_process import balance, finished, tree_hash


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory, scanned_once, checkpoint):
    """A scanned and filled collection, to be copied."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(scanned_once, folder, dirs_exist_ok=True)
    finished(balance(folder, "scan", "xrays", "--deep"))
    how = ("--steps", "2", "--batch-size", "4", "--no-screen")
    finished(balance(folder, "fill", "--target", "NODULE=8", "--model", str(checkpoint), *how))
    return folder


@pytest.fixture
def filled(tmp_path, filled_once):
    """The same with an adapter, a cache, and what a stopped merge left."""
    shutil.copytree(filled_once, tmp_path, dirs_exist_ok=True)
    state = find_state(tmp_path)
    for folder in (state.adapters / "mine", state.adapters / "mine.training" / "latents", state.cache):
        folder.mkdir(parents=True)
        (folder / "data").write_bytes(bytes(1000))
    staging = staging_of(tmp_path / "xrays-balanced")
    staging.mkdir()
    (staging / PARTIAL).touch()
    (staging / "p0.png").write_bytes(bytes(100))
    return tmp_path


def run(folder, *arguments):
    return cli_process.run(folder, "purge", *arguments)


def test_all_goes_and_what_was_merged_stays(filled):
    before = tree_hash(filled / "xrays"), tree_hash(filled / "xrays-balanced")
    code, output = run(filled, "--yes")
    assert code == 0, output
    assert sorted(path.name for path in filled.iterdir()) == ["xrays", "xrays-balanced"]
    assert (tree_hash(filled / "xrays"), tree_hash(filled / "xrays-balanced")) == before
    assert "xrays-balanced" in output


def test_it_is_listed_first_with_sizes_and_losses(filled):
    before = tree_hash(filled / ".balance" / "adapters")
    code, output = run(filled, "--dry-run")
    assert code == 0, output
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.startswith(".")}
    assert rows[".balance/adapters"] == ["2", "2", "kB"]
    assert rows[".balance/cache"] == ["1", "1", "kB"]
    assert rows[".xrays-balanced.partial"] == ["2", "100", "B"]
    assert {".balance/candidates", ".balance/ledger.sqlite", ".balance/reports"} <= rows.keys()
    assert "adapters: " in output
    assert "nothing was removed" in output
    assert tree_hash(filled / ".balance" / "adapters") == before


def test_without_a_word_nothing_goes(filled):
    code, output = run(filled)
    assert code == 2
    assert "next:   balance purge --yes" in output
    assert (filled / ".balance" / "ledger.sqlite").is_file()


def test_links_are_removed_and_not_followed(filled):
    outside = filled / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    (filled / ".balance" / "cache" / "link").symlink_to(outside)
    (filled / ".balance" / "comparisons").symlink_to(outside)
    assert run(filled, "--yes")[0] == 0
    assert not (filled / ".balance").exists()
    assert (outside / "mine.txt").read_text() == "mine"


def test_a_state_folder_that_lies_elsewhere_goes_with_its_link(filled):
    shutil.move(filled / ".balance", filled / "elsewhere")
    (filled / ".balance").symlink_to(filled / "elsewhere")
    assert run(filled, "--yes")[0] == 0
    assert not os.path.lexists(filled / ".balance")
    assert not (filled / "elsewhere").exists()


def test_another_command_at_work_is_not_disturbed(filled):
    with locked(find_state(filled)):
        code, output = run(filled, "--yes")
    assert code == 2
    assert f"process {os.getpid()} is using" in output
    assert (filled / ".balance" / "candidates").is_dir()


def test_what_a_stopped_merge_moved_aside_is_kept_where_it_is_all_there_is(filled):
    old = filled / ".xrays-balanced.old"
    (filled / "xrays-balanced").rename(old)
    before = tree_hash(old)
    assert run(filled, "--yes")[0] == 0
    assert tree_hash(old) == before


@pytest.mark.parametrize("survivors", [0, 1, 2, 3, 4, 5])
def test_stopped_before_any_of_its_steps_a_second_one_finishes(filled, monkeypatch, survivors):
    state, steps = find_state(filled), []

    def stopping(path):
        steps.append(path)
        if len(steps) > survivors:
            raise KeyboardInterrupt
        remove(path)

    remove = purge._remove
    monkeypatch.setattr(purge, "_remove", stopping)
    with pytest.raises(KeyboardInterrupt):
        purge.purge(state, purge.take_stock(state))
    assert run(filled, "--yes")[0] == 0
    left = {path.name for path in filled.iterdir()}
    assert "xrays" in left
    assert ".balance" not in left


def test_killed_a_second_one_finishes(filled):
    for number in range(3000):
        (filled / ".balance" / "cache" / str(number)).write_bytes(b"x")
    process = balance(filled, "purge", "--yes")
    while (filled / ".balance" / "cache" / "0").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (filled / ".balance").exists():
        assert run(filled, "--yes")[0] == 0
    assert not (filled / ".balance").exists()


def test_a_folder_of_another_program_is_left_alone(tmp_path):
    (tmp_path / ".balance").mkdir()
    (tmp_path / ".balance" / "budget.xls").write_text("mine")
    code, output = run(tmp_path, "--yes")
    assert code == 2
    assert "without a ledger.sqlite: budget.xls" in output
    assert [path.name for path in (tmp_path / ".balance").iterdir()] == ["budget.xls"]


def test_there_is_nothing_to_purge_without_a_scan(tmp_path):
    code, output = run(tmp_path, "--yes")
    assert code == 2
    assert "balance scan FOLDER" in output


def test_a_damaged_ledger_goes_too(filled):
    (filled / ".balance" / "ledger.sqlite").write_bytes(b"broken" * 1000)
    assert run(filled, "--yes")[0] == 0
    assert not (filled / ".balance").exists()
