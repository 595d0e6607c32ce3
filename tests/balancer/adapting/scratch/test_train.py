import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image
from torch import nn

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.image_tensors import draw_samples
from balancer.adapting.common.run_dir import work_folder
from balancer.adapting.scratch import denoiser
from balancer.adapting.scratch.phases import Run
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.train import train_from_scratch
from balancer.collection.scan import Sample
from balancer.errors import CollectionError, ModelError, OutOfMemory
from balancer.prompting.packs import load_pack

PACK = load_pack("chest")
TINY = ScratchSettings(
    size=16,
    steps=6,
    batch_size=4,
    autoencoder_batch_size=4,
    device="cpu",
    compile=False,
    autoencoder_share=0.5,
    autoencoder_width=8,
    unet_channels=(16, 32),
    text_width=32,
    text_layers=1,
    vocabulary=600,
    checkpoint_every_seconds=0,
    sample_every=0.5,
)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sample]]:
    root = tmp_path_factory.mktemp("collection")
    chance, samples = np.random.default_rng(0), []
    for label, count in (("normal", 6), ("nodule", 2)):
        (root / label).mkdir()
        for i in range(count):
            path = root / label / f"{i}.png"
            Image.fromarray(chance.integers(0, 256, (24, 32), np.uint8)).save(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            samples.append(Sample(f"{label}/{i}.png", label, None, digest))
    return root, samples


@pytest.fixture(scope="module")
def trained(collection: tuple[Path, list[Sample]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, samples = collection
    return train_from_scratch(samples, root, PACK, TINY, tmp_path_factory.mktemp("made") / "small", "ab" * 32)


def hashes(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "card.json").read_text())["weights_sha256"]
    return found


def stop_at(phase: str, step: int) -> Callable[[str, int, int, str], None]:
    def progress(now: str, done: int, total: int, message: str) -> None:
        if (now, done) == (phase, step):
            raise Killed

    return progress


def test_the_folder_is_an_ordinary_pipeline_that_draws_grey_pictures(trained: Path) -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(trained, use_safetensors=True, local_files_only=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    image = pipeline("a nodule", negative_prompt="text", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (16, 16, 3)
    assert np.ptp(image, axis=-1).max() < 1e-6


def test_weights_are_half_precision_safetensors_and_nothing_is_pickled(trained: Path) -> None:
    from safetensors.torch import load_file

    assert set(hashes(trained)) == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    }
    kinds = {tensor.dtype for name in hashes(trained) for tensor in load_file(trained / name).values()}
    assert kinds == {torch.float16}
    suffixes = {path.suffix for path in trained.rglob("*") if path.is_file()}
    assert suffixes == {".csv", ".safetensors", ".json", ".txt", ".md", ".png"}


def test_the_card_knows_every_file_and_count(trained: Path, collection: tuple[Path, list[Sample]]) -> None:
    card = json.loads((trained / "card.json").read_text())
    assert card["kind"] == "checkpoint"
    assert card["statement"].startswith("Trained only on your 8 images (2 of nodule, 6 of normal).")
    assert "smaller than 8 px of your originals" in card["statement"]
    assert card["training_files"] == {sample.path: sample.sha256 for sample in collection[1]}
    assert card["split_sha256"] == "ab" * 32
    assert card["training"]["denoiser"]["steps"] == card["training"]["autoencoder"]["steps"] == 3
    weights = trained / "unet" / "diffusion_pytorch_model.safetensors"
    assert (
        hashes(trained)["unet/diffusion_pytorch_model.safetensors"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    )
    assert card["statement"] in (trained / "README.md").read_text()


def test_nothing_in_the_folder_names_this_machine(trained: Path, collection: tuple[Path, list[Sample]]) -> None:
    places = [str(Path(path).parent) for path in (trained, collection[0])] + [str(Path.home()) + "/"]
    texts = [path.read_text() for path in trained.rglob("*") if path.suffix in (".json", ".md", ".txt")]
    assert not [place for place in places for text in texts if place in text]


def test_the_last_sample_picture_is_kept_and_the_work_is_gone(trained: Path) -> None:
    with Image.open(trained / "samples.png") as sheet:
        assert sheet.size == (96 + 6 * 34, 2 * 34)
    assert [path.name for path in trained.parent.iterdir()] == ["small"]


@pytest.mark.parametrize(("phase", "step"), [("autoencoder", 2), ("latents", 4), ("denoiser", 1), ("samples", 1)])
def test_a_killed_run_ends_with_the_weights_of_an_undisturbed_one(
    collection: tuple[Path, list[Sample]], trained: Path, tmp_path: Path, phase: str, step: int
) -> None:
    root, samples = collection
    folder = tmp_path / "small"
    with pytest.raises(Killed):
        train_from_scratch(samples, root, PACK, TINY, folder, "ab" * 32, stop_at(phase, step))
    assert not folder.exists()
    torch.manual_seed(99)  # whatever the global generator does meanwhile
    train_from_scratch(samples, root, PACK, TINY, folder, "ab" * 32)
    assert hashes(folder) == hashes(trained)
    for name in ("samples.png", "losses.csv"):
        assert (folder / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.slow
def test_two_processes_train_whole_after_a_kill_in_either_phase(
    collection: tuple[Path, list[Sample]], trained: Path, tmp_path: Path
) -> None:
    root, samples = collection
    both = replace(TINY, workers=2)
    whole = train_from_scratch(samples, root, PACK, both, tmp_path / "whole", "ab" * 32)
    for phase in ("autoencoder", "denoiser"):
        with pytest.raises(Killed):
            train_from_scratch(samples, root, PACK, both, tmp_path / "small", "ab" * 32, stop_at(phase, 2))
    train_from_scratch(samples, root, PACK, both, tmp_path / "small", "ab" * 32)
    assert hashes(tmp_path / "small") == hashes(whole)
    losses = [json.loads((folder / "card.json").read_text())["training"] for folder in (trained, whole)]
    for phase in ("autoencoder", "denoiser"):
        assert losses[0][phase]["loss"] == pytest.approx(losses[1][phase]["loss"], rel=0.05)


MINUTE = replace(TINY, steps=None, minutes=1, sample_every=0.25)


class Time:
    """A clock on which every image read, step and drawn row takes its time, and nothing else does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, sheet_step: float) -> None:
        self.now, self.steps, self.sheets = 0.0, {"autoencoder": 0, "denoiser": 0}, 0
        self.clock = Clock(lambda: self.now)

        def slowly(pipeline: Any, packs: Any, seed: int, columns: int = 6, steps: int = 25) -> Any:
            self.now += len(packs) * steps * sheet_step
            return draw_samples(pipeline, packs, seed, columns, 1)

        monkeypatch.setattr(denoiser, "draw_samples", slowly)

    def __call__(self, phase: str, done: int, total: int, message: str) -> None:
        if phase in self.steps:
            self.steps[phase] = done
            self.now += 1
        self.now += 0.5 * (phase == "images" and 0 < done < total)
        self.sheets += message == "generating sample images"


def test_a_minute_is_a_minute_whatever_it_is_spent_on(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, samples = collection
    time = Time(monkeypatch, sheet_step=0.1)
    folder = train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", time, clock=time.clock)
    assert 50 < time.now <= 60  # five seconds are left for saving, which takes none here
    assert time.steps["autoencoder"] >= 25
    assert time.steps["denoiser"] >= 15
    assert time.sheets == 1  # one on the way would have taken a twelfth of the time
    assert (folder / "samples.png").exists()


def test_where_sheets_are_quick_they_are_drawn_on_the_way(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, samples = collection
    time = Time(monkeypatch, sheet_step=0.001)
    train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", time, clock=time.clock)
    assert time.sheets == 4
    assert time.now <= 60


@pytest.mark.parametrize(("phase", "step"), [("autoencoder", 7), ("denoiser", 7)])
def test_what_a_killed_sitting_took_is_counted(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, step: int
) -> None:
    root, samples = collection
    first, second = (Time(monkeypatch, sheet_step=0.01) for _ in range(2))
    stop = stop_at(phase, step)

    def stopped(*said: Any) -> None:
        first(*said)
        stop(*said)

    with pytest.raises(Killed):
        train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", stopped, clock=first.clock)
    train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", second, clock=second.clock)
    assert 50 < first.now + second.now <= 61  # the step that was not kept is made again
    assert second.clock.seconds() <= 60


def test_where_time_is_short_some_images_of_each_class_are_learned_and_that_is_said(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, samples = collection
    time, said = Time(monkeypatch, sheet_step=0.01), []

    def slowly(phase: str, done: int, total: int, message: str) -> None:
        time(phase, done, total, message)
        time.now += 15 * (phase == "latents")
        said.append(message)

    folder = train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", slowly, clock=time.clock)
    assert json.loads((folder / "card.json").read_text())["training"]["denoiser"]["images"] == 4
    assert "Time for 4 of 8 images: the denoiser is trained on these." in said
    assert "trained on 4 of them" in (folder / "README.md").read_text()


def test_too_little_time_gives_a_step_of_each_and_a_checkpoint(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, samples = collection
    time = Time(monkeypatch, sheet_step=5.0)
    folder = train_from_scratch(samples, root, PACK, MINUTE, tmp_path / "made", "", time, clock=time.clock)
    assert time.steps["denoiser"] == 1
    assert (folder / "unet").is_dir()


class Compiling:
    """A run on a GPU that is none: what compilation gives, and how long each step takes with it and without."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plain: float, fast: float, **settings: Any) -> None:
        self.now, self.compilations = 0.0, 0
        self.seconds = {"plain": plain, "fast": fast}
        self.networks = nn.ModuleDict({"text_encoder": nn.Linear(1, 1), "unet": nn.Linear(1, 1)})
        machine = SimpleNamespace(device=SimpleNamespace(type="cuda"))
        usual = {"steps": None, "compile": True, **settings}
        clock = Clock(lambda: self.now)
        self.run = Run([], {}, replace(TINY, **usual), Path(), machine, lambda *_: None, clock=clock)  # type: ignore[arg-type]
        monkeypatch.setattr(denoiser, "_compiled", self.compiled)

    def compiled(self, *_: Any) -> tuple[str, str]:
        self.compilations += 1
        self.now += 60
        return "fast", "fast"

    def judged_by(self, encoder: Any, unet: Any) -> Callable[..., torch.Tensor]:
        kind = unet if isinstance(unet, str) else "plain"

        def loss(*batch: torch.Tensor) -> torch.Tensor:
            self.now += self.seconds[kind]
            return self.networks["unet"](torch.ones(1, 1)).sum()

        loss.__name__ = kind
        return loss

    def choose(self) -> str:
        loss = denoiser._quickest(self.run, self.networks, self.judged_by, lambda step: (torch.ones(1),))
        return loss.__name__


@pytest.mark.parametrize(
    ("settings", "fast", "chosen", "compilations"),
    [
        ({"minutes": 60}, 0.5, "fast", 1),
        ({"minutes": 60}, 1.1, "plain", 1),
        ({"minutes": 5}, 0.5, "plain", 0),
        ({"steps": 10_000}, 0.5, "fast", 1),
        ({"steps": 100}, 0.5, "plain", 0),
        ({"minutes": 60, "compile": False}, 0.5, "plain", 0),
    ],
)
def test_compiled_where_it_pays_back(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], fast: float, chosen: str, compilations: int
) -> None:
    made = Compiling(monkeypatch, 1.0, fast, **settings)
    assert made.choose() == chosen
    assert made.compilations == compilations
    assert all(parameter.grad is None for parameter in made.networks.parameters())


def test_never_compiled_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Compiling(monkeypatch, 1.0, 0.1, minutes=600)
    made.run.machine.device.type = "cpu"  # type: ignore[misc]
    assert made.choose() == "plain"
    assert made.now == 0


def test_a_finished_folder_is_not_trained_again(collection: tuple[Path, list[Sample]], trained: Path) -> None:
    root, samples = collection
    before = hashes(trained)
    train_from_scratch(samples, root, PACK, TINY, trained, "ab" * 32, lambda *_: pytest.fail("it trained"))
    assert hashes(trained) == before


def test_another_training_is_not_overwritten(collection: tuple[Path, list[Sample]], trained: Path) -> None:
    root, samples = collection
    with pytest.raises(ModelError, match="another --name"):
        train_from_scratch(samples[1:], root, PACK, TINY, trained, "ab" * 32)


def test_other_images_do_not_go_on_with_an_unfinished_training(
    collection: tuple[Path, list[Sample]], tmp_path: Path
) -> None:
    root, samples = collection
    with pytest.raises(Killed):
        train_from_scratch(samples, root, PACK, TINY, tmp_path / "a", "", stop_at("autoencoder", 1))
    with pytest.raises(ModelError, match=r"a\.training"):
        train_from_scratch(samples[1:], root, PACK, TINY, tmp_path / "a", "")
    assert work_folder(tmp_path / "a").is_dir()


def test_each_label_may_have_its_own_pack(collection: tuple[Path, list[Sample]], tmp_path: Path) -> None:
    root, samples = collection
    packs = {"normal": PACK, "nodule": load_pack("bone")}
    with pytest.raises(Killed):
        train_from_scratch(samples, root, packs, TINY, tmp_path / "a", "", stop_at("denoiser", 1))


def test_a_class_of_one_image_is_left_out_and_said(collection: tuple[Path, list[Sample]], tmp_path: Path) -> None:
    root, samples = collection
    said: list[str] = []
    few = [each for each in samples if each.path != "nodule/0.png"]
    made = train_from_scratch(few, root, PACK, TINY, tmp_path / "small", "ab" * 32, lambda *each: said.append(each[3]))
    card = json.loads((made / "card.json").read_text())
    assert (card["left_out"], card["classes"]) == (["nodule"], {"normal": 6})
    assert any(line.startswith("Warning: nodule has only one training image") for line in said)


def test_too_little_memory_even_for_one_image_is_an_error(
    collection: tuple[Path, list[Sample]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("full")

    root, samples = collection
    monkeypatch.setattr("balancer.adapting.scratch.autoencoder.reconstruction_loss", full)
    with pytest.raises(OutOfMemory, match="even with one image at a time"):
        train_from_scratch(samples, root, PACK, TINY, tmp_path / "small", "ab" * 32)


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="at least two training images"):
        train_from_scratch([], tmp_path, PACK, TINY, tmp_path / "a", "")


def test_the_usual_networks_fit_in_25_megabytes() -> None:
    from balancer.adapting.scratch import captions, networks

    settings = ScratchSettings()
    tokenizer = captions.build_tokenizer(*captions.train_vocabulary({"nodule": PACK}, settings.vocabulary))
    parts = [
        networks.build_autoencoder(settings),
        networks.build_unet(settings),
        captions.build_text_encoder(settings, tokenizer),
    ]
    assert sum(2 * p.numel() for part in parts for p in part.parameters()) < 24e6
