"""Adapting real, tiny bases on a drawn collection: what comes out, and that nothing that goes wrong is silent."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from safetensors.torch import load_file

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.monitor import Observation
from balancer.adapting.lora import trainer
from balancer.adapting.lora.data import TrainingData
from balancer.adapting.lora.effect_check import draw_rows
from balancer.adapting.lora.evaluations import Evaluation
from balancer.adapting.lora.settings import LoraSettings
from balancer.adapting.lora.train import train_lora, verdict
from balancer.collection.scan import Sample
from balancer.errors import CollectionError, ModelError, OutOfMemory, PromptError
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.prompting.packs import load_pack
from tests.support.tiny_models import write_pipeline, write_xrays

QUICK = LoraSettings(
    rank=2,
    steps=6,
    batch_size=4,
    device="cpu",
    learning_rate=0.5,
    augmentations=2,
    look_every=0.5,
    look_columns=1,
    look_steps=1,
    sample_steps=2,
    checkpoint_every_seconds=0,
    validation_prompts=("a nodule on the left",),
)
FILE = "pytorch_lora_weights.safetensors"


class Killed(BaseException):
    pass


def as_samples(root: Path, folder: str = "") -> list[Sample]:
    return [
        Sample(path.relative_to(root).as_posix(), path.parent.name, None, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted((root / folder).rglob("*.png"))
    ]


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> TrainingData:
    root = tmp_path_factory.mktemp("collection")
    write_xrays(root / "train", {"normal": 8, "nodule": 3}, size=(40, 24))
    write_xrays(root / "holdout", {"normal": 12}, size=(40, 24))
    packs = dict.fromkeys(("normal", "nodule"), load_pack("chest"))
    return TrainingData(as_samples(root, "train"), as_samples(root, "holdout"), root, packs, "ab" * 32)


@pytest.fixture(scope="module")
def base(checkpoint):
    return find_checkpoint(str(checkpoint))


@pytest.fixture(scope="module")
def adapted(material, base, tmp_path_factory) -> Path:
    return train_lora(material, base, QUICK, tmp_path_factory.mktemp("made") / "mine")


def stop_at(phase, step):
    def progress(now, done, total, note):
        if (now, done) == (phase, step):
            raise Killed

    return progress


def test_diffusers_loads_it_and_draws_something_else(adapted, checkpoint):
    pipe = StableDiffusionPipeline.from_pretrained(checkpoint, use_safetensors=True, local_files_only=True)
    ask = {"num_inference_steps": 2, "output_type": "np"}
    plain = pipe("a nodule", generator=torch.Generator().manual_seed(0), **ask).images
    pipe.load_lora_weights(str(adapted), weight_name=FILE, use_safetensors=True, local_files_only=True)
    assert list(pipe.get_list_adapters()) == ["unet"]
    assert np.abs(pipe("a nodule", generator=torch.Generator().manual_seed(0), **ask).images - plain).mean() > 1e-3


def test_only_safetensors_and_texts_lie_in_the_folder(adapted):
    names = ["README.md", "card.json", "losses.csv", FILE, "samples", "samples.png"]
    assert sorted(path.name for path in adapted.iterdir()) == names
    assert [path.name for path in adapted.parent.iterdir()] == ["mine"]
    weights = load_file(adapted / FILE)
    assert {name.split(".")[0] for name in weights} == {"unet"}
    assert {tensor.shape[0] for name, tensor in weights.items() if "lora_A" in name} == {2}


def test_the_card_knows_base_files_looks_and_change(adapted, material, base):
    card = json.loads((adapted / "card.json").read_text())
    assert card["kind"] == "lora"
    assert (card["base"]["name"], card["base"]["sha256"]) == ("tiny-sd", base.ref.sha256)
    assert len(card["base"]["weights_sha256"]) == 3
    assert card["training_files"] == {sample.path: sample.sha256 for sample in material.train}
    assert card["split_sha256"] == "ab" * 32
    assert card["cost"]["energy"] == "unknown"
    assert [evaluation["step"] for evaluation in card["looks"]] == [0, 3, 6]
    normal = card["looks"][0]["classes"]["normal"]
    assert normal["images"] == 12
    assert normal["low"] < normal["loss"] < normal["high"]
    learned = {evaluation["step"]: evaluation["loss"] for evaluation in card["looks"][1:]}
    assert card["kept"]["step"] == min(learned, key=lambda step: learned[step])
    assert card["change"]["grey_levels"] > 0.01
    assert card["weights_sha256"][FILE] == hashlib.sha256((adapted / FILE).read_bytes()).hexdigest()


def test_nothing_in_the_folder_names_this_machine(adapted, material, checkpoint):
    texts = [path.read_text() for path in adapted.iterdir() if path.suffix in (".json", ".md")]
    places = [str(checkpoint.parent), str(material.root), str(adapted.parent)]
    assert not [place for place in places for text in texts if place in text]


def test_samples_show_both_row_above_row(adapted):
    with Image.open(adapted / "samples.png") as sheet:
        assert sheet.size == (96 + 4 * 66, 4 * 66)


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("adapter", 2),
        *(
            pytest.param(*at, marks=pytest.mark.slow)
            for at in (("comparing", 3), ("latents", 11), ("captions", 16), ("adapter", 5))
        ),
    ],
)
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(material, base, adapted, tmp_path, phase, step):
    with pytest.raises(Killed):
        train_lora(material, base, QUICK, tmp_path / "mine", progress=stop_at(phase, step))
    assert not (tmp_path / "mine").exists()
    torch.manual_seed(99)  # whatever the global generator does meanwhile
    train_lora(material, base, QUICK, tmp_path / "mine")
    assert (tmp_path / "mine" / FILE).read_bytes() == (adapted / FILE).read_bytes()
    assert [path.name for path in sorted((adapted / "samples").iterdir())] == ["000000.png", "000003.png", "000006.png"]
    with Image.open(adapted / "samples" / "000003.png") as sheet:
        assert sheet.size == (96 + 66, 3 * 66)  # two classes and the prompt
    for name in ("samples.png", "losses.csv", "samples/000003.png"):
        assert (tmp_path / "mine" / name).read_bytes() == (adapted / name).read_bytes()


def test_the_table_of_losses_has_every_step_and_the_looks(adapted):
    card, table = json.loads((adapted / "card.json").read_text()), pd.read_csv(adapted / "losses.csv")
    assert table["step"].tolist() == list(range(7))
    assert table["loss"][1:].notna().all()
    assert table["loss"].iloc[-1] == pytest.approx(card["training"]["loss"], abs=1e-5)
    assert table["learning rate"][1] == pytest.approx(0.5 / 100)
    held = table.dropna(subset="generator holdout loss").set_index("step")
    assert held["generator holdout loss"].to_dict() == pytest.approx(
        {look["step"]: look["loss"] for look in card["looks"]}, rel=1e-6
    )
    assert held["generator holdout loss: normal"].notna().all()


@pytest.mark.slow
def test_images_keep_their_proportions_after_a_stop_too(material, base, tmp_path):
    wide = replace(QUICK, aspect=1.6667, steps=3)
    made = train_lora(material, base, wide, tmp_path / "whole")
    card = json.loads((made / "card.json").read_text())
    assert (card["size"], card["aspect"]) == ([40, 24], 1.6667)
    assert "Images of 40 x 24 pixels, the proportions of most" in (made / "README.md").read_text()
    with Image.open(made / "samples.png") as sheet:
        assert sheet.size == (96 + 4 * 82, 4 * 50)
    with pytest.raises(Killed):
        train_lora(material, base, wide, tmp_path / "mine", progress=stop_at("adapter", 2))
    train_lora(material, base, wide, tmp_path / "mine")
    assert (tmp_path / "mine" / FILE).read_bytes() == (made / FILE).read_bytes()


def test_a_kill_between_checkpoint_and_look_loses_no_look(material, base, adapted, tmp_path):
    calls = []

    def monitor(samples, seen):
        calls.append(samples)
        if len(calls) == 1:
            raise Killed
        return Observation()

    with pytest.raises(Killed):
        train_lora(material, base, QUICK, tmp_path / "mine", monitor)
    train_lora(material, base, QUICK, tmp_path / "mine", monitor)
    for name in (FILE, "losses.csv"):
        assert (tmp_path / "mine" / name).read_bytes() == (adapted / name).read_bytes()


@pytest.mark.slow
def test_two_processes_adapt_as_one_does_and_go_on_after_a_kill(material, base, adapted, tmp_path):
    both = replace(QUICK, workers=2)
    whole = train_lora(material, base, both, tmp_path / "whole")
    with pytest.raises(Killed):
        train_lora(material, base, both, tmp_path / "mine", progress=stop_at("adapter", 4))
    with pytest.raises(ModelError, match="other images or settings"):
        train_lora(material, base, QUICK, tmp_path / "mine")
    train_lora(material, base, both, tmp_path / "mine")
    for name in (FILE, "losses.csv"):
        assert (tmp_path / "mine" / name).read_bytes() == (whole / name).read_bytes()
    one, two = (load_file(folder / FILE) for folder in (adapted, whole))
    assert all(torch.allclose(one[name], two[name], atol=0.02) for name in one)  # sums in another order
    card = json.loads((whole / "card.json").read_text())
    assert card["processes"] == {"count": 2, "images_in_a_step": 4, "images_of_each": 2.0}
    assert "(2 processes, 4 images in each step of all together)" in (whole / "README.md").read_text()
    assert "processes" not in json.loads((adapted / "card.json").read_text())


@pytest.mark.slow
def test_text_encoders_learn_too_if_asked(material, tmp_path):
    other = find_checkpoint(str(write_pipeline(tmp_path / "xl", xl=True)))
    made = train_lora(material, other, replace(QUICK, text_encoder=True), tmp_path / "mine")
    pipe = StableDiffusionXLPipeline.from_pretrained(other.folder, use_safetensors=True, local_files_only=True)
    pipe.load_lora_weights(str(made), weight_name=FILE, use_safetensors=True, local_files_only=True)
    assert list(pipe.get_list_adapters()) == ["unet", "text_encoder", "text_encoder_2"]
    moved = {name.split(".")[0] for name, tensor in load_file(made / FILE).items() if "lora_B" in name and tensor.any()}
    assert moved == {"unet", "text_encoder", "text_encoder_2"}


@pytest.mark.slow
def test_xl_is_adapted_with_cached_words(material, tmp_path):
    other = find_checkpoint(str(write_pipeline(tmp_path / "xl", xl=True)))
    card = json.loads((train_lora(material, other, QUICK, tmp_path / "mine") / "card.json").read_text())
    assert card["change"]["grey_levels"] > 0.01
    assert card["base"]["pipeline"] == "StableDiffusionXLPipeline"


def test_a_minute_is_a_minute_with_looks_and_what_comes_after(material, base, tmp_path, monkeypatch):
    now, steps = 0.0, 0

    def slowly(generator, jobs):
        nonlocal now
        now += 0.5
        return draw_rows(generator, jobs)

    def progress(phase, done, total, note):
        nonlocal now, steps
        now += {"latents": 1, "adapter": 1, "comparing": 2}.get(phase, 0)
        steps = done if phase == "adapter" else steps

    monkeypatch.setattr(trainer, "draw_rows", slowly)
    clock = Clock(lambda: now)
    settings = replace(QUICK, steps=None, minutes=1, learning_rate=1e-3, repetitions=1000, patience=99)
    train_lora(material, base, settings, tmp_path / "mine", progress=progress, clock=clock)
    assert 45 < now <= 62  # a step and a look may begin just before the end
    assert steps > 15


def test_an_adapter_that_changes_nothing_is_an_error(material, base, tmp_path):
    with pytest.raises(ModelError, match="an adapter that changes"):
        train_lora(material, base, replace(QUICK, learning_rate=1e-12), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_holdout_loss_that_turns_ends_it_and_the_best_is_kept(material, base, tmp_path, monkeypatch):
    losses, said = iter([5.0, 3.0, 1.0, 2.0, 2.5]), []
    monkeypatch.setattr(trainer, "image_losses", lambda model, held, *_: [next(losses)] * len(held.mean))
    patient = replace(QUICK, look_every=1 / 6, patience=2)
    made = train_lora(material, base, patient, tmp_path / "mine", progress=lambda *each: said.append(each[3]))
    card = json.loads((made / "card.json").read_text())
    assert card["training"]["steps"] == 4
    assert card["kept"] == {"step": 2, "holdout_loss": pytest.approx(1.0)}
    assert card["ended"] == "stopped: the generator holdout loss has not improved since step 2"
    assert any(line.startswith("Kept: the averaged weights after step 2") for line in said)


def test_a_loss_that_never_fell_is_a_warning():
    evaluations = [Evaluation(0, 0, 1.0), Evaluation(1, 4, 1.5)]
    assert "1.0000 (1.5000)" in verdict(evaluations, evaluations[1], "over")
    evaluations = [Evaluation(0, 0, 1.0), Evaluation(1, 4, 0.5)]
    assert "holdout loss 1.0000 before, 0.5000 there" in verdict(evaluations, evaluations[1], "over")


def test_the_watch_sees_samples_and_training_images_and_can_stop(material, base, tmp_path):
    seen_by = []

    def monitor(samples, seen):
        seen_by.append(({label: len(images) for label, images in samples.items()}, seen.greys.shape, seen.labels))
        return Observation({"copies": 1.0}, ("a copy",), "it copies")

    card = json.loads((train_lora(material, base, QUICK, tmp_path / "mine", monitor) / "card.json").read_text())
    assert seen_by == [({"normal": 1, "nodule": 1}, (11, 64, 64), ["nodule"] * 3 + ["normal"] * 8)]
    assert card["ended"] == "stopped: it copies"
    assert card["looks"][-1]["figures"] == {"copies": 1.0}


def test_no_image_is_seen_more_often_than_the_cap(material, base, tmp_path):
    capped = replace(QUICK, steps=400, repetitions=2, look_every=0.5)
    card = json.loads((train_lora(material, base, capped, tmp_path / "mine") / "card.json").read_text())
    assert card["training"]["steps"] == 2 * 11 // 4
    assert card["ended"].startswith("every image was seen 2 times")


def test_without_holdout_images_it_says_so_and_keeps_the_last(material, base, tmp_path):
    said = []
    alone = replace(material, holdout=[])
    made = train_lora(alone, base, QUICK, tmp_path / "mine", progress=lambda *each: said.append(each[3]))
    assert json.loads((made / "card.json").read_text())["kept"] == {"step": 6, "holdout_loss": None}
    assert any("overfitting was not measured" in line for line in said)


def test_a_class_of_one_image_is_left_out_and_said(material, base, tmp_path):
    lone = [each for each in material.train if each.label == "normal" or each.path.endswith("p1000-0.png")]
    said = []
    made = train_lora(
        replace(material, train=lone), base, QUICK, tmp_path / "mine", progress=lambda *each: said.append(each[3])
    )
    card = json.loads((made / "card.json").read_text())
    assert (card["left_out"], card["classes"]) == (["nodule"], {"normal": 8})
    assert any(line.startswith("Warning: nodule has only one training image") for line in said)


@pytest.mark.parametrize("train", [[], ["nodule"]], ids=["none", "one image"])
def test_nothing_to_learn_from_is_an_error(material, base, tmp_path, train):
    few = [next(each for each in material.train if each.label == label) for label in train]
    with pytest.raises(CollectionError, match="at least two training images"):
        train_lora(replace(material, train=few), base, QUICK, tmp_path / "mine")


def test_a_class_without_a_pack_is_an_error(material, base, tmp_path):
    with pytest.raises(PromptError, match="none for nodule"):
        train_lora(replace(material, packs={"normal": load_pack("chest")}), base, QUICK, tmp_path / "mine")


def test_a_prior_share_without_a_common_class_is_an_error(material, base, tmp_path):
    few = [each for each in material.train if each.label == "nodule"]
    with pytest.raises(ModelError, match=r"larger|more training images than the mean class.*\n.*none: 3 of nodule"):
        train_lora(replace(material, train=few), base, replace(QUICK, prior_share=0.5), tmp_path / "mine")


def test_a_validation_prompt_that_the_base_would_cut_is_an_error(material, base, tmp_path):
    with pytest.raises(ModelError, match="a --validation-prompt of at most 77 tokens"):
        train_lora(material, base, replace(QUICK, validation_prompts=("nodule " * 200,)), tmp_path / "mine")


def test_captions_that_the_base_would_cut_are_an_error(material, base, tmp_path):
    pack = tmp_path / "long.yaml"
    pack.write_text(
        (Path("prompt_templates") / "chest.yaml")
        .read_text()
        .replace("- a solitary pulmonary nodule", "- " + "nodule " * 200)
    )
    long = dict.fromkeys(("normal", "nodule"), load_pack(str(pack)))
    with pytest.raises(ModelError, match="captions of at most 77 tokens"):
        train_lora(replace(material, packs=long), base, QUICK, tmp_path / "mine")


def test_a_base_that_predicts_a_flow_is_an_error(material, checkpoint, tmp_path):
    copy = shutil.copytree(checkpoint, tmp_path / "flow")
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({**json.loads(scheduler.read_text()), "prediction_type": "flow_prediction"}))
    with pytest.raises(ModelError, match="flow_prediction"):
        train_lora(material, find_checkpoint(str(copy)), QUICK, tmp_path / "mine")


def test_too_little_memory_even_for_one_image_is_an_error(material, base, tmp_path, monkeypatch):
    sizes = []

    def full(self, clean, *others):
        if torch.is_grad_enabled():
            sizes.append((len(clean), self.denoiser.is_gradient_checkpointing))
            raise torch.OutOfMemoryError("full")
        return clean.mean(dim=(1, 2, 3))

    monkeypatch.setattr("balancer.adapting.lora.base_model.LoraModel.losses", full)
    with pytest.raises(OutOfMemory, match="even with gradient checkpointing"):
        train_lora(material, base, QUICK, tmp_path / "mine")
    assert sizes == [(4, False), (4, True), (2, True), (1, True)]


def test_another_training_in_the_same_place_is_an_error(material, base, adapted):
    with pytest.raises(ModelError, match="another --name"):
        train_lora(material, base, replace(QUICK, seed=1), adapted)
    assert train_lora(material, base, QUICK, adapted) == adapted
