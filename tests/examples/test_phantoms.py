import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from examples.phantoms import (
    CHEST,
    FOREARM,
    HARD,
    Consolidation,
    Effusion,
    Nodule,
    draw_chest,
    draw_exposure,
    draw_forearm,
    draw_radiograph,
    finding_mask,
    write_collection,
    write_table_collection,
)

PATIENTS = range(12)


def _change(label: str, patient: int, base: str) -> npt.NDArray[np.float64]:
    """What the finding alone changes in the image, in grey levels."""
    return draw_radiograph(label, patient).astype(float) - draw_radiograph(base, patient)


@pytest.mark.parametrize("label", CHEST + FOREARM)
@pytest.mark.parametrize("size", [32, 64])
def test_is_a_grey_square_that_uses_its_range(label: str, size: int) -> None:
    grey = draw_radiograph(label, patient=1, size=size)
    assert grey.shape == (size, size)
    assert grey.dtype == np.uint8
    assert np.ptp(grey) > 180


@pytest.mark.parametrize("label", CHEST + FOREARM)
def test_equal_numbers_give_equal_bytes_and_any_other_number_does_not(label: str) -> None:
    once = draw_radiograph(label, 3, 1, seed=2).tobytes()
    assert once == draw_radiograph(label, 3, 1, seed=2).tobytes()
    for patient, image, seed in [(4, 1, 2), (3, 2, 2), (3, 1, 3)]:
        assert once != draw_radiograph(label, patient, image, seed=seed).tobytes()


def test_global_randomness_stays_untouched() -> None:
    before = repr(np.random.get_state(legacy=False))
    draw_radiograph("consolidation", 1)
    assert repr(np.random.get_state(legacy=False)) == before


def test_images_of_one_patient_resemble_each_other_more_than_other_patients() -> None:
    first = np.array([draw_radiograph("normal", p, 0, 32).ravel() for p in PATIENTS], float)
    second = np.array([draw_radiograph("normal", p, 1, 32).ravel() for p in PATIENTS], float)
    alike = np.corrcoef(first, second)[: len(first), len(first) :]
    assert np.diag(alike).mean() > alike[~np.eye(len(alike), dtype=bool)].mean()


def test_label_changes_the_finding_and_nothing_else() -> None:
    for patient in PATIENTS:
        normal = draw_chest("normal", patient)
        for label in CHEST[1:]:
            same = {"findings": (), "cardiothoracic_ratio": normal.cardiothoracic_ratio}
            assert dataclasses.replace(draw_chest(label, patient), **same) == normal
        broken = draw_forearm("fractured", patient)
        assert dataclasses.replace(broken, radius=None, ulna=None) == draw_forearm("intact", patient)


def test_truth_says_what_the_label_says() -> None:
    kinds = {"consolidation": Consolidation, "pleural_effusion": Effusion, "nodule": Nodule}
    for patient in PATIENTS:
        for label in CHEST:
            assert isinstance(draw_chest(label, patient).finding, kinds.get(label, type(None)))
        broken, intact = draw_forearm("fractured", patient), draw_forearm("intact", patient)
        assert broken.radius or broken.ulna
        assert intact.radius is intact.ulna is None


def test_an_enlarged_heart_is_wide_in_truth_and_in_the_image() -> None:
    for patient in PATIENTS:
        for label in set(CHEST) - {"cardiomegaly"}:
            assert 0.40 <= draw_chest(label, patient).cardiothoracic_ratio <= 0.48
        assert draw_chest("cardiomegaly", patient).cardiothoracic_ratio > 0.55
        brighter = _change("cardiomegaly", patient, "normal") > 25
        rows, columns = np.nonzero(brighter)
        assert brighter.sum() > 60
        assert columns.min() < 31 < columns.max()  # to both sides of the midline
        assert 18 < rows.mean() < 46


