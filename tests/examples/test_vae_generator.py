"""A generator of another family, found by its entry point as if a package had brought it."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from balancer.errors import GenerationError, ModelError
from balancer.generators.plugins import LoadedPlugin, family_config, open_family
from balancer.generators.sampling import SamplingOptions
from balancer.imaging.decode import OutputFormat
from balancer.jobs import Job, ModeDraw, job_seed
from balancer.prompting.prompts import Prompt
from examples.vae_generator import decoder
from tests.support.cli_process import run


class Odd:
    """A family that gives what it is told to."""

    name, sha256, size = "odd", "ab" * 32, (32, 32)

    def __init__(self, weights, device, root):
        self.weights = weights
        if weights == "bare":
            self.sha256 = "none"

    def generate(self, jobs):
        grey = np.zeros((32, 32), np.uint8)
        answers = {"small": grey[1:], "float": grey / 2, "tensor": torch.zeros(32, 32)}
        if self.weights == "few":
            return []
        return [answers[self.weights] for _ in jobs]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages with one that brings two families."""
    info = tmp_path / "site" / "xray_vae-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: xray-vae\nVersion: 1.0\n")
    lines = ("[balancer.generators]", "vae = examples.vae_generator:VAE", f"odd = {__name__}:Odd")
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[Odd.__module__])
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


@pytest.fixture
def weights(tmp_path):
    labels = ["EFFUSION", "NODULE", "NORMAL"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(decoder(3).state_dict(), tmp_path / "w.safetensors", metadata={"classes": "\n".join(labels)})
    return tmp_path / "w.safetensors"


def test_a_family_fills_a_collection_and_provenance_names_it(tmp_path, xrays, site, weights, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(site))
    assert run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)-")[0] == 0
    fill = ("fill", "--target", "NODULE=10", "--model", "vae:w.safetensors", "--no-screen")
    code, output = run(tmp_path, *fill)
    assert code == 0, output
    assert run(tmp_path, "verify", "xrays-balanced")[0] == 0
    code, output = run(tmp_path, "prompts", "-n", "1", "--sample", "--model", "vae:w.safetensors")
    assert code == 0, output
    assert (tmp_path / ".balance" / "reports" / "prompts.png").is_file()
    code, output = run(tmp_path, "prompts", "--check", "--model", "vae:w.safetensors")
    assert (code, "vae:w.safetensors is a plug-in" in output) == (0, True), output
    code, output = run(tmp_path, "doctor", "--model", "vae:w.safetensors")
    assert (code, "32 x 32 px, from a plug-in" in output, "an image of 32 px" in output) == (0, True, True)
    code, output = run(tmp_path, "doctor", "--model", "vae:nowhere", "--no-draw")
    assert (code, "weights that the plug-in vae can open" in output) == (1, True), output
    code, output = run(tmp_path, "prompts", "--sample", "--model", "gan:x")
    assert (code, "installed plug-ins: odd, vae" in output) == (2, True), output
    table = pd.read_parquet(tmp_path / "xrays-balanced" / "train" / "metadata.parquet")
    made = table[table["is_synthetic"]]
    assert (len(made), set(made["model"]), set(made["mode"])) == (6, {"vae:w.safetensors"}, {"text"})
    rows = pd.read_csv(tmp_path / "xrays-balanced" / "provenance.csv")
    assert set(rows["model_revision"]) == {"xray-vae 1.0"}
    code, output = run(tmp_path, *fill, "--mode", "mix")
    assert (code, "which supports text" in output) == (2, True)


def jobs(family: LoadedPlugin) -> list[Job]:
    config = family_config(family, SamplingOptions(device="cpu"))
    prompt, output = Prompt("x", "", "", {}), OutputFormat("PNG", ".png", "L", 8, None)
    return [Job("A", index, prompt, job_seed(0, "A", index), config, ModeDraw(), output) for index in range(2)]


@pytest.mark.parametrize(
    ("weights", "found"),
    [("small", r"shape \(31, 32\)"), ("float", "float64"), ("tensor", "Tensor"), ("few", "0"), ("error", "'error'")],
)
def test_what_a_family_gives_is_checked(tmp_path, site, weights, found):
    family = open_family(f"odd:{weights}", "cpu", tmp_path)
    with pytest.raises(GenerationError, match=found):
        family.generator.generate(jobs(family))


def test_what_cannot_be_opened_is_a_message(tmp_path, site):
    with pytest.raises(ModelError, match=r"installed plug-ins: .*odd, vae"):
        open_family("gan:x", "cpu", tmp_path)
    with pytest.raises(ModelError, match="weights that the plug-in vae can open"):
        open_family("vae:nowhere", "cpu", tmp_path)
    with pytest.raises(ModelError, match="without a usable sha256"):
        open_family("odd:bare", "cpu", tmp_path)
    with pytest.raises(ModelError, match="leave --size out"):
        family_config(open_family("odd:small", "cpu", tmp_path), SamplingOptions(size=64))
