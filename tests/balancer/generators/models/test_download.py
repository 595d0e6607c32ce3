"""`balance fetch`, from a hub on this machine."""

import json
import shutil
from pathlib import Path

import pytest

from balancer.files import sha256_of
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.models.download_manifest import changed_files, record_of
from tests.support.cli_process import FORGOTTEN, apart
from tests.support.fake_hub import COMMIT, MODEL, hub_of
from tests.support.tiny_models import write_xrays


@pytest.fixture
def hub(tmp_path, checkpoint):
    """A hub whose model has pickles, half precision and more beside what is wanted."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "hub"))
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    for name in ("unet/diffusion_pytorch_model.bin", "v1.ckpt", "v1.safetensors", "handler.py"):
        (folder / name).write_bytes(b"not wanted")
    with hub_of(folder) as running:
        yield running


def run(folder, hub, *arguments):
    address = hub if isinstance(hub, str) else hub.address
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    return apart(folder, "fetch", *arguments, **settings, **{FORGOTTEN: "huggingface_hub"})


def test_a_model_is_fetched_once_with_its_commit_and_every_hash(tmp_path, hub):
    done = run(tmp_path, hub, MODEL, "--to", "sd")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "sd"
    record = record_of(folder)
    assert (record["model"], record["revision"], record["licence"]) == (MODEL, COMMIT, "openrail")
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert there == sorted([*record["files"], "fetched.json"])
    assert not [
        path for path in there if path.endswith((".bin", ".ckpt", ".py")) or "fp16" in path or path[:3] == "v1."
    ]
    assert {path: sha256_of(folder / path) for path in record["files"]} == {
        path: facts["sha256"] for path, facts in record["files"].items()
    }
    assert find_checkpoint(str(folder)).ref.revision == COMMIT
    assert "tar -cf sd.tar -C . sd" in done.stderr
    assert "balance doctor --model sd" in done.stderr
    assert str(tmp_path) not in done.stdout + done.stderr + json.dumps(record)
    hub.asked.clear()
    again = run(tmp_path, hub, MODEL, "--to", "sd")
    assert again.stdout == "Already there, unchanged: sd\n"
    assert [each for each in hub.asked if "resolve" in each] == []


def test_a_revision_is_pinned_by_its_commit(tmp_path, hub):
    assert run(tmp_path, hub, MODEL, "--to", "sd", "--revision", "v1").returncode == 0
    assert record_of(tmp_path / "sd")["revision"] == COMMIT


def test_what_is_not_as_the_hub_says_is_refused_and_fetched_again(tmp_path, hub):
    hub.lies.add("unet/diffusion_pytorch_model.safetensors")
    done = run(tmp_path, hub, MODEL, "--to", "sd")
    assert done.returncode == 2
    assert "next:" in done.stderr
    assert not (tmp_path / "sd" / "fetched.json").exists()
    hub.lies.clear()
    assert run(tmp_path, hub, MODEL, "--to", "sd").returncode == 0
    assert changed_files(tmp_path / "sd", record_of(tmp_path / "sd")) == []


def test_a_changed_file_is_found_and_fetched_again(tmp_path, hub):
    run(tmp_path, hub, MODEL, "--to", "sd")
    file = tmp_path / "sd" / "unet" / "config.json"
    file.write_text(file.read_text() + " ")
    assert changed_files(tmp_path / "sd", record_of(tmp_path / "sd")) == ["unet/config.json"]


def test_nothing_is_told_and_no_terms_are_passed_by(tmp_path, hub):
    hub.gated = True
    done = run(tmp_path, hub, MODEL, "--to", "sd")
    assert done.returncode == 2
    assert "accept its terms" in done.stderr
    assert "HF_TOKEN" in done.stderr
    assert not (tmp_path / "sd").exists()


@pytest.mark.parametrize(
    ("arguments", "found", "advice"),
    [
        (("sd15", "--to", "x"), "'sd15'", "balance fetch OWNER/NAME"),
        (("../../etc", "--to", "x"), "'../../etc'", "balance fetch OWNER/NAME"),
        (("someone/other", "--to", "x"), "no model with this name", "check the name"),
        ((MODEL, "--to", "x", "--revision", "v9"), "'v9'", "leave --revision out"),
        ((MODEL, "--to", "full"), "full", "--to ANOTHER_FOLDER"),
        ((MODEL, "--to", "full/mine.txt"), "mine.txt", "--to ANOTHER_FOLDER"),
        ((MODEL, "--to", "xrays/sd"), "inside xrays", "--to ANOTHER_FOLDER"),
    ],
)
def test_mistakes_are_one_clear_message(tmp_path, hub, arguments, found, advice):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    write_xrays(tmp_path / "xrays", {"A": 4, "B": 4})
    assert apart(tmp_path, "scan", "xrays").returncode == 0
    done = run(tmp_path, hub, *arguments)
    assert done.returncode == 2
    told = dict(line.split(":", 1) for line in done.stderr.splitlines() if line.split(":")[0] in ("found", "next"))
    assert found in told["found"], done.stderr
    assert advice in told["next"]
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_weights_that_are_pickles_alone_are_refused_before_they_are_fetched(tmp_path, hub):
    (hub.folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (hub.folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    done = run(tmp_path, hub, MODEL, "--to", "sd")
    assert done.returncode == 2
    assert "unet exists only as a pickle" in done.stderr
    assert not (tmp_path / "sd").exists()


def test_without_a_network_it_says_so(tmp_path):
    done = run(tmp_path, "http://127.0.0.1:9", MODEL, "--to", "sd")
    assert done.returncode == 2
    assert "a connection to it" in done.stderr
    assert "a machine with internet" in done.stderr
    assert not (tmp_path / "sd").exists()