def test_an_effusion_whitens_the_base_of_its_lung_and_not_the_top() -> None:
    for patient in PATIENTS:
        finding = draw_chest("pleural_effusion", patient).finding
        assert isinstance(finding, Effusion)
        change = _change("pleural_effusion", patient, "normal")
        sides = {"left": (finding.left_cm, change[:, 8:24]), "right": (finding.right_cm, change[:, 40:56])}
        for height, lung in sides.values():
            if height:
                assert lung[30:46].max(axis=1).max() > 50
            assert lung[30:46].mean() > lung[12:20].mean() + (10 if height else -10)


def test_a_nodule_is_one_small_round_bright_blob() -> None:
    for patient in PATIENTS:
        change = _change("nodule", patient, "normal")
        rows, columns = np.nonzero(change > 0.5 * change.max())
        assert change.max() > 35
        assert 5 <= len(rows) <= 25
        for at in (rows, columns):
            assert 0.045 * 64 <= np.ptp(at) + 1 <= 0.1 * 64
        finding = draw_chest("nodule", patient).finding
        assert isinstance(finding, Nodule)
        assert np.sign(columns.mean() - 31.5) == finding.side
        row, column = np.ogrid[:64, :64]
        far = np.hypot(row - rows.mean(), column - columns.mean()) > 6
        assert np.abs(change[far]).mean() < 3


def test_a_fracture_darkens_a_gap_where_the_truth_puts_it() -> None:
    for patient in PATIENTS:
        arm, exposure = draw_forearm("fractured", patient), draw_exposure(patient)
        change = _change("fractured", patient, "intact")
        for broken in filter(None, (arm.radius, arm.ulna)):
            row = 32 + 64 * (broken.at / 16 + exposure.shift_y) / exposure.field
            near = change[round(row) - 7 : round(row) + 8]
            assert near.min() < -50
            assert near.max() > 30
        assert np.abs(change[:6]).mean() < 6  # the elbow's end stays


def test_brightness_alone_does_not_tell_the_class() -> None:
    for labels, limit in ((CHEST, 30), (FOREARM, 10)):
        means = [np.mean([draw_radiograph(name, p, size=32).mean() for p in PATIENTS]) for name in labels]
        assert np.ptp(means) < limit


def _set(labels: tuple[str, ...], patients: range) -> tuple[npt.NDArray[np.float64], list[str]]:
    names = [name for _ in patients for name in labels]
    numbers = range(patients.start * len(labels), patients.stop * len(labels))  # each patient has one label
    images = [draw_radiograph(name, n, size=32).ravel() for name, n in zip(names, numbers, strict=True)]
    return np.array(images) / 255.0, names


@pytest.mark.parametrize(("labels", "enough"), [pytest.param(CHEST, 0.70, marks=pytest.mark.slow), (FOREARM, 0.65)])
def test_a_simple_classifier_knows_unseen_patients(labels: tuple[str, ...], enough: float) -> None:
    images, names = _set(labels, range(250))
    unseen, truth = _set(labels, range(250, 330))
    model = make_pipeline(PCA(80, random_state=0), SVC(C=10)).fit(images, names)
    score = balanced_accuracy_score(truth, model.predict(unseen))
    print(f"balanced accuracy {score:.2f}")
    assert score > enough


def test_a_collection_holds_the_counts_and_no_patient_twice(tmp_path: Path) -> None:
    counts = {"normal": 7, "nodule": 3, "intact": 0}
    write_collection(tmp_path, counts, size=16, first_patient=40, max_images=3)
    files = {label: sorted(p.name for p in (tmp_path / label).iterdir()) for label in counts}
    assert {label: len(names) for label, names in files.items()} == counts
    patients = {label: {name.split("-")[0] for name in names} for label, names in files.items()}
    assert not patients["normal"] & patients["nodule"]
    assert min(patients["normal"]) == "p00040"
    assert 3 <= len(patients["normal"]) <= 7
    stored = np.asarray(Image.open(tmp_path / "normal" / "p00040-00.png"))
    assert np.array_equal(stored, draw_radiograph("normal", 40, 0, 16))


