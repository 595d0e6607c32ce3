"""README and docs: every command that they show can be typed, every Python block is Python, every link leads on."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from balancer.cli.config_file import read_config
from balancer.cli.options import SETTINGS
from tests.support.advised_commands import faults

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
INLINE = re.compile(r"`(balance [a-z][^`\n]*)`")


def blocks(language):
    return [
        (page.name, text) for page in PAGES for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language
    ]


def commands(text):
    """The lines of a shell block that call balance: without comments, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["balance"]:
            yield shlex.join(words)


def test_every_command_of_a_shell_block_can_be_typed():
    found = {f"{page}: {each}": list(faults(each)) for page, text in blocks("sh") for each in commands(text)}
    assert len(found) > 40
    assert {each: wrong for each, wrong in found.items() if wrong} == {}


def test_every_command_within_a_sentence_is_there():
    inline = [each for page in PAGES for each in INLINE.findall(BLOCK.sub("", page.read_text("utf-8")))]
    assert len(inline) > 20
    assert [wrong for each in inline for wrong in faults(each) if "no such" in wrong] == []  # a value may be left out


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_every_python_block_is_python(page, text):
    compile(text, page, "exec")


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_file_of_options_is_read(page, text, tmp_path):
    assert tomllib.loads(text)
    (tmp_path / "balance.toml").write_text(text, encoding="utf-8")
    assert read_config(tmp_path / "balance.toml", SETTINGS).given


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    assert [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()] == []
