"""The folder of another generator: what is found in it, and what is refused before anything is screened."""

import shutil

import numpy as np
import pytest
from PIL import Image

from balancer.collection.scan import scan
from balancer.errors import CollectionError
from balancer.filling.collection_pixels import collection_pixel_hashes
from balancer.filling.external_folder import decode_all, list_external, precheck, real_images_among, refuse_real
from balancer.jobs import Candidate, ExternalOrigin
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from tests.support.balanced_fixtures import balanced, make_job
from tests.support.balanced_fixtures import make_candidate as make


def draw(path, number, side=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng([9, number])
    ramp = np.linspace(30, 200, side)[None, :] + chance.normal(0, 12, (side, side))
    Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def theirs(tmp_path):
    for number, name in enumerate(("NODULE/b.png", "NODULE/a.png", "NODULE/more/c.png", "EFFUSION/z.png")):
        draw(tmp_path / "theirs" / name, number)
    return tmp_path / "theirs"


@pytest.fixture
def found(xrays):
    return scan(xrays)


def names(given):
    return [each.path for each in given]


def test_images_are_found_in_order_of_their_paths(theirs, found):
    given, findings = list_external(theirs, found, {})
    assert names(given) == ["EFFUSION/z.png", "NODULE/a.png", "NODULE/b.png", "NODULE/more/c.png"]
    assert [each.label for each in given] == ["EFFUSION", "NODULE", "NODULE", "NODULE"]
    assert findings == []


def test_what_is_no_image_is_told_and_hidden_files_are_passed_over(theirs, found):
    (theirs / "NODULE" / "notes.txt").write_text("mine")
    (theirs / "NODULE" / ".hidden.png").write_bytes(b"x")
    (theirs / "NODULE" / "gone.png").symlink_to(theirs / "nowhere.png")
    (theirs / ".cache").mkdir()
    (theirs / "logs").mkdir()
    given, findings = list_external(theirs, found, {})
    assert len(given) == 4
    told = {finding.kind: sorted(map(str, finding.paths)) for finding in findings}
    assert told == {
        "hidden-folder": [".cache"],
        "empty-class": ["logs"],
        "ignored-file": ["NODULE/gone.png", "NODULE/notes.txt"],
    }


@pytest.mark.parametrize(
    ("folder", "near"),
    [
        ("nodule", "'nodule' (near 'NODULE')"),
        ("NODULES", "near 'NODULE'"),
        ("OD", "'OD' (near 'NODULE')"),
        ("train", "'train'"),
        ("xyz", "'xyz'"),
    ],
)
def test_class_folders_must_be_named_as_the_collections(theirs, found, folder, near):
    draw(theirs / folder / "x.png", 7)
    with pytest.raises(CollectionError) as error:
        list_external(theirs, found, {})
    assert near in error.value.found
    assert error.value.needed.endswith("EFFUSION, NODULE, NORMAL")


def test_a_folder_that_is_not_apart_is_refused(tmp_path, theirs, found, xrays):
    state = tmp_path / ".balance"
    state.mkdir()
    (tmp_path / "link").symlink_to(xrays)
    for folder in (xrays, xrays / "NODULE", tmp_path, tmp_path / "link", state, theirs / "nowhere"):
        with pytest.raises(CollectionError, match="a separate folder"):
            list_external(folder, found, {"the state folder": state})
    with pytest.raises(CollectionError, match="lies around the balanced folder"):
        list_external(theirs, found, {"the balanced folder": theirs / "out"})


def test_a_class_folder_that_links_into_the_collection_is_refused(theirs, found, xrays):
    (theirs / "NORMAL").symlink_to(xrays / "NORMAL")
    with pytest.raises(CollectionError, match="a link into the collection"):
        list_external(theirs, found, {})


def test_a_balanced_folder_is_refused(tmp_path, found):
    (tmp_path / "other").mkdir()
    balanced(tmp_path / "other")
    for folder in ("balanced", "balanced/train"):
        with pytest.raises(CollectionError, match="a balanced folder that contains real images"):
            list_external(tmp_path / "other" / folder, found, {})


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_images_is_refused(tmp_path, found, empty):
    (tmp_path / "theirs" / ("NODULE" if empty else "")).mkdir(parents=True)
    with pytest.raises(CollectionError, match="without an image" if empty else "no class folder"):
        list_external(tmp_path / "theirs", found, {})


def refused(tmp_path, theirs, found, others=()):
    given, _ = list_external(theirs, found, {})
    seen = decode_all(given)
    with Ledger(find_or_make_state(tmp_path, found.root)) as ledger:
        real = collection_pixel_hashes(found, {each.size for each in seen if not each.fault}, ledger)
    return seen, real, precheck(seen, real, lambda path: "test", others)


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path, theirs, found):
    (theirs / "NODULE" / "b.png").write_bytes(b"no image")
    (theirs / "NODULE" / "a.png").write_bytes((theirs / "NODULE" / "a.png").read_bytes()[:200])
    _, _, why = refused(tmp_path, theirs, found)
    assert sorted(why) == ["NODULE/a.png", "NODULE/b.png"]
    assert all(reason.startswith(f"unreadable: {path[7:]}: ") for path, reason in why.items())


