import json

import pytest

from analysis.data.balanced_folder import Images, read_training_images
from balancer.collection.scan import Sample
from balancer.dataset.merge import merge
from balancer.errors import OutputError
from tests.support.balanced_fixtures import FACTS, accepted, balanced, collection, make_candidate, split_collection


def test_what_is_synthetic_is_known_from_the_records_not_from_names(tmp_path):
    balanced(tmp_path, 2)
    found = read_training_images(tmp_path / "balanced")
    assert found.labels == ("NODULE", "NORMAL")
    assert [len(found.synthetic[label]) for label in found.labels] == [2, 0]
    assert found.filled == ("NODULE",)
    assert found.patients_known
    assert all(path.is_file() for path in (*found.real["NODULE"].paths, *found.synthetic["NODULE"].paths))
    assert all(group.startswith("patient p0") for group in found.real["NODULE"].groups)
    assert all(group.startswith("image ") for group in found.synthetic["NODULE"].groups)
    assert found.models == ("tiny-sd",)


def test_an_image_made_from_another_belongs_to_its_patient(tmp_path):
    source = Sample("NODULE/p0000-0.png", "NODULE", "p0000", "00" * 32)
    found = collection(tmp_path / "xrays")
    merge(found, None, accepted(tmp_path / "store", "NODULE", 1, source=source), tmp_path / "out", facts=FACTS)
    assert read_training_images(tmp_path / "out").synthetic["NODULE"].groups == ("patient p0000",)


def test_only_training_images_count_and_validation_lies_apart(tmp_path):
    found = split_collection(tmp_path / "xrays")
    merge(found, None, accepted(tmp_path / "store", "NODULE", 1), tmp_path / "out", facts=FACTS)
    merged = read_training_images(tmp_path / "out")
    assert [len(merged.real[label]) for label in merged.labels] == [2, 3]
    assert [len(merged.validation[label]) for label in merged.labels] == [3, 4]
    assert not any("test" in path.parts for some in merged.validation.values() for path in some.paths)
    assert not merged.patients_known


@pytest.mark.parametrize(("content", "found"), [(None, "no readable balance.json"), ("{}", "no readable balance.json")])
def test_a_folder_that_is_not_ours_is_refused(tmp_path, content, found):
    (tmp_path / "out").mkdir()
    if content:
        (tmp_path / "out" / "balance.json").write_text(content)
    with pytest.raises(OutputError, match=found):
        read_training_images(tmp_path / "out")


def test_a_folder_without_synthetic_images_says_so(tmp_path):
    balanced(tmp_path, 0)
    with pytest.raises(OutputError, match="none among its"):
        read_training_images(tmp_path / "balanced")


def test_a_half_unmerged_folder_is_refused(tmp_path):
    balanced(tmp_path, 1)
    marker = tmp_path / "balanced" / "balance.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "unmerging": True}))
    with pytest.raises(OutputError, match="removed a part"):
        read_training_images(tmp_path / "balanced")


def test_images_made_elsewhere_count_too(tmp_path):
    found, elsewhere = collection(tmp_path / "xrays"), make_candidate(tmp_path / "store", None, "NODULE")
    verdict = accepted(tmp_path / "store", "NODULE", 1)[0][1]
    merge(found, None, [(elsewhere, verdict)], tmp_path / "out", facts=FACTS)
    merged = read_training_images(tmp_path / "out")
    assert len(merged.synthetic["NODULE"]) == 1
    assert merged.models == ()


def test_some_images_keep_their_groups(tmp_path):
    images = Images((tmp_path / "a", tmp_path / "b"), ("one", "two"))
    assert images.some([1]) == Images((tmp_path / "b",), ("two",))
