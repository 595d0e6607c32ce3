"""Real lesions in images of other patients: whose, where, and of which label."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.comparison.inputs.pools import Pool
from analysis.comparison.inputs.study import ATTRIBUTES, Part
from analysis.comparison.inputs.transplants import Wish, transplant, transplants_like
from balancer.collection.regions import Region, Regions
from balancer.collection.run_lengths import runs_to_text, to_runs

CLASSES = ("nodule", "normal")
SIDE = 12
BOX = Region(SIDE, SIDE, (((4, 4), (7, 4), (7, 7), (4, 7)),), label="nodule")


def part(targets, groups):
    """Flat images, each of its own level; those of class 0, or with finding 0, have a bright square."""
    count = len(groups)
    images = np.repeat(np.arange(count, dtype=np.uint8)[:, None, None] * 10 + 20, SIDE, 1).repeat(SIDE, 2)
    targets = np.array(targets)
    images[(targets[:, 0] == 1) if targets.ndim == 2 else targets == 0, 4:7, 4:7] = 200
    attributes = pd.DataFrame(columns=ATTRIBUTES, index=range(count))
    return Part(images, targets, np.array(groups), tuple(f"{number}.png" for number in range(count)), attributes)


TRAIN = part([0, 0, 1, 1, 1], [0, 1, 0, 2, 3])
REGIONS = Regions({"0.png": (BOX,), "1.png": (BOX,)}, Path("boxes.csv"))


class Folder:
    """What a balanced folder tells of three synthetic images."""

    def __init__(self, mask):
        told = {"mode": "inpaint", "width": str(SIDE), "height": str(SIDE), "mask": runs_to_text(to_runs(mask))}
        self.provenance = {"a": told | {"source_path": "2.png"}, "b": told | {"source_path": "gone.png"}, "c": {}}


def test_a_lesion_goes_into_the_source_of_the_painted_image_and_never_into_its_own_patient():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[3:8, 3:8] = True
    pool = Pool((), ("a", "b", "c"), ("nodule",) * 3)
    wishes = transplants_like(pool, Folder(mask), CLASSES, TRAIN)
    assert [(wish.number, wish.region is None) for wish in wishes] == [(0, False), (0, True)]
    assert wishes[0].into == 2
    assert wishes[1].into in (2, 3, 4)
    for regions in (REGIONS, None):
        found = transplant(TRAIN, CLASSES, wishes[:1] * 4, regions)
        assert found.targets.tolist() == [0] * 4
        outside = np.ones((SIDE, SIDE), bool)
        outside[2:9, 2:9] = False
        assert (found.images[:, outside] == TRAIN.images[2, 0, 0]).all()
        assert (found.images[:, 5, 5] > 190).all()  # of image 1: image 0 is of the same patient


def test_lesions_are_used_equally_often_and_nothing_is_made_of_nothing():
    wishes = [Wish(0, 3)] * 6
    found = transplant(TRAIN, CLASSES, wishes, REGIONS)
    contrast = found.images[:, 5, 5].astype(int) - 50
    assert sorted(contrast.tolist()) == [170] * 3 + [180] * 3
    assert len(transplant(TRAIN, CLASSES, wishes, None)) == 0  # no place is known
    assert len(transplant(TRAIN, CLASSES, [Wish(1, 0)], REGIONS)) == 0


def test_of_several_findings_the_new_one_is_transplanted_and_the_others_stay():
    train = part([[1, 0], [0, 1], [0, -1]], [0, 1, 2])
    pool = Pool((), ("a", "c"), ("", ""), (), ((1, 1), (1, 0)))
    folder = Folder(np.zeros((SIDE, SIDE), bool))
    folder.provenance["a"]["source_path"] = "1.png"
    wishes = transplants_like(pool, folder, ("nodule", "mass"), train)
    assert [(wish.number, wish.into) for wish in wishes] == [(0, 1), (0, 2)]
    found = transplant(train, ("nodule", "mass"), wishes, REGIONS)
    assert found.targets.tolist() == [[1, 1], [1, -1]]
