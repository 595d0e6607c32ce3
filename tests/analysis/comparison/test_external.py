"""Another collection: found by name or folder, without what our own holds, and refused where nothing can be said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.comparison.external import find_external, gather_external
from analysis.comparison.inference.external_result import measure_external
from analysis.comparison.inputs.study import ATTRIBUTES, Part, Study
from analysis.data.images import decode
from balancer import ScanSettings, Workspace, scan
from balancer.errors import CollectionError, ComparisonError
from tests.analysis.comparison.inference.test_result import drawn
from tests.support.study_fixtures import draw

CLASSES = ("NODULE", "NORMAL")
SIDE = 64


def write(root, label, names, first):
    (root / label).mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        draw(first + place).save(root / label / name)


def scanned(folder, root):
    scan(Workspace.open(folder), ScanSettings(root, patient=r"([pq]\d+)"))


@pytest.fixture
def place(tmp_path):
    """Our own collection, another with some of its images, and a third with other classes; our own is current."""
    own, other = tmp_path / "own", tmp_path / "hospital-b"
    for at, label in enumerate(CLASSES):
        write(own, label, [f"p{at}{number}.png" for number in range(6)], 100 * at)
        write(other, label.lower(), [f"q{at}{number}.png" for number in range(8)], 1000 + 100 * at)
    write(other, "fracture", ["q90.png", "q91.png"], 2000)
    copied = (own / "NODULE" / "p00.png").read_bytes()
    (other / "nodule" / "q80-0.png").write_bytes(copied)
    write(other, "nodule", ["q80-1.png"], 3000)  # of the same patient
    draw(103).save(other / "normal" / "q81.jpg", quality=92)  # p13 again
    write(other, "normal", ["p02.png"], 4000)  # another image of a patient of ours, by name
    write(tmp_path / "bones", "NODULE", [f"q7{number}.png" for number in range(3)], 5000)
    write(tmp_path / "bones", "FRACTURE", [f"q8{number}.png" for number in range(3)], 6000)
    for root in (other, tmp_path / "bones", own):
        scanned(tmp_path, root)
    return tmp_path


def study_of(own, targets=None):
    paths = sorted(path.relative_to(own) for path in own.rglob("*.png"))
    targets = np.array([CLASSES.index(path.parts[0]) for path in paths]) if targets is None else targets
    table = pd.DataFrame(index=range(len(paths)), columns=list(ATTRIBUTES))
    whole = Part(
        decode([own / path for path in paths], SIDE), targets, np.arange(len(paths)), tuple(map(str, paths)), table
    )
    none = Part(whole.images[:0], targets[:0], whole.groups[:0], (), table[:0])
    return Study(CLASSES, "NODULE", whole, none, none)


def test_what_our_own_holds_is_left_out_with_its_patients(place):
    with Workspace.open(place).session(write=True) as session:
        session.state.cache.mkdir(exist_ok=True)
        other = find_external(session, "hospital-b", CLASSES, "NODULE")
        assert find_external(session, str(place / "hospital-b"), CLASSES, "NODULE").root == other.root
        found = gather_external(
            session, other, study_of(place / "own"), session.state.cache, lambda what: lambda *_: None
        )
    assert found.left_out == {
        "of other classes": 2,
        "identical to images of the compared collection, or of their patients": 2,
        "of patients with the same name as one of the compared collection": 1,
        "near-duplicates, or of their patients": 1,
    }
    assert found.classes == CLASSES
    assert sorted(found.part.paths) == sorted(
        f"{label}/q{at}{number}.png" for at, label in enumerate(("nodule", "normal")) for number in range(8)
    )
    assert np.bincount(found.part.targets).tolist() == [8, 8]
    assert found.part.images.shape == (16, SIDE, SIDE)
    assert len(np.unique(found.part.groups)) == 16
    assert "16 images of NODULE, NORMAL. Left out: 2 of other classes; 2 identical" in found.note


@pytest.mark.parametrize(
    ("where", "error", "found", "advice"),
    [
        ("hospital-c", CollectionError, "'hospital-c'", "one of these: hospital-b, bones; or balance scan OTHER"),
        ("own", CollectionError, "'own', which is compared itself", "one of these: hospital-b"),
        (
            "bones",
            ComparisonError,
            "bones with FRACTURE, NODULE; in common: NODULE",
            "balance scan OTHER --map 'OLD=NEW'",
        ),
    ],
)
def test_what_there_is_not_or_has_other_classes_is_refused(place, where, error, found, advice):
    with Workspace.open(place).session(write=False) as session, pytest.raises(error) as caught:
        find_external(session, where, CLASSES, "NODULE")
    assert found in caught.value.found
    assert advice in caught.value.next_step


def test_a_collection_without_the_class_or_with_nothing_new_is_refused(place):
    with Workspace.open(place).session(write=True) as session:
        with pytest.raises(ComparisonError, match="in common: none"):
            find_external(session, "hospital-b", ("MASS", "OTHER"), "MASS")
        other = find_external(session, "hospital-b", CLASSES, "NODULE")
        kept = other.images["label"].ne("nodule") | other.images.index.str.contains("q80")
        session.state.cache.mkdir(exist_ok=True)
        few = replace(other, images=other.images[kept])
        with pytest.raises(ComparisonError, match=r"0 of NODULE, 8 of others. Left out: 2 of other classes"):
            gather_external(session, few, study_of(place / "own"), session.state.cache, lambda what: lambda *_: None)


def test_findings_are_taken_over_by_their_names_and_what_is_not_told_stays_unknown(tmp_path):
    """Another hospital has one of our findings under another spelling, and none of the other."""

    def hospital(name, columns, rows, first):
        write(tmp_path / name, "images", [f"{name[0]}{number}.png" for number in range(len(rows))], first)
        lines = [f"{name[0]}{number}.png,{row}" for number, row in enumerate(rows)]
        (tmp_path / name / "t.csv").write_text("\n".join([f"image,{','.join(columns)}", *lines]) + "\n")
        settings = ScanSettings(
            tmp_path / name,
            labels=(str(tmp_path / name / "t.csv"),),
            columns=("file=image",),
            labels_in_columns=",".join(columns),
            patient=r"([pq]\d+)",
        )
        scan(Workspace.open(tmp_path), settings)

    hospital("q-other", ("Pleural-Effusion", "Mass"), ("1,0", "0,1", "-1,1", "0,0", "1,1"), 1000)
    write(tmp_path / "classes", "NODULE", ["q90.png"], 3000)
    write(tmp_path / "classes", "NORMAL", ["q91.png"], 3100)
    scanned(tmp_path, tmp_path / "classes")
    hospital("p-own", ("pleural_effusion", "nodule"), ("1,0", "0,1", "0,0", "1,1"), 0)
    findings = ("nodule", "pleural_effusion")
    with Workspace.open(tmp_path).session(write=True, several=True) as session:
        session.state.cache.mkdir(exist_ok=True)
        other = find_external(session, "q-other", findings, "pleural_effusion")
        with pytest.raises(ComparisonError, match="in common: pleural_effusion"):
            find_external(session, "q-other", findings, "nodule")
        with pytest.raises(CollectionError, match="several findings on an image in classes"):
            find_external(session, "classes", findings, "nodule")
        own = replace(study_of(tmp_path / "p-own", np.zeros(4)), classes=findings, rare="pleural_effusion")
        found = gather_external(session, other, own, session.state.cache, lambda what: lambda *_: None)
    assert found.left_out == {"of which none of these findings is known": 1}
    assert found.part.targets.tolist() == [[-2, 1], [-2, 0], [-2, 0], [-2, 1]]
    assert found.classes == ("pleural_effusion",)


def measured(part, **options):
    return measure_external(part, "hospital-b", list(part.probabilities), "real", "synthetic-1", "auprc:R", **options)


def test_the_difference_is_told_with_its_interval_and_the_patients():
    found = measured(drawn(3), left_out={"of other classes": 2})
    assert found.sentence.startswith(
        "On hospital-b (25 patients with R): AUPRC of R is higher with synthetic-1 than real"
    )
    assert found.difference.low > 0
    assert found.test["R"] == {"images": 25, "patients": 25}
    assert set(found.arms) == set(drawn(3).probabilities)
    worse = measured(drawn(3, {"real": 1.5, "synthetic-1": 0.0}))
    assert "is lower with synthetic-1 than real" in worse.sentence
    assert "no difference in AUPRC of R is shown" in measured(drawn(3, {"real": 0.0, "synthetic-1": 0.0})).sentence


def test_five_patients_say_nothing_and_no_synthetic_arm_leaves_the_level():
    few = measured(drawn(3, counts=(60, 50, 5)))
    assert few.sentence == (
        "On hospital-b (5 patients with R): nothing can be concluded, since 5 patients with R are too few (6)."
    )
    assert few.difference is None
    alone = measure_external(drawn(3), "b", ["real"], "real", None, "auprc:R")
    assert alone.sentence.startswith("On b (25 patients with R): AUPRC of R 0.")
