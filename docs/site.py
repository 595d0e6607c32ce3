"""The documentation as a site: `python docs/site.py` builds it in site/, strictly, from pages and from the code.

The pages keep their places in the repository, so that every link works in both. The references of commands and of
Python are made from the code here, and are nowhere else.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import analysis
import balancer
from balancer.cli.app import GROUPS, app
from balancer.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("README.md", "CHANGELOG.md", "LICENSE", "examples/*.png", "examples/*.ipynb", "examples/*.py")
SHOWN = (
    *SHOWN,
    "examples/pipelines/*",
    "examples/extending/*.py",
    "examples/pocket/*.png",
    "docs/**/*.md",
    "*.cff",
    "SECURITY.md",
    "CONTRIBUTING.md",
)
"""What the site holds: pages, and the files that they link to."""


def commands_page() -> str:
    """Every command with its help and options, as the command line itself knows them."""
    group: Any = typer.main.get_command(app)
    lines = ["# Commands", "", "Made from the code: it says what `balance COMMAND --help` says."]
    for title, functions in GROUPS.items():
        lines += ["", f"## {title}"]
        for function in functions:
            lines += _command(group.commands[function.__name__], f"balance {function.__name__}")
    lines += ["", "## Options from a file", *_command(group.commands["config"].commands["show"], "balance config show")]
    return "\n".join(lines) + "\n"


def _command(command: Any, name: str) -> Iterator[str]:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    yield from ("", f"### {name}", "")
    for text in paragraphs:
        example = text.removeprefix("Example: ")
        yield from ("```sh", example, "```", "") if example != text else (text, "")
    yield from ("| option | default | what it does |", "| --- | --- | --- |")
    for each in command.params:
        if not getattr(each, "hidden", False):
            names = ", ".join(f"`{flag}`" for flag in (*each.opts, *each.secondary_opts))
            is_plain = isinstance(each.default, str | int | float) and not isinstance(each.default, bool)
            default = f"`{each.default}`" if is_plain and each.default != "" else ""
            yield f"| {names} | {default} | {_cell(getattr(each, 'help', None) or '')} |"


def api_page() -> str:
    """Every public name of both packages: its signature, its docstring, and the fields of its settings."""
    lines = ["# Python", "", "Made from the code. The examples run as tests."]
    for package in (balancer, analysis):
        lines += ["", f"## {package.__name__}", "", *_docstring(package)]
        for name in package.__all__:
            if not name.startswith("_"):
                lines += ["", f"### {package.__name__}.{name}", "", *_entry(getattr(package, name), name)]
    return "\n".join(lines) + "\n"


def _entry(value: Any, name: str) -> Iterator[str]:
    if inspect.isfunction(value):
        yield from ("```python", f"{name}{inspect.signature(value)}", "```", "")
    if inspect.isfunction(value) or isinstance(value, type):  # not the alias of an array's type
        yield from _docstring(value)
    if isinstance(value, type) and issubclass(value, Settings):
        yield from ("| field | what it is |", "| --- | --- |")
        for field in dataclasses.fields(value):  # type: ignore[arg-type]  # all settings are dataclasses
            yield f"| `{field.name}` | {_cell(field.metadata['help'])} |"


def _docstring(value: Any) -> Iterator[str]:
    for paragraph in inspect.cleandoc(value.__doc__ or "").split("\n\n"):
        if paragraph.startswith(">>>"):
            yield from ("```pycon", paragraph, "```", "")
        elif paragraph.startswith("Raises:"):
            entries = inspect.cleandoc(paragraph.partition("\n")[2]).replace("\n    ", " ").splitlines()
            yield from ("Raises:", "", *(f"- {_cell(each)}" for each in entries), "")
        else:
            yield from (_cell(paragraph, "\n"), "")


def _cell(text: str, line: str = " ") -> str:
    """A text that Markdown takes as it is."""
    return re.sub(r"([<|*_\[])", r"\\\1", text.replace("\n", line)) if "`" not in text else text.replace("|", "\\|")


def lay_out(folder: Path) -> None:
    """All pages and what they link to, at their places in the repository."""
    for pattern in SHOWN:
        for path in filter(Path.is_file, ROOT.glob(pattern)):
            place = folder / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    (folder / "docs" / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "docs" / "api.md").write_text(api_page(), encoding="utf-8")


def build(site: Path) -> None:
    """Build the site strictly: a link that leads nowhere is an error."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder) / "site-pages")
        shutil.copyfile(ROOT / "mkdocs.yml", Path(folder) / "mkdocs.yml")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site.resolve())]
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "site"))
