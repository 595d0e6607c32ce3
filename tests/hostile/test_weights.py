"""Hostile models, adapters and embeddings are refused before anything of them is loaded."""

import json
import shutil

import pytest

from analysis.vision.pretrained import load_pretrained
from balancer.errors import ModelError
from balancer.generators.models.checkpoint import find_adapter, find_checkpoint
from balancer.generators.models.licence import find_licence
from balancer.generators.models.selection import adapter_card
from tests.hostile.weights import hostile_models, hostile_weights, tensors
from tests.support.cli_process import run
from tests.support.tiny_models import write_xrays


def test_every_hostile_model_is_refused_and_nothing_runs(tmp_path, checkpoint, monkeypatch):
    canary, faults, count = tmp_path / "canary", [], 0
    monkeypatch.syspath_prepend(tmp_path)  # where the programs lie that it names
    for name, change in hostile_models(canary):
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(checkpoint, tmp_path / "model")
        change(tmp_path / "model", canary)
        faults += [] if refusal(find_checkpoint, str(tmp_path / "model")) == 3 else [name]
        faults += [f"{name} ran"] if canary.exists() else []
        count += 1
    assert faults == []
    assert count >= 120


def refusal(load, *arguments):
    """How many parts the message has; 0 where nothing was refused."""
    try:
        load(*arguments)
    except ModelError as error:
        return sum(bool(part.strip()) for part in (error.needed, error.found, error.next_step))
    return 0


def test_a_hostile_single_file_is_refused(tmp_path, checkpoint):
    shutil.copytree(checkpoint, tmp_path / "one")
    for name, content in hostile_weights(tmp_path / "canary"):
        (tmp_path / "one.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match=r"one\.safetensors"):
            find_checkpoint(str(tmp_path / "one.safetensors"))
        assert not (tmp_path / "canary").exists(), name


def test_a_hostile_adapter_or_embedding_is_refused(tmp_path):
    for name, content in hostile_weights(tmp_path / "canary"):
        file = tmp_path / "a.safetensors"
        file.write_bytes(content)
        for load in (find_adapter, load_pretrained):
            with pytest.raises(ModelError, match=r"a\.safetensors"):
                load(file)
        assert not (tmp_path / "canary").exists(), name


@pytest.mark.parametrize(
    "said", ['{"unet.target_modules": "(a+)+$"}', '{"rank_pattern": {".*": 9}}', "[" * 9000, "no JSON"]
)
def test_an_adapter_that_says_more_than_names_is_refused(tmp_path, said):
    header = {
        "__metadata__": {"lora_adapter_metadata": said},
        "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }
    (tmp_path / "a.safetensors").write_bytes(tensors(header, b"\0"))
    with pytest.raises(ModelError, match="lora_adapter_metadata"):
        find_adapter(tmp_path / "a.safetensors")


def test_a_snapshot_of_a_hub_cache_is_taken_with_its_links(tmp_path, checkpoint):
    home = tmp_path / "models--somebody--xray"
    shutil.copytree(checkpoint, home / "snapshots" / "1")
    (home / "blobs").mkdir()
    for number, file in enumerate([path for path in (home / "snapshots" / "1").rglob("*") if path.is_file()]):
        file.rename(home / "blobs" / str(number))
        file.symlink_to(home / "blobs" / str(number))
    assert find_checkpoint(str(home / "snapshots" / "1")).ref.sha256 == find_checkpoint(str(checkpoint)).ref.sha256


@pytest.mark.parametrize("depth", [9, 40])
def test_a_model_card_that_grows_without_end_says_no_licence(tmp_path, checkpoint, depth):
    shutil.copytree(checkpoint, tmp_path / "model")
    laughs = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, depth))
    (tmp_path / "model" / "README.md").write_text(f"---\n{laughs}license: *a{depth - 1}\n---\n")
    assert not find_licence(find_checkpoint(str(tmp_path / "model"))).is_stated
    (tmp_path / "model" / "README.md").write_text("---\nlicense: " + "[" * 20_000 + "\n---\n")
    assert not find_licence(find_checkpoint(str(tmp_path / "model"))).is_stated
    (tmp_path / "card.json").write_text("[" * 100_000)
    assert adapter_card(tmp_path) is None


def test_the_command_says_so(tmp_path, checkpoint):
    write_xrays(tmp_path / "xrays", {"NORMAL": 12, "NODULE": 10})
    assert run(tmp_path, "scan", "xrays", "--patient", r"(p\d+)")[0] == 0
    shutil.copytree(checkpoint, tmp_path / "model")
    index = tmp_path / "model" / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "evil": ["evil", "Evil"]}))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    code, output = run(tmp_path, "fill", "--target", "max", "--no-screen", "--model", "model")
    assert code == 2, output
    assert "found:  model: model_index.json names evil.Evil as its evil" in output
    assert not (tmp_path / "canary").exists()
