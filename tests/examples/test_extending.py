"""Each example of a plug-in, found by its entry point as if a package had brought it, does its work."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import analysis
import examples.extending
from analysis.comparison.training.arm_selection import meaning
from analysis.comparison.training.arms import ARMS, Rows, Task, load_arms
from balancer import plugins
from balancer.adapting.common.logger import curves_of
from balancer.errors import OutputError, PluginError
from balancer.plugins import GROUPS, find_plugins
from balancer.workspace.adapt_run import adapt
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import AdaptSettings, ScanSettings, ScreenSettings
from balancer.workspace.workspace import Workspace
from conftest import make_balanced, make_collection
from tests.support.cli_process import run
from tests.support.plugin_site import install

HERE = "examples.extending"
ENTRIES = {
    plugins.SOURCES: {"jsonl": f"{HERE}.jsonl_source:jsonl"},
    plugins.CHECKS: {"brightness": f"{HERE}.brightness_check:brightness"},
    plugins.ARMS: {"square-root-sampling": f"{HERE}.square_root_arm:ARM"},
    plugins.LOGGERS: {"tensorboard": f"{HERE}.tensorboard_logger:TensorBoard"},
}


@pytest.fixture
def site(tmp_path, monkeypatch):
    found = install(tmp_path / "site", "xray-extras", "1.2", ENTRIES)
    monkeypatch.syspath_prepend(str(found))
    return found


def test_the_page_names_every_example():
    page, named = examples.extending.__doc__, [pair for each in ENTRIES.values() for pair in each.items()]
    assert [name for name, value in named if f'{name} = "{value}"' not in page] == []
    assert [group for group in ENTRIES if f'"{group}"' not in page] == []
    modules = {path.stem for path in Path(examples.extending.__file__).parent.glob("[a-z]*.py")}
    assert modules == {value.partition(":")[0].removeprefix(f"{HERE}.") for _, value in named}


def test_a_source_reads_the_labels_and_is_remembered(tmp_path, site):
    root = make_collection(tmp_path / "pool", {"x": 12})
    rows = [
        {"file": f"x/x_p{n:02}.png", "finding": "nodule" if n < 3 else "normal", "patient": f"P{n // 2}"}
        for n in range(11)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    workspace = Workspace.open(tmp_path)
    found = scan(workspace, ScanSettings(root, source=f"jsonl:{tmp_path / 'labels.jsonl'}"))
    assert dict(found.imbalance.counts).keys() == {"nodule", "normal"}
    again = scan(workspace, ScanSettings(root))
    with workspace.session(write=False) as session:
        images = session.collection.images
    assert again.imbalance == found.imbalance
    assert images["label"].value_counts().to_dict() == {"normal": 8, "nodule": 3}
    told = images["patient"].dropna()
    assert (told.nunique(), told.str.startswith("anon-").all()) == (6, True)  # a pseudonym, as for tables


def test_a_check_rejects_what_no_real_image_looks_like_and_stands_in_the_verdict(tmp_path, site):
    workspace = Workspace.open(tmp_path)
    scan(workspace, ScanSettings(make_collection(tmp_path / "xrays", {"normal": 9, "nodule": 5})))
    theirs = make_collection(tmp_path / "theirs", {"nodule": 1}, seed=1)
    bright = np.random.default_rng(2).integers(200, 256, (32, 32), np.uint8)
    Image.fromarray(bright).save(theirs / "nodule" / "bright.png")
    found = {each.seen.given.path: each.verdict for each in analysis.screen(workspace, ScreenSettings(theirs)).images}
    verdict = next(verdict for path, verdict in found.items() if "bright" in str(path))
    other = next(verdict for path, verdict in found.items() if "bright" not in str(path))
    assert "brightness: brighter than any real training image" in verdict.reasons
    assert not any(reason.startswith("brightness") for reason in other.reasons)
    assert verdict.reviewer.startswith("screen 3 with brightness (xray-extras 1.2)")


@pytest.fixture
def arms():
    """The registry of arms, which is as it was afterwards."""
    yield ARMS
    ARMS.pop("square-root-sampling", None)


def test_an_arm_is_known_where_it_is_named(tmp_path, site, arms):
    load_arms(["real"])
    assert "square-root-sampling" not in arms
    load_arms(["square-root-sampling", "nobody's"])
    assert arms["square-root-sampling"].kind == "free"
    assert meaning("square-root-sampling").startswith("Each class is shown as often as the square root")
    spec = taught(arms["square-root-sampling"], np.array([0, 0, 0, 0, 1]))
    assert (spec.sampling, spec.row_weights.tolist()) == ("weighted", [0.5, 0.5, 0.5, 0.5, 1.0])


def taught(arm, targets):
    """What an arm asks its teacher for, of real images of these classes."""
    asked = []
    arm.learn(Task(("A", "B"), Rows(np.arange(len(targets)), targets), {}, 10, 0, "strong", asked.append))
    return asked[0]


def test_what_is_no_arm_is_refused(tmp_path, monkeypatch):
    entries = {plugins.ARMS: {"other": f"{HERE}.square_root_arm:ARM", "thing": f"{HERE}.square_root_arm:square_root"}}
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "odd-arms", "3", entries)))
    for name in entries[plugins.ARMS]:
        with pytest.raises(PluginError, match=rf"an Arm of this name.*{name} .*from odd-arms 3"):
            load_arms([name])


@pytest.mark.slow
def test_an_arm_is_compared(tmp_path, site, arms):
    make_collection(tmp_path / "xrays", {"normal": 9, "nodule": 5})
    make_balanced(tmp_path)
    name = "square-root-sampling"
    settings = analysis.CompareSettings(quick=True, arm=(name,), seeds=2, steps="1", size=16, force=True, workers=2)
    assert name in analysis.compare(Workspace.open(tmp_path), settings).to_json()["arms"]


def scalars(folder):
    """The figures in TensorBoard's files: each record has its length, a checksum, its content and another checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("events*")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            size = int.from_bytes(content[place : place + 8], "little")
            event = Event.FromString(content[place + 12 : place + 12 + size])
            yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)
            place += size + 16


