"""Learning from other radiographs first: what of a folder is taken, and that a stopped training ends the same."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from balancer.adapting.common.clock import Clock
from balancer.adapting.common.run_dir import pretrained_folder
from balancer.adapting.scratch.pool import LEAST, Pool, read_pool
from balancer.adapting.scratch.pretrain import _in_two, pretrain
from balancer.adapting.scratch.settings import ScratchSettings
from balancer.adapting.scratch.start import facts_of
from balancer.adapting.scratch.train import train_from_scratch
from balancer.collection.image_stats import Contents, read_contents
from balancer.collection.scan import Sample
from balancer.errors import CollectionError, ModelError
from balancer.files import sha256_of
from tests.balancer.adapting.scratch.test_train import PACK, TINY, Killed, collection, hashes, stop_at

__all__ = ["collection"]

PACKS = {"normal": PACK, "nodule": PACK}
STEPS = replace(TINY, steps=12)


def write_pool(folder: Path, count: int = LEAST + 4) -> Path:
    """Smooth random pictures, no two of which are alike."""
    folder.mkdir()
    for place in range(count):
        coarse = np.random.default_rng(place).integers(0, 256, (6, 6), np.uint8)
        Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(folder / f"{place:03}.png")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pool(tmp_path_factory.mktemp("pool") / "others")


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    return read_pool(folder, TINY.size, {}, ())


def test_what_may_not_be_learned_from_is_left_out_and_counted(folder: Path, tmp_path: Path) -> None:
    others, mine = tmp_path / "others", tmp_path / "mine"
    shutil.copytree(folder, others)
    for part in ("test", "train"):
        (mine / part).mkdir(parents=True)
    shutil.copyfile(others / "000.png", mine / "test" / "same.png")
    shutil.copyfile(others / "001.png", mine / "train" / "known.png")
    with Image.open(others / "002.png") as image:
        image.resize((96, 96)).save(mine / "test" / "larger.jpg", quality=90)
    (others / "003.png").write_bytes((others / "003.png").read_bytes()[:200])
    shutil.copyfile(others / "004.png", others / "again.png")
    Image.new("L", (48, 48), 90).save(others / "grey.png")
    contents = contents_of(mine / "test")
    known = {sha256_of(mine / "test" / "same.png"): True, sha256_of(mine / "train" / "known.png"): False}
    found = read_pool(others, TINY.size, known, contents)
    assert dict(found.left_out) == {
        "already in your collection": 1,
        "damaged": 1,
        "of one grey level": 1,
        "repeated": 1,
        "the same file as a held-out image": 1,
        "the same picture as a held-out image": 1,
    }
    assert len(found.samples) == len(found.pictures.grey) == LEAST
    assert not {"000.png", "001.png", "002.png", "003.png", "grey.png"} & {each.path for each in found.samples}
    assert "1 the same picture as a held-out image" in found.told()
    assert "held-out patients are on other images" in found.told()


def contents_of(folder: Path) -> list[Contents]:
    stats = {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}
    images = pd.DataFrame.from_dict(stats, orient="index", columns=["size", "mtime_ns"])
    return list(read_contents(folder, images, {}).values())


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda place: None, "nothing there"),
        (lambda place: place.write_text("no folder"), "a file"),
        (lambda place: place.mkdir(), "others: 0"),
        (lambda place: write_pool(place, 3), "others: 3"),
    ],
)
def test_a_folder_that_teaches_nothing_is_refused(tmp_path: Path, make: Callable[[Path], object], found: str) -> None:
    make(tmp_path / "others")
    with pytest.raises(CollectionError, match=found) as caught:
        read_pool(tmp_path / "others", TINY.size, {}, ())
    assert "--pretrain FOLDER" in str(caught.value)


class Seconds:
    """A clock on which every step takes a second and nothing else takes any."""

    def __init__(self) -> None:
        self.now, self.steps, self.said = 0.0, dict[str, int](), list[str]()

    def __call__(self, phase: str, done: int, total: int, message: str) -> None:
        self.said.append(message)
        if phase.endswith(("autoencoder", "denoiser")) and done:
            self.steps[phase] = done
            self.now += 1


def train(
    pool: Pool,
    collection: tuple[Path, list[Sample]],
    made: Path,
    settings: ScratchSettings = STEPS,
    progress: Callable[[str, int, int, str], None] = lambda *_: None,
    clock: Clock | None = None,
) -> Path:
    root, samples = collection
    clock = clock or Clock()
    second, pretrained = pretrain(pool, PACKS, settings, made, clock, progress)
    return train_from_scratch(
        samples, root, PACK, second, made, "ab" * 32, progress, clock=clock, pretrained=pretrained
    )


@pytest.fixture(scope="module")
def made(pool: Pool, collection: tuple[Path, list[Sample]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(pool, collection, tmp_path_factory.mktemp("made") / "small")


def test_the_card_tells_what_it_learned_from_first(
    made: Path, pool: Pool, collection: tuple[Path, list[Sample]]
) -> None:
    card = json.loads((made / "card.json").read_text())
    assert card["pretrained"] == {"images": len(pool.samples), "left_out": {}}
    known = {sample.sha256: sample.sha256 for sample in pool.samples}
    assert card["training_files"] == known | {sample.path: sample.sha256 for sample in collection[1]}
    assert card["statement"].startswith(
        f"Trained first on {LEAST + 4} unlabelled radiographs of another folder, then on"
    )
    steps = {phase: facts["steps"] for phase, facts in card["training"].items()}
    assert steps == dict.fromkeys(("pretraining_autoencoder", "pretraining_denoiser", "autoencoder", "denoiser"), 3)
    assert card["statement"] in (made / "README.md").read_text()
    assert [path.name for path in made.parent.iterdir()] == ["small"]
    assert "\npretraining denoiser,3," in (made / "losses.csv").read_text()
    assert str(pool.root) not in (made / "card.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "step"),
    [("pretraining autoencoder", 2), ("pretraining denoiser", 2), ("autoencoder", 1), ("denoiser", 2)],
)
def test_stopped_anywhere_it_ends_with_the_weights_of_one_that_was_not(
    made: Path, pool: Pool, collection: tuple[Path, list[Sample]], tmp_path: Path, phase: str, step: int
) -> None:
    with pytest.raises(Killed):
        train(pool, collection, tmp_path / "small", progress=stop_at(phase, step))
    assert not (tmp_path / "small").exists()
    if not phase.startswith("pretraining"):  # both networks learn on
        before, after = hashes(pretrained_folder(tmp_path / "small")), hashes(made)
        assert [name for name in after if before[name] == after[name]] == []
    assert hashes(train(pool, collection, tmp_path / "small")) == hashes(made)


def test_a_finished_one_is_left_as_it_is_and_one_of_other_images_is_not_taken_for_it(
    made: Path, pool: Pool, collection: tuple[Path, list[Sample]]
) -> None:
    before = hashes(made)
    assert hashes(train(pool, collection, made, progress=lambda *_: pytest.fail("it trained"))) == before
    other = replace(pool, samples=pool.samples[1:])
    with pytest.raises(ModelError, match="another --name"):
        train(other, collection, made)
    assert not pretrained_folder(made).exists()


def test_an_unfinished_training_without_it_is_refused_before_anything_is_learned(
    pool: Pool, collection: tuple[Path, list[Sample]], tmp_path: Path
) -> None:
    root, samples = collection
    with pytest.raises(Killed):
        train_from_scratch(samples, root, PACK, TINY, tmp_path / "small", "", stop_at("autoencoder", 1))
    with pytest.raises(ModelError, match=r"small\.training"):
        train(pool, collection, tmp_path / "small", progress=lambda *_: pytest.fail("it trained"))


def test_what_goes_on_from_it_keeps_what_it_learned_from_on_record(made: Path, pool: Pool) -> None:
    facts = facts_of(made)
    assert facts["pretrained"]["images"] == len(pool.samples)
    assert pool.places.keys() < set(facts["training_files"].values())
    assert facts["start"]["name"] == "small"


@pytest.mark.slow
def test_minutes_are_shared_on_one_clock_also_by_two_sittings(
    pool: Pool, collection: tuple[Path, list[Sample]], tmp_path: Path
) -> None:
    minute = replace(TINY, steps=None, minutes=1, sample_every=0.9)
    first, second = Seconds(), Seconds()
    stop = stop_at("autoencoder", 4)

    def stopped(*said: Any) -> None:
        first(*said)
        stop(*said)

    with pytest.raises(Killed):
        train(pool, collection, tmp_path / "small", minute, stopped, Clock(lambda: first.now))
    assert first.steps["pretraining denoiser"] >= 9  # after as many of the autoencoder, and before some for saving
    assert 25 <= first.now <= 35  # half of it was spent on the pool, and a little on what follows
    train(pool, collection, tmp_path / "small", minute, second, Clock(lambda: second.now))
    assert 50 <= first.now + second.now <= 61
    assert second.steps["denoiser"] >= 12
    assert any(line.startswith(f"Trained first on {LEAST + 4} unlabelled radiographs") for line in second.said)


def test_minutes_and_steps_are_halved() -> None:
    first, second = _in_two(ScratchSettings(minutes=60))
    assert (first.minutes, first.pretrain_share) == (30, None)
    assert (second.minutes, second.pretrain_share) == (60, 0.5)
    assert "pretrain_share" not in first.to_json()
    assert second.to_json()["pretrain_share"] == 0.5
