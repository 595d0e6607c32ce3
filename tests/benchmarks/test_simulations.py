"""The frame of the simulations; the simulations themselves are run by hand."""

import pytest

from tests.benchmarks import simulations
from tests.benchmarks.rows import Row


def right(full: bool) -> Row:
    return Row("right", "1", "2" if full else "1", "equal", not full)


def failing(full: bool) -> Row:
    raise ValueError("no such figure")


def test_a_module_adds_its_simulations_by_its_name(tmp_path):
    (tmp_path / "simulations_power.py").touch()
    (tmp_path / "rows.py").touch()

    assert simulations.module_names(tmp_path) == ["tests.benchmarks.simulations_power"]


def test_every_module_offers_simulations():
    names = simulations.module_names()

    assert all(callable(each) for each in simulations.simulations(names))


def test_words_choose_by_module_and_name():
    both = [right, failing]

    assert simulations.chosen(both, []) == both
    assert simulations.chosen(both, ["fail"]) == [failing]
    assert simulations.chosen(both, ["test_simulations"]) == both


def test_a_simulation_that_fails_is_a_miss():
    row, seconds = simulations.attempt(failing, False)

    assert not row.passed
    assert "no such figure" in row.tool
    assert seconds >= 0


@pytest.mark.parametrize(("full", "code"), [([], 0), (["--full"], 1)])
def test_a_miss_is_told_by_the_exit_code(monkeypatch, capsys, full, code):
    monkeypatch.setattr(simulations, "simulations", lambda modules: [right])

    assert simulations.main(["--workers", "1", *full]) == code
    assert f"{1 - code} of 1 pass" in capsys.readouterr().out
