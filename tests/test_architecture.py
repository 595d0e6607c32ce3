"""The arrows between the rooms: balancer makes, analysis judges, and the command line is the roof over both."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for package in ("balancer", "analysis", "prompt_templates") for path in (ROOT / package).rglob("*.py")
)
ROOMS = {
    "balancer": (
        *("errors", "text", "progress", "settings", "files", "parallel", "offline", "interrupt", "devices"),
        "plugins",
        *("imaging", "collection", "prompting", "jobs", "generators", "adapting", "splits", "store", "dataset"),
        *("planning", "set_planning", "filling", "workspace", "sklearn", "cli"),
    ),
    "analysis": (
        *("data", "statistics", "vision", "labels", "screening", "power", "realism", "comparison", "report", "review"),
    ),
    "balancer.adapting": ("common", "scratch", "lora"),
    "analysis.comparison": (
        *("inputs", "training", "inference", "integrity"),
        *("external", "request", "cost", "preparation", "predictions", "execution", "service"),
    ),
}
"""Ground first: a room imports from itself and from rooms before it."""
HEAVY = ("torch", "diffusers", "pandas", "numpy")
MOST_LINES = 400
MOST_OF_A_COMMAND = 40
NOT_IN_CLI = (
    *("sqlite3", "PIL", "balancer.store.database", "balancer.store.connection"),
    *("balancer.adapting", "analysis.comparison.training", "analysis.vision", *HEAVY),
)
"""What opens a database, trains, or writes images: commands leave that to one function of the library."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path): path for path in MODULES}


@cache
def imported(path: Path) -> frozenset[str]:
    """All that a module imports, the modules among it by their own names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            inner = {f"{node.module}.{name.name}" for name in node.names}
            found |= (inner & NAMES.keys()) | ({node.module or ""} if inner - NAMES.keys() else set())
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{path.name} imports relatively: write the whole name, so that arrows can be seen")
    return frozenset(found)


def roots(names: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_balancer_never_imports_analysis_but_for_its_roof(path):
    if ROOT / "balancer" in path.parents and ROOT / "balancer" / "cli" not in path.parents:
        assert "analysis" not in roots(imported(path))
    assert not roots(imported(path)) & {"tests"}
    if path.name != "demo.py":  # the one command that shows an example
        assert "examples" not in roots(imported(path))


@pytest.mark.parametrize("house", ROOMS)
def test_no_import_runs_up(house):
    def room(name: str) -> int | None:
        inside = name.removeprefix(f"{house}.").split(".")[0]
        return ROOMS[house].index(inside) if name.startswith(f"{house}.") else None

    inside = {name: path for name, path in NAMES.items() if name.startswith(f"{house}.")}
    assert {name for name in inside if name.removeprefix(f"{house}.").split(".")[0] not in ROOMS[house]} == set()
    assert [
        f"{name} imports {other}"
        for name, path in inside.items()
        for other in sorted(imported(path))
        if (above := room(other)) is not None and above > (room(name) or 0)
    ] == []


def test_modules_run_in_no_circle():
    imports = networkx.DiGraph((name, other) for name, path in NAMES.items() for other in imported(path) - {name})
    imports.remove_nodes_from(["balancer", "analysis"])  # their faces import only when they are asked
    circles = [found for found in networkx.strongly_connected_components(imports) if len(found) > 1]
    assert [sorted(found) for found in circles] == []


def test_only_the_database_speaks_sql():
    assert {path.parent.name for path in MODULES if "sqlite3" in imported(path)} == {"store"}


def test_how_many_cores_there_are_is_asked_in_one_place():
    """The machine may have more than this process may use, and a pool without a number asks the machine."""
    asking = ("cpu_count", "sched_getaffinity", "ThreadPoolExecutor()")
    found = [path.name for path in MODULES if any(word in path.read_text("utf-8") for word in asking)]
    assert found == ["parallel.py"]


def test_heavy_packages_come_late():
    """`balance --help` and `balance scan` must not wait for what they do not use."""
    program = f"import sys, balancer.cli.app; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
    rooms = "balancer.collection.scan, balancer.splits.split, balancer.store.database"
    program = f"import sys, {rooms}; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_no_package_is_heavy_to_enter():
    packages = [name for name, path in NAMES.items() if path.name == "__init__.py"]
    program = f"import sys, {', '.join(packages)}; print(*sorted(set({HEAVY}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


def test_balancer_imports_beside_a_users_own_analysis_folder(tmp_path):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise RuntimeError('not yours')")
    program = "import balancer.filling.run, balancer.dataset.merge, balancer.dataset.verify, balancer.cli.app"
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": ""}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert f"'import analysis' gives {tmp_path / 'analysis'}, which hides the package" in ended.stderr
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert ended.stderr == ""


CLI = {name: path for name, path in NAMES.items() if name.startswith("balancer.cli")}


def test_what_the_command_line_leaves_to_the_library_is_there():
    ours = {each for each in NOT_IN_CLI if each.startswith(("balancer.", "analysis."))}
    assert {each for each in ours if not any(f"{name}.".startswith(f"{each}.") for name in NAMES)} == set()


@pytest.mark.parametrize("name", CLI)
def test_the_command_line_opens_no_database_trains_nothing_and_writes_no_image(name):
    tree = ast.parse(CLI[name].read_text("utf-8"))
    calls = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"session", "Ledger", "Popen", "save"}
    found = {each for each in imported(CLI[name]) if f"{each}.".startswith(tuple(f"{word}." for word in NOT_IN_CLI))}
    assert found == set()


def test_a_command_is_parse_call_print():
    lengths = {
        f"{name}.{function.name}": (function.end_lineno or 0) - function.body[0].lineno + 1
        for name, path in CLI.items()
        for function in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef) and ".commands." in name
    }
    assert {name: length for name, length in lengths.items() if length > MOST_OF_A_COMMAND} == {}
    assert "balancer.cli.commands.compare.compare" in lengths


def test_no_module_outgrows_the_head():
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in NAMES.items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}
