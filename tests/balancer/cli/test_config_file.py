import json
from pathlib import Path

import pytest

from balancer.cli import app as _commands_are_read  # noqa: F401
from balancer.cli.config_file import NAME, find_config, in_force, read_config
from balancer.cli.options import SETTINGS
from balancer.errors import SettingsError
from tests.support.cli_process import apart


def written(folder, text):
    (folder / NAME).write_text(text, encoding="utf-8")
    return folder / NAME


def read(folder, text):
    return read_config(written(folder, text), SETTINGS)


def test_options_are_read_by_command_whatever_joins_their_words(tmp_path):
    found = read(tmp_path, '[fill]\ntarget = ["500"]\nmax-ratio = 10\n[compare]\ncross_fit = 3\n')
    assert found.given == {"fill": {"target": ("500",), "max_ratio": 10.0}, "compare": {"cross_fit": 3}}


def test_one_value_of_an_option_that_may_be_repeated_is_one_entry(tmp_path):
    assert read(tmp_path, '[fill]\ntarget = "NODULE=50"\n').given == {"fill": {"target": ("NODULE=50",)}}


def test_a_number_is_taken_where_the_command_line_takes_it(tmp_path):
    found = read(tmp_path, "[fill]\ntarget = 500\n[compare]\nsteps = 300\n").given
    assert found == {"fill": {"target": ("500",)}, "compare": {"steps": "300"}}


def test_the_nearest_file_above_holds(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    place = written(tmp_path, "")
    assert find_config(below) == place
    assert find_config(below.parent) == place
    nearer = written(below, "")
    assert find_config(below) == nearer


def test_places_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "nets" / "sd15").mkdir(parents=True)
    below = tmp_path / "work"
    below.mkdir()
    monkeypatch.chdir(below)
    found = read(tmp_path, '[fill]\nmodel = "nets/sd15"\nout = "balanced"\n[doctor]\nmodel = "OWNER/NAME"\n')
    assert found.given["fill"] == {"model": "../nets/sd15", "out": Path("../balanced")}
    assert found.given["doctor"] == {"model": "OWNER/NAME"}


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        ("[fil]\n", "fil", "use fill"),
        ("[fill]\ntargets = 5\n", "targets", "use target"),
        ('[fill]\nmax-ratio = "many"\n', "'many'", "see balance fill --help"),
        ("[fill]\nsteps = 0\n", "0", "see balance fill --help"),
        ("fill = 3\n", "3", "write [fill], and its options below it"),
        ("[fill\n", "Expected ']' at the end of a table declaration (at line 1, column 6)", "correct the line"),
        ("[fill]\nxyzzy = 1\n", "xyzzy", "one of: target,"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(tmp_path, text, found, advice):
    with pytest.raises(SettingsError) as error:
        read(tmp_path, text)
    assert error.value.found == found
    assert error.value.next_step.startswith(advice)
    assert NAME in error.value.needed


def test_what_holds_comes_from_the_file_or_is_the_default(tmp_path):
    kinds = SETTINGS
    held = in_force(kinds["fill"], read(tmp_path, "[fill]\nsteps = 7\n").given["fill"])
    assert held["steps"] == (7, NAME)
    assert held["seed"] == (0, "default")
    assert in_force(kinds["scan"], {})["data"] == (None, "must be typed")


def test_every_option_of_every_command_may_stand_in_the_file(tmp_path):
    for name, kind in SETTINGS.items():
        fields = {key: value for key, (value, _) in in_force(kind, {}).items() if value not in (None, [])}
        lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        assert len(read(tmp_path, "\n".join([f"[{name}]", *lines])).given[name]) == len(fields)


def test_the_command_line_takes_what_the_file_says_and_what_is_typed_wins(tmp_path):
    (tmp_path / "xrays" / "NODULE").mkdir(parents=True)
    written(tmp_path, '[scan]\ndata = "nowhere"\n[power]\ndifference = 0.5\n')
    done = apart(tmp_path, "scan")
    assert "Options from balance.toml: data" in done.stderr
    assert "nowhere" in done.stderr
    typed = apart(tmp_path, "scan", "elsewhere")
    assert "elsewhere" in typed.stderr
    assert "nowhere" not in typed.stderr.partition("\n")[2]
    shown = apart(tmp_path, "config", "show", "power", "--json", "--quiet")
    assert json.loads(shown.stdout)["options"]["power"]["difference"] == [0.5, "balance.toml"]
    assert shown.stderr == ""


def test_an_unknown_key_stops_every_command(tmp_path):
    written(tmp_path, "[fill]\ntargets = 5\n")
    done = apart(tmp_path, "presets")
    assert done.returncode == 2
    assert "targets" in done.stderr
    assert "Traceback" not in done.stderr
