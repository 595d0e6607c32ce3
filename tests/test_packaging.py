"""What an installed balance needs, without a checkout: every file that is no module is named in pyproject.toml."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
PACKAGES = [pattern.removesuffix("*") for pattern in TOOL["packages"]["find"]["include"]]


def data_of(package):
    files = (path for path in (ROOT / package).rglob("*") if path.is_file() and is_shipped(path))
    return {path for path in files if path.suffix != ".py" and not path.name.startswith(".")}


def is_shipped(path):
    return not {"__pycache__", "pipelines"} & set(path.relative_to(ROOT).parts)  # pipelines: scripts to copy


@pytest.mark.parametrize("package", PACKAGES)
def test_every_data_file_is_packaged(package):
    packaged = {path for pattern in TOOL["package-data"][package] for path in (ROOT / package).glob(pattern)}
    assert data_of(package) == packaged


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_of_modules_is_a_package(package):
    folders = {path.parent for path in (ROOT / package).rglob("*.py") if is_shipped(path)}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_every_pattern_finds_something():
    patterns = [(package, pattern) for package, some in TOOL["package-data"].items() for pattern in some]
    assert [each for each in patterns if not list((ROOT / each[0]).glob(each[1]))] == []