def test_a_real_image_is_refused_whatever_its_format_and_part(tmp_path, theirs, found, xrays):
    shutil.copy(xrays / "NORMAL" / "p0003-1.png", theirs / "NODULE" / "same.png")
    Image.open(xrays / "NODULE" / "p2000-0.png").convert("RGB").save(theirs / "NODULE" / "colour.tif")
    (theirs / "NODULE" / "linked.png").symlink_to(xrays / "EFFUSION" / "p1000-0.png")
    seen, real, why = refused(tmp_path, theirs, found)
    said = "a real image: the same pixels as {} of the collection (test split)"
    assert why == {
        "NODULE/same.png": said.format("NORMAL/p0003-1.png"),
        "NODULE/colour.tif": said.format("NODULE/p2000-0.png"),
        "NODULE/linked.png": said.format("EFFUSION/p1000-0.png"),
    }
    with pytest.raises(CollectionError, match=r"NODULE/colour.tif is NODULE/p2000-0.png \(test split\)"):
        refuse_real(real_images_among(seen, real), lambda path: "test")
    refuse_real({}, lambda path: "test")


def test_of_the_same_image_several_times_the_first_stays(tmp_path, theirs, found):
    shutil.copy(theirs / "NODULE" / "b.png", theirs / "NODULE" / "again.png")
    Image.open(theirs / "NODULE" / "b.png").save(theirs / "NODULE" / "c.bmp")
    _, _, why = refused(tmp_path, theirs, found)
    same = "repeated: the same pixels as NODULE/again.png"
    assert why == {"NODULE/b.png": same, "NODULE/c.bmp": same}


def test_the_same_image_under_two_classes_is_refused_under_both(tmp_path, theirs, found):
    shutil.copy(theirs / "NODULE" / "b.png", theirs / "EFFUSION" / "b.png")
    _, _, why = refused(tmp_path, theirs, found)
    assert why == {
        "EFFUSION/b.png": "two classes: the same pixels as NODULE/b.png",
        "NODULE/b.png": "two classes: the same pixels as EFFUSION/b.png",
    }


def test_what_another_folder_brought_already_is_refused(tmp_path, theirs, found):
    first, *_ = decode_all(list_external(theirs, found, {})[0])
    origin = ExternalOrigin("NODULE/old.png", "ab", first.pixels, "elsewhere", tmp_path / "x", "PNG")
    other = Candidate("NODULE", tmp_path / "x", "cd", None, origin)
    _, _, why = refused(tmp_path, theirs, found, [other])
    assert why == {"EFFUSION/z.png": "repeated: the same pixels as NODULE/old.png, which was accepted before"}


def test_an_image_that_says_it_was_made_from_a_real_one_is_believed(tmp_path, theirs, found):
    from tests.balancer.dataset.test_verify import SOURCE

    made = make(tmp_path / "store", make_job("NODULE", 0, source=SOURCE))
    shutil.copy(made.path, theirs / "NODULE" / "composite.png")
    seen = {each.given.path: each for each in decode_all(list_external(theirs, found, {})[0])}
    assert [path for path, each in seen.items() if each.composite] == ["NODULE/composite.png"]
    assert seen["NODULE/a.png"].size == (32, 32)


def test_what_was_generated_here_is_refused(tmp_path, theirs, found):
    made = make(tmp_path / "store", make_job("NODULE", 0))
    shutil.copy(made.path, theirs / "NODULE" / "ours.png")
    _, _, why = refused(tmp_path, theirs, found, [made])
    assert why == {"NODULE/ours.png": f"repeated: the image {made.id}, which balance generated"}
    assert refused(tmp_path, theirs, found)[2] == {}