def test_a_logger_writes_what_tensorboard_reads(tmp_path, site):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX (the dev extra)")
    with curves_of(f"tensorboard:{tmp_path / 'runs'}") as curves:
        curves("denoiser", 1, {"loss": 0.5})
        curves("denoiser", 2, {"loss": 0.25})
    assert list(scalars(tmp_path / "runs")) == [("denoiser/loss", 1, 0.5), ("denoiser/loss", 2, 0.25)]


@pytest.mark.slow
def test_a_training_tells_the_logger_that_is_named(tmp_path, site, monkeypatch):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX (the dev extra)")
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    workspace = Workspace.open(tmp_path)
    scan(workspace, ScanSettings(make_collection(tmp_path / "xrays", {"normal": 9, "nodule": 5})))
    with pytest.raises(OutputError, match="--log NAME:ANOTHER_PLACE"):
        adapt(workspace, AdaptSettings(from_scratch=True, log=f"tensorboard:{tmp_path / 'xrays' / 'runs'}"))
    adapt(workspace, AdaptSettings(from_scratch=True, size=32, steps=2, log=f"tensorboard:{tmp_path / 'runs'}"))
    told = list(scalars(tmp_path / "runs"))
    figures = ("loss", "batch loss", "learning rate")
    assert {name for name, _, _ in told} == {
        f"{each}/{name}" for each in ("autoencoder", "denoiser") for name in figures
    }
    assert all(np.isfinite(value) for _, _, value in told)


BROKEN = {group: {"broken": "nowhere.at_all:Thing"} for group in GROUPS}


@pytest.mark.parametrize("group", GROUPS)
def test_a_broken_one_is_named_with_its_package(tmp_path, monkeypatch, group):
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", "xray-broken", "0.1", BROKEN)))
    with pytest.raises(PluginError, match=rf"broken \(entry point of the group {group}, from xray-broken 0.1\)"):
        find_plugins(group)["broken"].load()


def test_two_of_one_name_are_refused(tmp_path, monkeypatch):
    for package, value in (("one", "a:B"), ("two", "c:D")):
        install(tmp_path / "site", package, "1", {plugins.SOURCES: {"same": value}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(PluginError, match="brings another of this name"):
        find_plugins(plugins.SOURCES)


def test_the_command_line_shows_a_message_and_no_traceback(scanned, tmp_path, monkeypatch):
    site = install(tmp_path / "site", "xray-broken", "0.1", BROKEN | {plugins.SCREENS: {}, plugins.MONITORS: {}})
    monkeypatch.setenv("PYTHONPATH", str(site))
    for command in (
        ("scan", "xrays", "--source", "broken:x"),
        ("adapt", "--from-scratch", "--steps", "2", "--log", "broken:x"),
    ):
        code, output = run(scanned, *command)
        assert (code, "from xray-broken 0.1" in output, "pip uninstall xray-broken" in output) == (2, True, True), (
            output
        )
    code, output = run(scanned, "scan", "xrays", "--source", "none:x")
    assert (code, "installed plug-ins: broken" in output) == (2, True), output
    code, output = run(scanned, "doctor", "--no-draw")
    assert (code, output.count("from xray-broken 0.1") >= 4) == (1, True), output
