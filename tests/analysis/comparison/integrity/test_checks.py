"""Leaks that are planted are found, each by its kind; where nothing is wrong nothing is."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from analysis.comparison.integrity.checks import INVALID, check, require_honest, stamps
from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan, with_hashes
from balancer.dataset.xmp import make_xmp
from balancer.errors import ComparisonError
from balancer.files import sha256_of
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.imaging.decode import OutputFormat, encode
from balancer.jobs import Candidate, ExternalOrigin, Verdict
from balancer.splits.split import draw_split, no_split
from tests.support.balanced_fixtures import make_job
from tests.support.scan_faults import copy_altered, first
from tests.support.study_fixtures import (
    Place,
    draw,
    drawn_by,
    filled,
    judged,
    made_from,
    place_of,
    sample,
    write_adapter,
    write_card,
    write_flat,
    write_images,
)


def _renamed(part: str) -> Callable[[Path], object]:
    """A test image that is of a patient of another part."""

    def plant(root: Path) -> None:
        patient = first(root, part, "NODULE").name.partition("-")[0]
        first(root, "test", "NODULE").rename(root / "test" / "NODULE" / f"{patient}-9.png")

    return plant


def _patient_of_a_table(folder: Path) -> Place:
    """No name tells the patient, a table does: one of them is in training and test part."""
    place = place_of(folder, patient=None)
    train, test = place.paths("train")[0], place.paths("test")[0]
    lines = [f"{path},{'one' if path in (train, test) else path}" for path in place.collection.images.index]
    (folder / "meta.csv").write_text("\n".join(["file,patient", *lines]) + "\n")
    place.collection = scan(folder / "xrays", table=read_table(folder / "meta.csv"))
    place.ledger.save_collection(place.collection)
    return filled(place)


def _split_by_image(folder: Path) -> Place:
    """A flat collection whose split was drawn when its patients were unknown."""
    place = place_of(folder, write_flat, patient=None)
    place.collection = scan(folder / "xrays", r"(p\d+)-")
    return filled(place)


def _extra_patient(folder: Path) -> Place:
    place = filled(place_of(folder))
    (folder / "more" / "NODULE").mkdir(parents=True)
    draw(77).save(folder / "more" / "NODULE" / f"{Path(place.paths('test')[0]).name.partition('-')[0]}-7.png")
    return place


def _copied(altered: Callable[[Path, Path], object], part: str = "train") -> Callable[[Path], object]:
    """A test image under the name of a new patient in another part."""
    return lambda root: altered(first(root, "test", "NORMAL"), root / part / "NORMAL" / "p77-0.png")


def _framed(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        ImageOps.expand(image.convert("L"), 6, fill=255).save(target)


def _deep(source: Path, target: Path) -> None:
    """With 16 bits, and without its outermost pixels."""
    with Image.open(source) as image:
        values = np.asarray(ImageOps.crop(image.convert("L"), 1), np.uint16)
    Image.fromarray(values * 100 + 7).save(target)


def _extra_copy(folder: Path) -> Place:
    place = filled(place_of(folder))
    (folder / "more" / "NODULE").mkdir(parents=True)
    copy_altered(folder / "xrays" / place.paths("test")[0], folder / "more" / "NODULE" / "new", "brightened")
    return place


def _synthetic_copy(folder: Path) -> Place:
    """A generator that gives back a test image, as one that has seen it does."""
    place = place_of(folder)
    job = make_job("NODULE", 0)
    with Image.open(folder / "xrays" / place.paths("test")[0]) as image:
        grey = np.asarray(image.convert("L"))
    output = OutputFormat("PNG", ".png", "L", 8, None)
    place.state.candidates.mkdir()
    (file := place.state.candidates / f"{job.id}.png").write_bytes(
        encode(grey // 2 + 40, output, make_xmp("NODULE", job))
    )
    (made, verdict), *others = judged(place)
    assert made.path == file
    return _refilled(place, [(replace(made, sha256=sha256_of(file)), verdict), *others])


def _refilled(place: Place, found: list[tuple[Candidate, Verdict]]) -> Place:
    place.fill(found)
    return place


def _adapter_knows(part: str) -> Callable[[Path], Place]:
    def leak(folder: Path) -> Place:
        place = place_of(folder)
        adapter = write_adapter(place, [place.paths("train")[0], place.paths(part)[0]])
        return filled(place, change=drawn_by(None, adapter))

    return leak


def _adapter_knows_content(folder: Path) -> Place:
    """It learned from a file that was moved to the test part afterwards, under another name."""
    place = place_of(folder)
    adapter = write_adapter(place, [place.paths("train")[0]])
    write_card(place.state.adapters / "lora", {"train/NODULE/gone.png": sample(place, place.paths("test")[3]).sha256})
    return filled(place, change=drawn_by(None, adapter))


def _adapter_of_the_earlier_split(folder: Path) -> Place:
    """The split is drawn anew after adapting, and everything else follows it."""
    place = place_of(folder, write_flat)
    adapter = write_adapter(place, list(place.split.paths("train")))
    place.split = draw_split(place.collection, seed=1)
    return filled(place, change=drawn_by(None, adapter))


def _base_knows(folder: Path, checkpoint: Path) -> Place:
    """The adapter is clean, the base that was trained from scratch is not."""
    place = place_of(folder)
    base = place.state.adapters / "scratch"
    shutil.copytree(checkpoint, base)
    write_card(base, {place.paths("test")[0]: "00"})
    place.ledger.add_adapter(place.collection, base)
    adapter = write_adapter(place, [place.paths("train")[0]])
    return filled(place, change=drawn_by(find_checkpoint(str(base)).ref, adapter))


def _screened_by_test(folder: Path) -> Place:
    place = place_of(folder)
    return filled(place, scores={"copy_nearest": place.paths("test")[0]})


def _rejected_by_test(folder: Path) -> Place:
    """What was merged was screened well, but a candidate was rejected for a test image."""
    place = place_of(folder)
    near = {"copy_nearest": place.paths("test", "NORMAL")[2]}
    return _refilled(place, [*judged(place), *judged(place, 1, "reject", near, first=20)])


def _split_redrawn(folder: Path) -> Place:
    place = filled(place_of(folder, write_flat))
    place.split = draw_split(place.collection, seed=1)
    return place


def _nothing_held_out(folder: Path) -> Place:
    """Filled with --no-holdout, so that adapter and screen took all images for training images."""
    place = place_of(folder, write_flat)
    present, place.split = place.split, no_split(place.collection)
    filled(place)
    place.split = present
    return place


def _planted_synthetic(part: str, suffix: str = ".png") -> Callable[[Path], object]:
    """An image that says itself that it is synthetic, among the real ones."""

    def plant(root: Path) -> None:
        output = OutputFormat("JPEG" if suffix == ".jpg" else "PNG", suffix, "L", 8, None)
        content = encode(np.asarray(draw(78)), output, make_xmp("NODULE", make_job("NODULE", 90)))
        (root / part / "NODULE" / f"p78-0{suffix}").write_bytes(content)

    return plant


def _as_given_in_test(folder: Path) -> Place:
    """An image of another generator, which says nothing of itself, was taken in; the same file is a test image."""
    place = filled(place_of(folder, plant=lambda root: draw(79).save(root / "test" / "NODULE" / "p79-0.png")))
    given = folder / "xrays" / "test" / "NODULE" / "p79-0.png"
    origin = ExternalOrigin("x.png", sample(place, "test/NODULE/p79-0.png").sha256, "", "theirs", given, "PNG")
    made = Candidate("NODULE", place.state.candidates / "x.png", "ab" * 32, None, origin)
    place.ledger.add_candidates(place.collection, [(made, Verdict("reject", {}, (), "screen 1"))])
    return place


def _added_to_the_folder(folder: Path) -> Place:
    place = filled(place_of(folder))
    shutil.copy(next(place.out.glob("train/NODULE/syn-*")), place.out / "test" / "NODULE" / "new.png")
    return place


def _replaced_in_the_folder(folder: Path) -> Place:
    place = filled(place_of(folder))
    shutil.copy(next(place.out.glob("train/NODULE/syn-*")), place.out / place.paths("test")[0])
    return place


def _made_from_test(folder: Path) -> Place:
    place = place_of(folder)
    source = sample(place, place.paths("test")[0])
    return filled(place, change=made_from(mode="image", source=source, strength=0.5))


def _intensities_of_test(folder: Path) -> Place:
    """The reference is an image of another name now, but of a test patient."""
    place = place_of(folder)
    reference = replace(sample(place, place.paths("test")[0]), path="train/NODULE/gone.png", sha256="00")
    return filled(place, change=made_from(reference=reference))


def _plain(**options: Callable[[Path], object]) -> Callable[[Path], Place]:
    return lambda folder: filled(place_of(folder, **options))


LEAKS: dict[str, tuple[str, Callable[..., Place]]] = {
    "a patient in training and test part": ("patient", _plain(plant=_renamed("train"))),
    "a patient in validation and test part": ("patient", _plain(plant=_renamed("val"))),
    "a patient whom only a table knows": ("patient", _patient_of_a_table),
    "a split from before the patients were known": ("patient", _split_by_image),
    "a test patient in an extra folder": ("patient", _extra_patient),
    "the same file": ("duplicate", _plain(plant=_copied(shutil.copy))),
    "the same file in the validation part": ("duplicate", _plain(plant=_copied(shutil.copy, "val"))),
    "re-encoded and brightened": (
        "near-duplicate",
        _plain(plant=_copied(lambda a, b: copy_altered(a, b, "brightened"))),
    ),
    "re-encoded and resized": ("near-duplicate", _plain(plant=_copied(lambda a, b: copy_altered(a, b, "resized")))),
    "re-encoded and mirrored": ("near-duplicate", _plain(plant=_copied(lambda a, b: copy_altered(a, b, "mirrored")))),
    "cropped, in the validation part": (
        "near-duplicate",
        _plain(plant=_copied(lambda a, b: copy_altered(a, b, "cropped"), "val")),
    ),
    "in a frame": ("near-duplicate", _plain(plant=_copied(_framed))),
    "of 16 bits": ("near-duplicate", _plain(plant=_copied(_deep))),
    "a copy in an extra folder": ("near-duplicate", _extra_copy),
    "a synthetic copy": ("near-duplicate", _synthetic_copy),
    "an adapter that knows a test image": ("generator", _adapter_knows("test")),
    "an adapter that knows the content of one": ("generator", _adapter_knows_content),
    "an adapter of an earlier split": ("generator", _adapter_of_the_earlier_split),
    "a base that knows a test image": ("generator", _base_knows),
    "screened against test images": ("screening", _screened_by_test),
    "rejected for a test image": ("screening", _rejected_by_test),
    "a split drawn after the fill": ("split", _split_redrawn),
    "filled with nothing held out": ("split", _nothing_held_out),
    "synthetic in the collection's test part": ("synthetic", _plain(plant=_planted_synthetic("test"))),
    "synthetic in its validation split, as JPEG": ("synthetic", _plain(plant=_planted_synthetic("val", ".jpg"))),
    "a candidate as it was given in the test part": ("synthetic", _as_given_in_test),
    "added to the test part of the balanced folder": ("synthetic", _added_to_the_folder),
    "in place of a test image of the balanced folder": ("synthetic", _replaced_in_the_folder),
    "made from a test image": ("source", _made_from_test),
    "intensities of a test patient": ("source", _intensities_of_test),
}


def _planted(name: str, folder: Path, checkpoint: Path) -> Place:
    leak = LEAKS[name][1]
    return leak(folder, checkpoint) if leak is _base_knows else leak(folder)


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_refused_and_with_force_stamped(tmp_path, checkpoint, name):
    place = _planted(name, tmp_path, checkpoint)
    extras = {"more": tmp_path / "more"} if (tmp_path / "more").exists() else {}
    material = place.gather(extras=extras)
    breaches = check(material, place.ledger)
    assert {breach.kind for breach in breaches} == {LEAKS[name][0]}
    with pytest.raises(ComparisonError, match="needed: real test images that were not used") as error:
        require_honest(breaches, force=False)
    assert str(breaches[0]) in str(error.value)
    (stamp,) = require_honest(breaches, force=True)
    assert stamp.startswith(INVALID)
    assert all(str(breach) in stamp for breach in breaches)


CLEAN: dict[str, Callable[[Path], Place]] = {
    "with parts": lambda folder: filled(place_of(folder)),
    "flat": lambda folder: filled(place_of(folder, write_flat)),
    "without patients": lambda folder: filled(place_of(folder, patient=None)),
    "not filled": place_of,
    "copies within one part": lambda folder: filled(
        place_of(folder, plant=lambda root: shutil.copy(first(root, "test", "NORMAL"), root / "test/NORMAL/p5-0.png"))
    ),
    "adapted": lambda folder: _adapted(place_of(folder)),
    "made from training images": lambda folder: _made_from_training(place_of(folder)),
}


def _adapted(place: Place) -> Place:
    adapter = write_adapter(place, list(place.split.paths("train")))
    return filled(place, change=drawn_by(None, adapter))


def _made_from_training(place: Place) -> Place:
    source = sample(place, place.paths("train")[0])
    return filled(place, change=made_from(mode="image", source=source, strength=0.5, reference=source))


@pytest.mark.parametrize("name", CLEAN)
def test_where_nothing_is_wrong_nothing_is_refused(tmp_path, name):
    place = CLEAN[name](tmp_path)
    found = check(place.gather(), place.ledger)
    assert found == ()
    assert require_honest(found, force=False) == require_honest(found, force=True) == ()


def test_other_real_images_are_welcome_as_extras(tmp_path):
    place = filled(place_of(tmp_path))
    write_images(tmp_path / "more", {"NODULE": 4, "NORMAL": 2}, first=90_000)
    material = place.gather(extras={"more": tmp_path / "more"})
    assert check(material, place.ledger) == ()
    assert len(material.study.added["extra:more"]) == 6
    assert not any("extra:more" in stamp for stamp in stamps(material, place.ledger))


def test_whose_the_extras_are_may_be_unknown(tmp_path):
    place = filled(place_of(tmp_path))
    (tmp_path / "more" / "NODULE").mkdir(parents=True)
    draw(77).save(tmp_path / "more" / "NODULE" / "scan.png")
    material = place.gather(extras={"more": tmp_path / "more"})
    assert check(material, place.ledger) == ()
    said = "patient leakage not excluded: the patients of 1 image of extra:more are unknown"
    assert said in stamps(material, place.ledger)


def test_patients_in_training_and_validation_bias_the_choice_and_this_is_stamped(tmp_path):
    def plant(root):
        patient = first(root, "train", "NODULE").name.partition("-")[0]
        first(root, "val", "NODULE").rename(root / "val" / "NODULE" / f"{patient}-9.png")

    place = filled(place_of(tmp_path, plant=plant))
    material = place.gather()
    assert check(material, place.ledger) == ()
    said = "1 patient with images in the training and in the validation split: the choice of the best arm is biased"
    assert said in stamps(material, place.ledger)


def test_copies_that_the_gates_kept_out_are_not_to_be_rejected_once_more(tmp_path):
    place = _synthetic_copy(tmp_path)
    advice = {breach.found: breach.advice for breach in check(place.gather(), place.ledger)}
    assert [each.split(":")[-1] for found, each in advice.items() if "synthetic" in found] == [
        " balance review, balance merge"
    ]
    assert [each for found, each in advice.items() if "unscreened" in found and "balance compare --quick" in each]


def test_training_images_as_extras_are_no_other_images(tmp_path):
    place = filled(place_of(tmp_path))
    (tmp_path / "more" / "NODULE").mkdir(parents=True)
    shutil.copy(tmp_path / "xrays" / place.paths("train")[0], tmp_path / "more" / "NODULE" / "a.png")
    (breach,) = check(place.gather(extras={"more": tmp_path / "more"}), place.ledger)
    assert breach.kind == "extra"
    assert breach.examples == (f"NODULE/a.png = {place.paths('train')[0]}",)


def test_all_breaches_are_told_at_once(tmp_path):
    place = place_of(tmp_path, plant=_renamed("train"))
    filled(place, scores={"copy_nearest": place.paths("test")[0]})
    with pytest.raises(ComparisonError) as error:
        require_honest(check(place.gather(), place.ledger), force=False)
    assert error.value.found.startswith("1. 1 patient with images in the training split and in the test split (p10000)")
    assert "\n        2. 6 candidates screened against test images" in error.value.found


def test_what_cannot_be_known_is_stamped(tmp_path):
    place = place_of(tmp_path, patient=None)
    place.fill(judged(place, decision="unscreened"))
    said = stamps(place.gather(), place.ledger)
    assert said == (
        "patient leakage not excluded: the patients of all images are unknown",
        "generator exposure unknown: there is no record of what the model tiny-sd was trained on",
        "6 of 6 synthetic images were not screened for copies: too few patients for a threshold, "
        "--no-screen or --accept-unscreened",
    )


def test_a_generator_that_is_known_leaves_no_stamp(tmp_path, checkpoint):
    place = place_of(tmp_path)
    base = tmp_path / "their-model"
    shutil.copytree(checkpoint, base)
    write_card(base, {place.paths("train")[0]: "00"})
    filled(place, change=drawn_by(find_checkpoint(str(base)).ref, None))
    material = place.gather()
    assert stamps(material, place.ledger, models=[base]) == ()
    assert len(stamps(material, place.ledger)) == 1
    write_card(base, {})
    assert len(stamps(material, place.ledger, models=[base])) == 1


def test_a_model_from_elsewhere_is_judged_by_contents_since_names_repeat(tmp_path, checkpoint):
    place = place_of(tmp_path)
    base = tmp_path / "their-model"
    shutil.copytree(checkpoint, base)
    filled(place, change=drawn_by(find_checkpoint(str(base)).ref, None))
    material, test = place.gather(), place.paths("test")[0]
    write_card(base, {test: "00"})
    assert check(material, place.ledger, models=[base]) == ()
    write_card(base, {"other.png": sample(place, test).sha256})
    (breach,) = check(material, place.ledger, models=[base])
    assert breach.kind == "generator"
    assert breach.examples[0] == test


def test_a_generator_that_knows_validation_images_is_told(tmp_path):
    place = _adapter_knows("val")(tmp_path)
    material = place.gather()
    assert check(material, place.ledger) == ()
    assert "the adapter lora was trained on 2 validation images: the choice among synthetic arms is biased" in " ".join(
        stamps(material, place.ledger)
    )


def test_synthetic_images_among_the_training_images_are_told(tmp_path):
    place = filled(place_of(tmp_path, plant=_planted_synthetic("train")))
    material = place.gather()
    assert check(material, place.ledger) == ()
    said = "1 of 85 training and validation images of the collection are marked as synthetic in their metadata"
    assert any(stamp.startswith(said) for stamp in stamps(material, place.ledger))


def test_new_training_images_ask_for_a_new_merge_alone(tmp_path):
    place = filled(place_of(tmp_path))
    draw(80).save(tmp_path / "xrays" / "train" / "NODULE" / "p80-0.png")
    place.collection = scan(tmp_path / "xrays", r"(p\d+)-", known=place.collection)
    place.split = draw_split(place.collection, earlier=place.split)
    (breach,) = check(place.gather(), place.ledger)
    assert (breach.kind, breach.examples) == ("split", ())
    assert breach.advice.endswith("balance merge")


def test_nothing_is_written_but_the_cache(tmp_path):
    from tests.support.cli_process import tree_hash

    place = filled(place_of(tmp_path))
    place.collection = with_hashes(place.collection, place.collection.images.index)
    before = [tree_hash(tmp_path / name) for name in ("xrays", "balanced")]
    check(place.gather(), place.ledger)
    assert [tree_hash(tmp_path / name) for name in ("xrays", "balanced")] == before
