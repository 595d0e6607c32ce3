"""What a comparison is made of: which images, of which part, and what is set aside."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from analysis.comparison.inputs.build_study import Wanted, gather
from analysis.data import images
from analysis.data.images import decode
from balancer.collection.regions import read_regions
from balancer.collection.run_lengths import runs_to_text, to_runs
from balancer.collection.scan import scan
from balancer.errors import CollectionError, ComparisonError, OutputError
from balancer.imaging.decode import resize
from tests.support.study_fixtures import (
    PARTS,
    draw,
    filled,
    judged,
    made_from,
    place_of,
    sample,
    write_flat,
    write_images,
    write_parts,
)


def test_real_images_come_from_the_collection_by_the_stored_split(tmp_path):
    place = filled(place_of(tmp_path))
    study = place.gather(side=16).study
    assert (study.classes, study.rare, study.counts) == (("NODULE", "NORMAL"), "NODULE", {"NODULE": 24, "NORMAL": 34})
    for part, name in ((study.train, "train"), (study.validation, "val"), (study.test, "test")):
        wanted = place.split.paths(*(("train", "holdout") if name == "train" else (name,)))
        assert set(part.paths) == set(wanted)
        assert len(part) == 2 * PARTS[name] + 10
        files = [place.collection.root / path for path in part.paths]
        assert np.array_equal(part.images, decode(files, 16))
        assert [study.classes[target] for target in part.targets] == [path.split("/")[1] for path in part.paths]


def test_a_patient_has_one_number_in_every_part(tmp_path):
    def same_patient(root):
        (root / "train/NODULE/p10000-0.png").rename(root / "test/NODULE/p10000-0.png")

    study = place_of(tmp_path, plant=same_patient).gather(side=8).study
    train, test = (dict(zip(part.paths, part.groups, strict=True)) for part in (study.train, study.test))
    assert train["train/NODULE/p10000-1.png"] == test["test/NODULE/p10000-0.png"]
    assert len(set(study.test.groups)) == len(study.test) // 2 + 1


def test_synthetic_and_unscreened_images_are_as_many(tmp_path):
    place = place_of(tmp_path)
    place.fill([*judged(place, 2, "reject"), *judged(place, 3, first=2), *judged(place, 1, "reject", first=5)])
    material = place.gather(side=8)
    added = material.study.added
    assert {name: len(some) for name, some in added.items()} == {"synthetic": 3, "unscreened": 3}
    drawn = [candidate.sha256 for candidate, _ in judged(place, 3)]
    assert list(material.pools["unscreened"].hashes) == drawn
    merged = [candidate.sha256 for candidate, _ in judged(place, 3, first=2)]
    assert sorted(material.pools["synthetic"].hashes) == sorted(merged)
    assert added["synthetic"].targets.tolist() == [0, 0, 0]


def test_only_what_is_needed_is_decoded(tmp_path):
    material = filled(place_of(tmp_path)).gather(side=8, needs=())
    assert (material.study.added, material.pools) == ({}, {})


def test_without_synthetic_images_the_free_arms_remain(tmp_path):
    material = place_of(tmp_path).gather(side=8)
    assert material.study.added == {}
    assert "only arms without synthetic images can be compared" in material.notes[0]


def test_lesions_are_transplanted_into_the_sources_of_painted_images(tmp_path):
    place = place_of(tmp_path)
    normal = sample(place, place.paths("train", "NORMAL")[0])
    mask = np.zeros((32, 32), bool)  # of the size at which these jobs draw
    mask[8:16, 8:16] = True
    painted = made_from(mode="inpaint", source=normal, strength=0.8, mask=runs_to_text(to_runs(mask)))
    place.fill(judged(place, 3, change=painted))
    study = place.gather(side=16, needs=("synthetic", "transplanted")).study
    made = study.added["transplanted"]
    assert made.targets.tolist() == [0, 0, 0]
    into = study.train.images[study.train.paths.index(normal.path)]
    assert (made.images[:, 10:] == into[10:]).all()
    assert (made.images[:, 4:8, 4:8] != into[4:8, 4:8]).any(axis=(1, 2)).all()
    boxes = tmp_path / "boxes.csv"
    lesion = place.paths("train")[0]
    boxes.write_text(f"image,x,y,width,height\n{lesion},60,60,24,24\n")
    regions = read_regions(boxes, place.collection)
    made = place.gather(side=16, needs=("synthetic", "transplanted"), regions=regions).study.added["transplanted"]
    assert (made.images[:, :9] == into[:9]).all()
    assert "transplanted" not in place.gather(side=16).study.added


def test_real_images_of_the_filled_classes_are_reconstructed(tmp_path):
    place, asked = filled(place_of(tmp_path)), []

    def reconstruct(files, side):
        asked.extend(files)
        return decode(files, side)

    wanted = Wanted(8, ("synthetic", "reconstructed"))
    material = gather(
        place.collection, place.split, place.out, wanted, ledger=place.ledger, cache=place.state.cache,
        reconstruct=reconstruct,
    )  # fmt: skip
    assert len(material.study.added["reconstructed"]) == 24
    assert {file.parent.name for file in asked} == {"NODULE"}


def test_the_holdout_part_serves_as_validation_where_there_is_none(tmp_path):
    def without_validation(root):
        write_parts(root)
        shutil.rmtree(root / "val")
        for label in ("NODULE", "NORMAL"):
            for number in range(30):
                draw(number).save(root / "train" / label / f"p{label}{number}-0.png")
        return root

    place = place_of(tmp_path, without_validation)
    material = place.gather(side=8)
    assert set(material.study.validation.paths) == set(place.split.paths("holdout")) != set()
    assert set(material.study.train.paths) == set(place.split.paths("train"))
    assert material.notes[0].startswith("The collection has no validation split: the ")


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    place = filled(place_of(tmp_path))
    before = place.gather(side=8).study

    def no_more(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(images, "read_grey", no_more)
    again = place.gather(side=8).study
    assert np.array_equal(again.test.images, before.test.images)
    assert np.array_equal(again.added["synthetic"].images, before.added["synthetic"].images)


def test_a_damaged_cache_is_made_again(tmp_path):
    place = filled(place_of(tmp_path))
    before = place.gather(side=8).study.test.images
    for file in place.state.cache.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert np.array_equal(place.gather(side=8).study.test.images, before)


def test_old_decoded_images_leave_the_cache(tmp_path):
    draw(1).save(tmp_path / "a.png")
    for number in range(images._KEPT + 3):
        images.decode_readable([tmp_path / "a.png"], 8, tmp_path / "cache", [str(number)])
    assert len(list((tmp_path / "cache").iterdir())) == images._KEPT


def test_what_cannot_be_decoded_is_set_aside_and_named(tmp_path):
    def damaged(root):
        file = root / "test" / "NORMAL" / "p99-0.png"
        draw(5).save(file)
        file.write_bytes(file.read_bytes()[:-200])

    material = place_of(tmp_path, plant=damaged).gather(side=8)
    assert material.notes[0] == ("Left out because they cannot be decoded: 1 real images (test/NORMAL/p99-0.png).")
    assert len(material.study.test) == 2 * PARTS["test"] + 10
    assert len(place_of(tmp_path / "again", plant=damaged).gather(side=8).study.test) == 34


def test_synthetic_images_that_changed_are_set_aside(tmp_path):
    place = filled(place_of(tmp_path))
    next(place.out.glob("train/NODULE/syn-*")).write_bytes(b"")
    material = place.gather(side=8)
    assert len(material.study.added["synthetic"]) == 5
    assert "Left out: 1 synthetic images that are missing" in " ".join(material.notes)


def test_a_real_image_that_changed_is_not_compared(tmp_path):
    place = filled(place_of(tmp_path))
    place.gather(side=8)
    place.collection = place.ledger.load_collection()
    file = place.collection.root / place.paths("test")[0]
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(CollectionError, match="has changed"):
        place.gather(side=8)


def test_attributes_are_those_of_the_table(tmp_path):
    place = place_of(tmp_path)
    images = place.collection.images.assign(sex="female", age=70.0)
    place.collection = replace(place.collection, images=images)
    told = place.gather(side=8).study.test.attributes
    assert list(told.columns) == ["sex", "age_group", "view", "site"]
    assert (set(told["sex"]), set(told["age_group"]), told["view"].isna().all()) == ({"female"}, {"65+"}, True)


def test_a_folder_of_another_collection_is_refused(tmp_path):
    other = filled(place_of(tmp_path / "other"))
    place = place_of(tmp_path / "mine", lambda root: write_images(root, {"NODULE": 60, "NORMAL": 70}, first=50_000))
    with pytest.raises(ComparisonError, match="0 of its 118 real images are in that collection"):
        gather(place.collection, place.split, other.out, Wanted(8), ledger=place.ledger, cache=place.state.cache)


@pytest.mark.parametrize("name", ["metadata.parquet", "provenance.csv"])
def test_a_folder_whose_tables_were_changed_is_refused(tmp_path, name):
    place = filled(place_of(tmp_path))
    file = next(place.out.rglob(name))
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(OutputError, match=r"is missing or (changed|damaged)"):
        place.gather(side=8)


def test_a_folder_that_something_else_merged_is_refused(tmp_path):
    place = place_of(tmp_path)
    write_flat(place.out)
    with pytest.raises(OutputError, match=r"no readable balance\.json"):
        place.gather(side=8)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), "no class folder with an image"),
        (lambda folder: (folder / "SCOLIOSIS").mkdir(parents=True), "no class folder with an image"),
        (lambda folder: shutil.copytree(folder.parent / "xrays" / "test", folder / "all"), "'all'"),
    ],
)
def test_extras_that_are_no_class_folders(tmp_path, make, found):
    place = place_of(tmp_path)
    make(tmp_path / "more")
    with pytest.raises(ComparisonError, match=found):
        place.gather(side=8, extras={"more": tmp_path / "more"})


def test_it_is_told_when_no_synthetic_image_has_the_class_that_decides(tmp_path):
    place = filled(place_of(tmp_path))
    told = [place.gather(side=8, rare=rare).study.stamps for rare in ("NODULE", "NORMAL")]
    assert [any("no synthetic image has" in stamp for stamp in each) for each in told] == [False, True]


def test_the_rarest_class_is_named_beforehand(tmp_path):
    place = place_of(tmp_path)
    assert place.gather(side=8).study.rare == "NODULE"
    assert place.gather(side=8, rare="NORMAL").study.rare == "NORMAL"
    with pytest.raises(ComparisonError, match="'GRANULOMA' as the primary endpoint"):
        place.gather(side=8, rare="GRANULOMA")


def test_folds_share_the_decoded_images(tmp_path):
    place = place_of(tmp_path, write_flat)
    place.gather(side=8)
    turned = {"test": "train", "train": "test", "holdout": "test"}
    place.split = replace(place.split, parts=place.split.parts.replace(turned))
    place.gather(side=8)
    assert len(list(place.state.cache.iterdir())) == 1


def test_labels_keep_their_images(tmp_path):
    place = place_of(tmp_path)
    place.collection = scan(tmp_path / "xrays")
    study = place.gather(side=12).study
    path = study.test.paths[3]
    number = [int(part.strip("p").removesuffix(".png")) for part in path.rpartition("/")[2].split("-")]
    seed = 30_000 + (number[0] - 30_000) % 1000 * 2 + number[1] + 1000 * (number[0] >= 31_000)
    wanted = resize(np.asarray(draw(seed)), 12, 12)
    assert np.array_equal(study.test.images[3], wanted)
    assert Counter(study.test.targets.tolist()) == {0: 12, 1: 22}
