"""The arrows between the rooms: balancer makes, analysis judges, and the command line is the roof over both."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for package in ("balancer", "analysis", "prompt_templates") for path in (ROOT / package).rglob("*.py")
)


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{path.name} imports relatively: write the whole name, so that arrows can be seen")
    return found


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_balancer_never_imports_analysis_but_for_its_roof(path):
    if ROOT / "balancer" in path.parents and ROOT / "balancer" / "cli" not in path.parents:
        assert "analysis" not in roots(imported(path))
    assert not roots(imported(path)) & {"tests", "examples"}


def test_nothing_below_the_roof_imports_the_roof():
    below = [path for path in MODULES if ROOT / "balancer" / "cli" not in path.parents]
    assert [path for path in below if any(name.startswith("balancer.cli") for name in imported(path))] == []


def test_how_many_cores_there_are_is_asked_in_one_place():
    """The machine may have more than this process may use, and a pool without a number asks the machine."""
    asking = ("cpu_count", "sched_getaffinity", "ThreadPoolExecutor()")
    found = [path.name for path in MODULES if any(word in path.read_text("utf-8") for word in asking)]
    assert found == ["parallel.py"]


def test_only_the_ledger_speaks_sql():
    assert [path.name for path in MODULES if "sqlite3" in imported(path)] == ["ledger.py"]


def test_heavy_packages_come_late():
    """`balance --help` and `balance scan` must not wait for what they do not use."""
    program = "import sys, balancer.cli; print(*sorted({'torch', 'diffusers', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
    program = "import sys, balancer.scan, balancer.split, balancer.ledger; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_balancer_imports_beside_a_users_own_analysis_folder(tmp_path):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise RuntimeError('not yours')")
    program = "import balancer.fill, balancer.merge, balancer.provenance, balancer.cli"
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": ""}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)


def test_no_module_outgrows_the_head():
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 420} == {}
