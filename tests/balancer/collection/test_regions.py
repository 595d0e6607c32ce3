import json

import numpy as np
import pytest
from PIL import Image

import balancer
from balancer.collection.region_files import rectangle
from balancer.collection.regions import Region, filled, read_regions, union
from balancer.collection.run_lengths import from_runs, runs_from_text, runs_to_text, to_runs
from balancer.errors import TableError
from examples.phantoms import draw_radiograph, write_collection

BOX = np.zeros((32, 32), bool)
BOX[5:9, 10:16] = True


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    for label in ("normal", "nodule"):
        (folder / "xrays" / label).mkdir(parents=True)
        for number in range(3):
            grey = np.random.default_rng(number).integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(grey).save(folder / "xrays" / label / f"{label}{number}.png")
    return balancer.scan(balancer.Workspace.open(folder), balancer.ScanSettings(folder / "xrays")).collection


def coco(**annotation):
    image = {"id": 7, "file_name": "nodule1.png", "height": 32, "width": 32}
    return json.dumps(
        {
            "images": [image],
            "categories": [{"id": 2, "name": "Nodule"}],
            "annotations": [{"id": 1, "image_id": 7, "category_id": 2, **annotation}],
        }
    )


TABLES = {
    "boxes.csv": "image,finding,x,y,width,height\nnodule1.png,nodule,10,5,6,4\nnormal0.png,,,,,\n",
    "nih.csv": "Image Index,Finding Label,Bbox [x,y,w,h],,,\nnodule1.png,Nodule,10.0,5.0,6.0,4.0,,,\n",
    "vindr.csv": "image_id,class_name,x_min,y_min,x_max,y_max\nnodule1,Nodule,10,5,16,9\nnormal0,No finding,,,,\n",
    "rle.csv": "ImageId,EncodedPixels\nnodule1.png,326 4 358 4 390 4 422 4 454 4 486 4\nnormal0.png,-1\n",
    "siim.csv": "ImageId,EncodedPixels\nnodule1,325 4 28 4 28 4 28 4 28 4 28 4\n",
    "box.json": coco(bbox=[10, 5, 6, 4]),
    "outline.json": coco(segmentation=[[10, 5, 16, 5, 16, 9, 10, 9]]),
    "counts.json": coco(segmentation={"counts": list(to_runs(BOX)), "size": [32, 32]}),
    "text.json": coco(segmentation={"counts": runs_to_text(to_runs(BOX)), "size": [32, 32]}),
}


@pytest.mark.parametrize("name", TABLES)
def test_one_box_in_any_format_is_one_mask(collection, tmp_path, name):
    (tmp_path / name).write_text(TABLES[name])
    found = read_regions(tmp_path / name, collection)
    assert set(found.of_images) == {"nodule/nodule1.png"}
    (region,) = found.of("nodule/nodule1.png", "nodule")
    np.testing.assert_array_equal(region.mask(32, 32), BOX)
    assert region.box == (10 / 32, 5 / 32, 16 / 32, 9 / 32)


@pytest.mark.parametrize("line", ["0 0.40625 0.21875 0.1875 0.125", "0 .3125 .15625 .5 .15625 .5 .28125 .3125 .28125"])
def test_yolo(collection, tmp_path, line):
    (tmp_path / "classes.txt").write_text("nodule\n")
    (tmp_path / "nodule1.txt").write_text(f"{line}\n")
    (region,) = read_regions(tmp_path, collection).of("nodule/nodule1.png")
    np.testing.assert_array_equal(region.mask(32, 32), BOX)
    assert region.label == "nodule"


def test_masks_that_are_images(collection, tmp_path):
    Image.fromarray(BOX.astype(np.uint8)).save(tmp_path / "nodule1_mask.png")
    (region,) = read_regions(tmp_path, collection).of("nodule/nodule1.png")
    np.testing.assert_array_equal(region.mask(32, 32), BOX)


def test_a_mask_is_stretched_as_images_are():
    box, runs = Region(40, 80, (rectangle(20, 10, 40, 20),)), Region(32, 32, runs=to_runs(BOX))
    np.testing.assert_array_equal(np.argwhere(box.mask(4, 4)), [[1, 1]])
    np.testing.assert_array_equal(runs.mask(64, 64), np.kron(BOX, np.ones((2, 2))))
    tiny = Region(1000, 1000, (rectangle(700, 300, 703, 303),)).mask(8, 8)
    assert np.argwhere(tiny).tolist() == [[2, 5]]
    assert union([box, Region(8, 8, (rectangle(0, 0, 2, 2),))], 4, 4).sum() == 2


def test_runs_come_back():
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (40, 70)):
        mask = rng.random(shape) < 0.3
        runs = to_runs(mask)
        np.testing.assert_array_equal(from_runs(runs_from_text(runs_to_text(runs)), *shape), mask)
    for text in ("~~", "P", "3\u00e9"):
        with pytest.raises(ValueError, match=r"."):
            runs_from_text(text)


