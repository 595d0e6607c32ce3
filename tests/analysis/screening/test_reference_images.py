import numpy as np
import pandas as pd
import pytest
from PIL import Image

from analysis.screening.reference_images import load_reals, patient_groups
from balancer.collection.scan import scan
from balancer.errors import ImageError
from balancer.splits.split import draw_split
from tests.support.tiny_models import write_xrays


def test_exact_duplicates_count_as_one_patient():
    images = pd.DataFrame(
        {
            "patient": ["a", "b", None, "c", None, "d"],
            "sha256": ["1", "2", "1", "2", "3", None],
        }
    )
    groups = patient_groups(images)
    assert groups[0] == groups[2] >= 0  # known by its copy
    assert groups[1] == groups[3]
    assert groups[4] == -1
    assert len(set(groups.tolist())) == 4


@pytest.fixture
def collection(tmp_path):
    write_xrays(tmp_path / "xrays", {"A": 60, "B": 50})
    return scan(tmp_path / "xrays", r"(p\d+)-")


def test_all_of_the_training_part_is_there_and_nothing_of_the_test_part(collection, tmp_path):
    split = draw_split(collection)
    reals, notes = load_reals(collection, split, tmp_path / "cache")
    assert list(reals.paths) == list(split.paths("train", "holdout"))
    assert reals.held.sum() == len(split.paths("holdout"))
    assert (notes, reals.embedding) == ((), None)
    assert not reals.searched.any()


def test_what_the_generator_saw_elsewhere_is_searched_too(collection, tmp_path):
    from balancer.files import sha256_of

    split = draw_split(collection)
    leaked = split.paths("test")[0]
    hashes = {sha256_of(collection.root / leaked), "f" * 64}
    reals, notes = load_reals(collection, split, tmp_path / "cache", hashes)
    assert [path for path, searched in zip(reals.paths, reals.searched, strict=True) if searched] == [leaked]
    assert not reals.train[reals.searched].any()
    assert [note[:20] for note in notes] == ["1 training images of"]


def test_files_outside_the_collection_are_searched_under_another_name_while_they_are_what_they_were(
    collection, tmp_path
):
    from balancer.files import sha256_of

    others = write_xrays(tmp_path / "others", {"C": 3}, size=(40, 32)) / "C"
    files = {sha256_of(path): path for path in sorted(others.iterdir())}
    changed, gone, same = files
    files[changed].write_bytes(b"another file")
    files[gone].unlink()
    reals, notes = load_reals(collection, draw_split(collection), tmp_path / "cache", files, elsewhere=files)
    found = [path for path, searched in zip(reals.paths, reals.searched, strict=True) if searched]
    assert found == [f"a pretraining image ({same[:12]})"]
    place = reals.paths.index(found[0])
    assert (reals.labels[place], reals.groups[place], reals.train[place]) == ("", -1, False)
    assert reals.images.greys[place].any()
    assert [note[:20] for note in notes] == ["2 training images of"]


def test_the_second_time_nothing_is_read_or_learned(tmp_path):
    write_xrays(tmp_path / "xrays", {"A": 110, "B": 60})
    collection = scan(tmp_path / "xrays", r"(p\d+)-")
    split, asked = draw_split(collection), []

    def watch(what):
        asked.append(what)
        return lambda done, total: None

    first, _ = load_reals(collection, split, tmp_path / "cache", steps=2, watch=watch)
    assert asked == ["Reading real images", "Training the copy detector"]
    second, _ = load_reals(collection, split, tmp_path / "cache", steps=2, watch=watch)
    assert len(asked) == 2
    assert np.array_equal(first.vectors, second.vectors)
    assert first.key == second.key


def test_a_damaged_cache_is_made_again(collection, tmp_path):
    split = draw_split(collection)
    first, _ = load_reals(collection, split, tmp_path / "cache")
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(b"half")
    second, _ = load_reals(collection, split, tmp_path / "cache")
    assert np.array_equal(first.images.greys, second.images.greys)


def test_an_unreadable_image_is_passed_over_and_told(collection, tmp_path):
    split = draw_split(collection)
    path = collection.root / split.paths("train")[0]
    size = path.stat().st_size
    path.write_bytes(b"x" * size)
    reals, notes = load_reals(collection, split, tmp_path / "cache")
    assert split.paths("train")[0] not in reals.paths
    assert notes == ("1 real images cannot be read and were not searched for copies",)


def test_without_a_readable_image_there_are_no_reals(tmp_path):
    for label in ("A", "B"):
        (tmp_path / "x" / label).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "x" / label / "p1.png")
    collection = scan(tmp_path / "x")
    for path in (tmp_path / "x").rglob("*.png"):
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ImageError, match="none that can be read"):
        load_reals(collection, draw_split(collection), tmp_path / "cache")