def test_max_images_of_one_gives_each_patient_one(tmp_path: Path) -> None:
    write_collection(tmp_path, {"fractured": 4}, size=16, max_images=1)
    names = sorted(p.name for p in (tmp_path / "fractured").iterdir())
    assert names == [f"p{n:05d}-00.png" for n in range(4)]


def test_an_unknown_label_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown label 'hernia'"):
        draw_radiograph("hernia", 1)
    with pytest.raises(ValueError, match="unknown label 'intact'"):
        draw_chest("intact", 1)
    with pytest.raises(ValueError, match="unknown label 'normal'"):
        draw_forearm("normal", 1)
    with pytest.raises(ValueError, match="unknown label"):
        write_collection(tmp_path, {"normal": 1, "hernia": 1})
    assert not list(tmp_path.iterdir())


def test_several_findings_are_each_as_they_would_be_alone() -> None:
    for patient in PATIENTS:
        both = draw_chest("cardiomegaly|consolidation|pleural_effusion", patient)
        alone = [draw_chest(label, patient).finding for label in ("consolidation", "pleural_effusion")]
        assert both.findings == tuple(alone)
        assert both.cardiothoracic_ratio == draw_chest("cardiomegaly", patient).cardiothoracic_ratio


def test_each_of_several_findings_is_seen_where_it_is_alone() -> None:
    for patient in PATIENTS:
        alone = _change("nodule", patient, "normal")
        beside = _change("cardiomegaly|nodule", patient, "cardiomegaly")
        assert np.corrcoef(alone.ravel(), beside.ravel())[0, 1] > 0.3


def test_hard_phantoms_have_look_alikes_in_normal_images_as_in_those_of_the_finding() -> None:
    for patient in PATIENTS:
        normal, sick = (draw_chest(label, patient, difficulty=HARD) for label in ("normal", "nodule"))
        assert len(normal.look_alikes) >= 3
        assert normal.look_alikes == sick.look_alikes
        without = draw_radiograph("normal", patient)
        bright = draw_radiograph("normal", patient, difficulty=HARD).astype(float) - without
        assert (bright > 25).sum() >= 5
        change = draw_radiograph("nodule", patient, difficulty=HARD).astype(float)
        change -= draw_radiograph("normal", patient, difficulty=HARD)
        there = finding_mask("nodule", patient, difficulty=HARD)
        assert change[there].mean() > change[~there].mean() + 10


def test_a_difficulty_changes_the_look_alikes_and_the_finding_and_nothing_else(tmp_path: Path) -> None:
    for label in CHEST:
        usual, hard = draw_chest(label, 3), draw_chest(label, 3, difficulty=HARD)
        assert usual.look_alikes == ()
        assert dataclasses.replace(hard, look_alikes=(), findings=usual.findings) == usual
    assert dataclasses.replace(draw_exposure(3, difficulty=HARD), log_photons=0.0) == dataclasses.replace(
        draw_exposure(3), log_photons=0.0
    )
    assert draw_radiograph("fractured", 3, difficulty=HARD).tobytes() == draw_radiograph("fractured", 3).tobytes()
    write_collection(tmp_path, {"normal": 1}, size=16, max_images=1, difficulty=HARD)
    stored = np.asarray(Image.open(tmp_path / "normal" / "p00000-00.png"))
    assert np.array_equal(stored, draw_radiograph("normal", 0, 0, 16, difficulty=HARD))


@pytest.mark.parametrize("label", ["normal|nodule", "nodule|nodule", "nodule|fractured", "nodule|"])
def test_findings_that_do_not_go_together_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match=r"needed|unknown label"):
        draw_radiograph(label, 1)


def test_a_table_names_the_findings_of_each_image(tmp_path: Path) -> None:
    table = write_table_collection(tmp_path, {"normal": 5, "nodule|pleural_effusion": 4}, size=16)
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    assert [row[1] for row in rows] == ["normal"] * 5 + ["nodule|pleural_effusion"] * 4
    assert {row[0] for row in rows} == {path.name for path in (tmp_path / "images").iterdir()}
    assert len({row[2] for row in rows[:5]} & {row[2] for row in rows[5:]}) == 0