def test_outlines_are_filled_by_their_centres():
    assert filled(np.array([[1, 1], [3, 1], [3, 3], [1, 3]], float), 4, 4).sum() == 4
    assert not filled(np.array([[0.6, 0.6], [1.4, 0.6], [1.4, 1.4]]), 2, 2).any()


BAD = {
    "outside.csv": ("image,x,y,width,height\nnodule1.png,30,5,9,4\n", "inside its image", "row 2"),
    "empty.csv": ("image,x,y,width,height\nnodule1.png,3,5,0,4\n", "above 0", "row 2"),
    "nothing.csv": ("image,x,y,width,height\nnodule1.png,,,,\n", "at least one region", "none"),
    "words.csv": ("image,x,y,width,height\nnodule1.png,3,five,2,4\n", "numbers", "five"),
    "half.csv": ("image,x,y,width,height\nnodule1.png,3,,2,4\n", "numbers", "row 2"),
    "columns.csv": ("image,finding\nnodule1.png,nodule\n", "a column image", "finding"),
    "unknown.csv": ("image,x,y,width,height\nother.png,3,5,2,4\n", "images of the collection", "other.png"),
    "label.csv": ("image,finding,x,y,width,height\nnodule1.png,mass,3,5,2,4\n", "a class of the collection", "mass"),
    "beyond.csv": ("ImageId,EncodedPixels\nnodule1.png,1020 40\n", "size of its image", "beyond"),
    "zero.csv": ("ImageId,EncodedPixels\nnodule1.png,1 0\n", "at least one pixel", "empty mask"),
    "odd.csv": ("ImageId,EncodedPixels\nnodule1.png,1 4 9\n", "pairs", "1 4 9"),
    "start.csv": ("ImageId,EncodedPixels\nnodule1.png,0 4\n", "count from 1", "0"),
    "size.json": (coco(bbox=[1, 1, 4, 4]).replace('"width": 32', '"width": 64'), "size of its image", "64 x 32"),
    "no.json": ("[]", "COCO", "another content"),
    "text.json": (coco(segmentation={"counts": "\u00e9", "size": [32, 32]}), "COCO", "another content"),
    "box.json": (coco(), "COCO", "no 'bbox'"),
    "image.json": (coco(bbox=[1, 1, 4, 4], image_id=9), "an image of the file", "image_id 9"),
    "category.json": (coco(bbox=[1, 1, 4, 4], category_id=9), "a category of the file", "category_id 9"),
    "whole.csv": ("image,x,y,width,height\nnodule1.png,0,0,32,32\n", "at most 95%", "covers 100%"),
    "inverted.csv": ("ImageId,EncodedPixels\nnodule1.png,1 1020\n", "at most 95%", "inverted"),
    "shares.csv": ("image,x,y,width,height\nnodule1.png,0.3,0.2,0.1,0.1\n", "boxes in pixels", "shares of the sides"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(collection, tmp_path, name):
    content, needed, found = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(TableError, match=needed) as error:
        read_regions(tmp_path / name, collection)
    assert found in error.value.found


def test_a_mask_of_another_size_or_of_nothing_and_numbers_without_names(collection, tmp_path):
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(tmp_path / "nodule1.png")
    with pytest.raises(TableError, match="16 x 16"):
        read_regions(tmp_path, collection)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "nodule1.png")
    with pytest.raises(TableError, match="an empty mask"):
        read_regions(tmp_path, collection)
    (tmp_path / "nodule1.txt").write_text("0 .5 .5 .1 .1\n1 .5 .5 .1 .1\n")
    with pytest.raises(TableError, match=r"classes\.txt"):
        read_regions(tmp_path, collection)


def test_what_fits_nothing_is_counted(collection, tmp_path):
    rows = ["nodule1.png,nodule,1,1,5,5", "other.png,nodule,1,1,5,5", "nodule2.png,mass,1,1,5,5"]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,finding,x,y,width,height", *rows]))
    found = read_regions(tmp_path / "boxes.csv", collection)
    assert list(found.of_images) == ["nodule/nodule1.png"]
    assert found.summary.startswith("1 in 1 images, from boxes.csv; 1 of images that")
    assert found.of("nodule/nodule2.png") == ()


def test_phantoms_say_where_they_drew(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 4, "nodule": 4}, size=32, regions=tmp_path / "regions.csv")
    workspace = balancer.Workspace.open(tmp_path)
    found = read_regions(
        tmp_path / "regions.csv", balancer.scan(workspace, balancer.ScanSettings(tmp_path / "xrays")).collection
    )
    assert len(found.of_images) == 4
    for path, (region,) in found.of_images.items():
        patient, image = (int(part) for part in path.split("/p")[1].split(".")[0].split("-"))
        nodule, normal = (draw_radiograph(label, patient, image, 32).astype(int) for label in ("nodule", "normal"))
        change = np.abs(nodule - normal)
        assert change[region.mask(32, 32)].max() == change.max()
