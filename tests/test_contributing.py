"""What CONTRIBUTING names is there: every module, name, file, and make target; and the version is one everywhere."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import balancer
from balancer.plugins import GROUPS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
NAMES = sorted(set(re.findall(r"`((?:balancer|analysis|examples)\.[\w.]+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:balancer|analysis|examples|tests|docs|prompt_templates)/[\w./]*)`", TEXT)))


def resolve(name):
    module, _, rest = name.rpartition(".")
    return getattr(import_module(module), rest)


def test_they_are_found():
    assert len(NAMES) > 12
    assert len(FILES) > 12


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GROUPS])
def test_every_name_is_there(name):
    assert resolve(name) is not None


@pytest.mark.parametrize("place", FILES)
def test_every_file_is_there(place):
    assert (ROOT / place).exists()


def test_every_make_target_is_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        word
        for line in re.findall(r"(?:^|`)make ([\w -]+)", TEXT, re.MULTILINE)
        for word in line.split("  ")[0].split()
    }
    assert named >= {"setup", "test-all", "torture"}
    assert named - targets == set()


def test_the_version_is_one():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert told == balancer.__version__ == cited["version"]
    assert cited["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_every_form_of_an_issue_can_be_filled_in(form):
    found = yaml.safe_load(form.read_text("utf-8"))
    assert {"name", "description", "body"} <= found.keys()
    fields = [each for each in found["body"] if each["type"] != "markdown"]
    assert len({each["id"] for each in fields}) == len(fields) > 0
    assert all(each["attributes"]["label"] for each in fields)
