"""`balance adapt --base` as a stranger types it."""

import json
import shutil

import pytest

from tests.support.cli_process import run

QUICK = ("--steps", "4", "--batch-size", "2", "--rank", "4", "--learning-rate", "0.5")


@pytest.fixture
def work(scanned, checkpoint):
    shutil.copytree(checkpoint, scanned / "base")
    return scanned


def test_adapt_then_fill_with_what_it_made(work):
    code, output = run(work, "adapt", "--base", "base", *QUICK)
    assert code == 0, output
    assert "Licence of base: not stated" in output
    assert "seeds with and without it differ by" in output
    code, output = run(work, "fill", "--target", "NODULE=6", "--steps", "2", "--batch-size", "2", "--no-screen")
    assert code == 0, output
    assert "Model: base with lora, 32 x 32 px" in output
    assert "base exposure unknown" in output
    assert "generator exposure" not in output
    assert str(work) not in (work / ".balance" / "adapters" / "lora" / "card.json").read_text()
    code, output = run(work, "adapt", "--base", "base", *QUICK)
    assert "trained before" in output
    shutil.move(work / "base", work / "moved")
    code, output = run(work, "fill", "--target", "NODULE=6", "--dry-run")
    assert code == 2
    assert "the base that the adapter lora was made for" in output
    assert run(work, "fill", "--target", "NODULE=6", "--dry-run", "--model", "moved", "--adapter", "lora")[0] == 0


def test_a_licence_is_accepted_once(work):
    (work / "base" / "README.md").write_text("---\nlicense: openrail\n---\n")
    code, output = run(work, "adapt", "--base", "base", *QUICK)
    assert code == 2
    assert "Licence of base: openrail" in output
    assert "found:  no --accept-licence" in output
    code, output = run(work, "adapt", "--base", "base", *QUICK, "--accept-licence")
    assert code == 0, output
    card = json.loads((work / ".balance" / "adapters" / "lora" / "card.json").read_text())
    assert card["base"]["licence"] == "openrail"
    assert run(work, "adapt", "--base", "base", *QUICK)[0] == 0  # the word is remembered


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--base", "base", "--from-scratch"), "both"),
        (("--from-scratch", "--rank", "4"), "--from-scratch, which"),
        (("--base", "xrays"), "xrays: EFFUSION, NODULE, NORMAL"),
        (("--base", "no/model"), "nothing is downloaded"),
        (("--base", "base", "--size", "33"), "--size 33"),
        (("--base", "base", "--learning-rate", "0"), "--learning-rate 0"),
        (("--base", "base", "--steps", "5", "--minutes", "5"), "both"),
        (("--base", "base", "--device", "tpu"), "--device tpu"),
        (("--base", "pickled"), "pickled holds diffusion_pytorch_model.bin"),
    ],
)
def test_every_mistake_is_one_clear_message(work, arguments, found):
    shutil.copytree(work / "base", work / "pickled")
    unet = work / "pickled" / "unet"
    (unet / "diffusion_pytorch_model.safetensors").rename(unet / "diffusion_pytorch_model.bin")
    code, output = run(work, "adapt", *arguments)
    assert code == 2
    told = dict(line.split(":", 1) for line in output.splitlines() if line.split(":")[0] in ("needed", "found", "next"))
    assert told.keys() == {"needed", "found", "next"}, output
    assert found in told["found"]


@pytest.mark.slow
def test_a_pack_that_lacks_a_class_is_told(work):
    (work / "mine.yaml").write_text(
        "modality: chest radiograph\nnegative: [text]\ntemplates: ['{modality} of {finding}']\n"
        "classes:\n  normal:\n    synonyms: [healthy]\n    findings: [clear lungs]\n"
    )
    code, output = run(work, "adapt", "--base", "base", *QUICK, "--pack", "mine.yaml")
    assert code == 0, output
    assert "Warning: mine.yaml has no prompts for EFFUSION, NODULE" in output
