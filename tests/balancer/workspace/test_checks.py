"""`balance doctor`: a table of checks, each that is not ok with what to type."""

import json

import pytest

from balancer.errors import OutputError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.models.selection import ModelSelection
from balancer.prompting.prompts import Prompt
from balancer.workspace import checks
from tests.support.cli_process import apart, balance, finished
from tests.support.tiny_models import write_lora, write_pipeline

GIB = 2**30


def checks_of(folder, *arguments):
    done = apart(folder, "doctor", *arguments, "--json")
    found = json.loads(done.stdout)
    checks = {check["name"]: check for check in found["checks"]}
    assert len(checks) == len(found["checks"])
    assert found["ready"] == (done.returncode == 0) == all(check["state"] != "fail" for check in checks.values())
    assert all(check["next_step"] for check in checks.values() if check["state"] != "ok")
    return checks


@pytest.fixture
def base(tmp_path):
    folder = write_pipeline(tmp_path / "base")
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    return folder


def write_record(folder, change=None):
    files = {
        "unet/config.json": {"sha256": checks.record_of.__globals__["sha256_if_there"](folder / "unet/config.json")}
    }
    (folder / "fetched.json").write_text(json.dumps({"model": "a/b", "revision": "c" * 40, "files": files}))


def test_a_model_and_its_adapter_are_loaded_drawn_with_and_timed(tmp_path, xrays, base):
    finished(balance(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-"))
    write_lora(tmp_path / "lora", base)
    found = checks_of(tmp_path, "--model", "base", "--adapter", "lora", "--device", "cpu", "--workers", "3")
    names = ["collection", "privacy", "software", "device", "workers", "disk", "offline"]
    assert list(found) == [*names, "model", "licence", "tokens", "memory", "adapter", "time"]
    assert found["model"]["found"].startswith("base: Stable Diffusion 1.x or 2.x, 32 px")
    assert found["licence"] == {
        "name": "licence",
        "state": "warn",
        "found": "openrail (README.md of the model), not accepted yet",
        "next_step": "read it; to adapt this base: balance adapt --base MODEL --accept-licence",
    }
    assert found["adapter"]["found"] == "lora fits base"
    assert "an image of 32 px, 25 steps" in found["time"]["found"]
    assert "1,000 images: about" in found["time"]["found"]
    assert "on --engine ray --workers 3, each as fast as this machine" in found["time"]["found"]


def test_an_adapter_of_another_base_fails(tmp_path, base):
    other = write_pipeline(tmp_path / "xl", xl=True)
    write_lora(tmp_path / "lora", base)
    found = checks_of(tmp_path, "--model", str(other), "--adapter", "lora")
    assert found["drawing"]["state"] == "fail"
    assert "a LoRA adapter that fits this model" in found["drawing"]["found"]
    assert "balance fill --model BASE" in found["drawing"]["next_step"]


def test_without_a_scan_and_a_model_it_says_what_to_type(tmp_path):
    done = apart(tmp_path, "doctor")
    assert done.returncode == 1
    assert "warn  collection  none" in done.stdout
    assert "next: scan it first: balance scan FOLDER" in done.stdout
    assert "fail  model       no --model, and no model that was adapted here" in done.stdout
    assert "balance adapt --from-scratch" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "name", "found", "advice"),
    [
        (("--model", "nowhere"), "model", "'nowhere' is none of these", "balance fetch OWNER/NAME"),
        (("--model", "base", "--device", "tpu"), "device", "--device tpu", "--device auto"),
        (("--model", "base", "--adapter", "none"), "adapter", "nothing there", "--adapter FILE"),
    ],
)
def test_what_fails_says_what_to_type(tmp_path, base, arguments, name, found, advice):
    check = checks_of(tmp_path, *arguments, "--no-draw")[name]
    assert check["state"] == "fail"
    assert found in check["found"]
    assert advice in check["next_step"]


def test_what_was_fetched_is_checked_by_its_hashes(tmp_path, base):
    write_record(base)
    found = checks_of(tmp_path, "--model", "base", "--no-draw")
    assert found["hashes"] == {
        "name": "hashes",
        "state": "ok",
        "found": "1 files unchanged since the download, commit cccccccccccc",
        "next_step": "",
    }
    config = base / "unet" / "config.json"
    config.write_text(config.read_text() + "\n")
    check = checks_of(tmp_path, "--model", "base", "--no-draw")["hashes"]
    assert (check["state"], check["found"]) == (
        "fail",
        "1 files changed or missing since the download: unet/config.json",
    )
    assert f"balance fetch a/b --revision {'c' * 40}" in check["next_step"]


def test_an_open_state_folder_is_told(tmp_path, xrays):
    finished(balance(tmp_path, "scan", "xrays"))
    (tmp_path / ".balance").chmod(0o755)
    check = checks_of(tmp_path)["privacy"]
    assert (check["state"], check["next_step"]) == ("warn", "chmod 700 .balance")


@pytest.mark.parametrize(("free", "state"), [(0.05, "fail"), (4, "warn"), (20, "ok")])
def test_disk(tmp_path, free, state):
    assert checks.check_disk(tmp_path, free=int(free * GIB)).state == state


def test_disk_counts_what_is_to_be_written(tmp_path):
    assert checks.check_disk(tmp_path, needed=20 * GIB, free=20 * GIB).state == "fail"


@pytest.mark.parametrize(("free", "state"), [(1, "fail"), (9, "warn"), (20, "ok")])
def test_memory(free, state):
    assert checks.check_memory(4 * GIB, free=free * GIB).state == state


def test_too_little_is_refused_with_its_fix():
    with pytest.raises(OutputError, match="needed: enough memory for this"):
        checks.require([checks.check_memory(4 * GIB, free=GIB)])
    checks.require([checks.check_memory(GIB, free=10 * GIB)])


def test_offline_readiness():
    assert checks.check_offline(dict.fromkeys(checks.OFFLINE, "1")).state == "ok"
    check = checks.check_offline({"HF_HUB_OFFLINE": "1"})
    assert (check.state, check.next_step) == ("fail", "export TRANSFORMERS_OFFLINE=1")


def test_a_prompt_that_is_too_long_fails(checkpoint):
    choice = ModelSelection(find_checkpoint(str(checkpoint)))
    assert checks.check_prompts(choice, [Prompt("a chest radiograph", "photo", "t", {})]).state == "ok"
    check = checks.check_prompts(choice, [Prompt("pleural effusion " * 60, "photo", "t", {})])
    assert check.state == "fail"
    assert "balance prompts --check" in check.next_step
