"""The site builds strictly, and none of its pages asks for anything from outside."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_process import PATIENCE, environment

ROOT = Path(__file__).parents[1]
ASKS = re.compile(
    r"<(?:link|script|img|iframe|source)\b[^>]*(?:href|src)=[\"']?((?:https?:)?//[^\"'\s>]+)|url\((https?:[^)]+)\)"
)


@pytest.mark.parametrize("text", ['<script async src="https://cdn.example/x.js">', "a{b:url(https://x.example/f)}"])
def test_what_is_asked_for_from_outside_is_found(text):
    assert ASKS.search(text)
    assert not ASKS.search('<a href="https://example.org">a link</a> <img src="examples/demo.png">')


@pytest.mark.slow
def test_the_site_builds_strictly_and_stands_alone(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, ROOT / "docs" / "site.py", tmp_path / "site"]
    built = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert built.returncode == 0, built.stderr
    pages = [path for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".css")]
    asked = {path.name: found for path in pages if (found := ASKS.findall(path.read_text("utf-8")))}
    assert asked == {}
    commands, api = ((tmp_path / "site" / "docs" / f"{name}.html").read_text("utf-8") for name in ("commands", "api"))
    assert "--max-imbalance" in commands
    assert "balancer.fill" in api
    assert len(pages) > 15
    assert str(ROOT) not in "".join(path.read_text("utf-8") for path in pages)
