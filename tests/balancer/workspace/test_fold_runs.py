"""Folds and redraws repeat the last fill with its settings, each in a workspace of its own."""

from dataclasses import replace
from threading import Barrier

import pytest

from balancer.errors import ComparisonError, PlanError, SplitError
from balancer.filling.verdicts import NoScreen
from balancer.progress import SILENT
from balancer.workspace.fill_run import fill
from balancer.workspace.fold_runs import fold_refits, forget_balanced, redraw_refits, refitted
from balancer.workspace.run_record import remember_run
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import AdaptSettings, FillSettings, ScanSettings, SplitSettings
from balancer.workspace.split_run import split
from balancer.workspace.workspace import Session, Workspace
from tests.support.cli_process import tree_hash
from tests.support.study_fixtures import drawn_by, filled, place_of, write_adapter, write_flat
from tests.support.tiny_models import write_xrays

AGAIN = "balance compare --cross-fit 2"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    write_xrays(folder / "xrays", {"NORMAL": 40, "NODULE": 20}, (24, 24))
    found = Workspace.open(folder)
    scan(found, ScanSettings(folder / "xrays", patient=r"(p\d+)-"))
    split(found, SplitSettings(folds=2))
    fill(found, FillSettings(target="20", model="noise:4", seed=3), screen=NoScreen("a test"))
    return found


def refits(work, count=2):
    with work.session(write=False) as session:
        return fold_refits(session, count)


def test_each_fold_fills_as_the_last_fill_did_and_holds_its_test_patients_back(work):
    first, second = refits(work)
    assert (first.name, list(first.runs)) == ("fold 1 of 2", ["fill"])
    settings = first.runs["fill"]
    assert (settings.target, settings.model, settings.seed) == (("20",), "noise:4", 3)
    assert (settings.no_screen, settings.no_holdout, settings.out) == (True, False, first.balanced)
    assert not set(first.split.paths("test")) & set(second.split.paths("test"))
    assert first.seconds > 0
    with work.session(write=False) as session, pytest.raises(SplitError, match="a stored split of 3 folds"):
        fold_refits(session, 3)


def test_a_fold_adapts_again_and_fills_with_what_that_makes(tmp_path):
    place = place_of(tmp_path, write_flat)
    session = Session(place.state, place.ledger, place.collection, place.split)
    filled(place, change=drawn_by(None, write_adapter(place, [], "mine")))
    asked = AdaptSettings(base="sd", steps=5, name="mine")
    remember_run(session, "adapt", asked, 7.0, made="mine")
    place.asked(FillSettings(target="60", adapter="mine", no_holdout=True))
    found = fold_refits(session, place.split.fold_count)[0]
    place.ledger.__exit__(None, None, None)
    assert list(found.runs) == ["adapt", "fill"]
    assert found.runs["adapt"] == replace(asked, accept_licence=True)  # as it was when the whole was adapted
    assert found.runs["fill"] == FillSettings(target="60", out=found.balanced)
    assert found.seconds == 9.0


def test_redraws_differ_in_the_seed_alone(work):
    with work.session(write=False) as session:
        assert redraw_refits(session, 1) == []
        found = redraw_refits(session, 3)
    assert [each.runs["fill"].seed for each in found] == [1003, 2003]
    assert {each.runs["fill"].target for each in found} == {("20",)}


def test_what_a_fold_made_is_not_made_again_and_the_balanced_folder_is_left_as_it_is(work):
    before = tree_hash(work.home / "xrays-balanced")
    made = [(refit.name, tree_hash(refit.balanced)) for refit, _ in refitted(refits(work), AGAIN, SILENT, here)]
    assert [name for name, _ in made] == ["fold 1 of 2", "fold 2 of 2"]
    assert made[0][1] != made[1][1]
    assert tree_hash(work.home / "xrays-balanced") == before
    calls = []
    again = [tree_hash(each.balanced) for each, _ in refitted(refits(work), AGAIN, SILENT, noting(calls))]
    assert (again, calls) == ([each for _, each in made], [])
    forget_balanced(refits(work)[0])
    with pytest.raises(ComparisonError, match="nothing to generate: no class is below its target in this split"):
        next(refitted(refits(work), AGAIN, SILENT, noting(calls)))
    assert calls == ["fill"]


def test_on_several_gpus_folds_are_made_at_once_each_on_its_own(work):
    wanted = [(each.name, tree_hash(each.balanced)) for each, _ in refitted(refits(work), AGAIN, SILENT, here)]
    for refit in refits(work):
        (refit.folder / "fill.done").unlink()
    both, used = Barrier(2), []

    def on_a_gpu(workspace, command, settings, progress, gpu):
        used.append(gpu)
        both.wait(600)  # neither ends before the other has begun
        here(workspace, command, settings, progress)

    found = refitted(refits(work), AGAIN, SILENT, on_a_gpu, lambda: ["0", "3"])
    assert [(each.name, tree_hash(each.balanced)) for each, _ in found] == wanted
    assert sorted(used) == ["0", "3"]


def here(workspace, command, settings, progress):
    """Without a process of its own, which tests/analysis/comparison/test_service.py has."""
    assert command == "fill"
    fill(workspace, settings, screen=NoScreen(), progress=progress)


def noting(calls):
    return lambda workspace, command, settings, progress: calls.append(command)


def test_a_fold_that_fails_goes_on_by_what_was_typed(work):
    def fails(workspace, command, settings, progress):
        raise PlanError(needed="a target", found="none", next_step="give one")

    first = refits(work)[0]
    (first.folder / "fill.done").unlink(missing_ok=True)
    with pytest.raises(ComparisonError) as caught:
        next(refitted([first], AGAIN, SILENT, fails))
    assert caught.value.needed == "a completed balance fill in fold 1 of 2"
    assert caught.value.found == "none (needed: a target)"
    assert f"correct this (give one), then run again: {AGAIN}" in caught.value.next_step
