"""A comparison of images with several findings, from the balanced folder to the report's table."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.comparison.predictions import NAME, read_predictions
from analysis.comparison.service import compare, comparison_figures, preview_compare
from analysis.power.service import detectable_effect
from balancer import FillSettings, NoScreen, ScanSettings, SplitSettings, Workspace, fill, scan, split
from balancer.errors import CollectionError, ComparisonError, PlanError
from balancer.workspace.judging_settings import CompareSettings, PowerSettings
from examples.phantoms import write_table_collection

COUNTS = {
    **{"normal": 60, "pleural_effusion": 40, "cardiomegaly|pleural_effusion": 20, "cardiomegaly": 16},
    **{"nodule": 16, "nodule|pleural_effusion": 16, "consolidation": 6},
}
SETTINGS = CompareSettings(quick=True, seeds=2, steps="2", size=16, workers=1, force=True)  # 16 px look alike


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    place = tmp_path_factory.mktemp("compared")
    table = write_table_collection(place / "x", COUNTS, size=16, max_images=1)
    rows = [row.split(",") for row in table.read_text().splitlines()[1:]]
    marks = ["image,patient,Cardiomegaly,Consolidation,Effusion,Nodule"]
    words = ("cardiomegaly", "consolidation", "pleural_effusion", "nodule")
    for at, (image, label, patient) in enumerate(rows):
        told = [("1.0" if word in label else "-1.0" if (at + k) % 9 == 0 else "0.0") for k, word in enumerate(words)]
        marks.append(",".join((image, patient, *told)))
    table.write_text("\n".join(marks) + "\n")
    workspace = Workspace.open(place)
    columns = ("file=image patient=patient",)
    named = "Cardiomegaly,Consolidation,Effusion,Nodule"
    scan(workspace, ScanSettings(place / "x", labels=(str(table),), columns=columns, labels_in_columns=named))
    split(workspace, SplitSettings(test=0.4, val=0.2))
    fill(workspace, FillSettings(target=("60",), model="noise:8", max_ratio=20), screen=NoScreen("a test"))
    return workspace, compare(workspace, SETTINGS)


def test_the_rarest_finding_of_enough_test_patients_decides_and_every_finding_is_told(compared):
    _, found = compared
    assert found.primary == "auprc:Nodule"  # consolidation is rarer, in two or three test patients
    result = found.comparison
    assert result.secondary == "macro_auprc"
    assert result.findings["Consolidation"].told == "too few patients"
    assert result.findings["Effusion"].difference.p_holm is not None
    assert set(result.arms) == {"real", "strong-augmentation", "two-stage", "pretraining"}
    kept = json.loads(found.place.read_text())
    assert set(kept["findings"]) == {"Cardiomegaly", "Consolidation", "Effusion", "Nodule"}
    assert any("fewer than 10 test images of Consolidation" in stamp for stamp in kept["stamps"])


def test_probabilities_of_each_finding_are_kept_with_what_is_known_and_measured_again(compared):
    workspace, found = compared
    name = json.loads(found.place.read_text())["settings"]["comparison"]
    place = workspace.state.folder / "comparisons" / name / NAME
    rows = pq.read_table(place).to_pandas()
    assert rows["is: Nodule"].isna().any()
    assert set(rows["is: Nodule"].dropna()) == {0, 1}
    assert (rows["label"].str.contains("Nodule") == (rows["is: Nodule"] == 1)).all()
    said = rows[[f"p: {name}" for name in ("Cardiomegaly", "Consolidation", "Effusion", "Nodule")]].to_numpy()
    assert not np.allclose(said.sum(axis=1), 1)
    again = comparison_figures(workspace)
    assert again.to_json()["findings"].keys() == found.comparison.findings.keys()
    assert again.findings["Effusion"].difference == found.comparison.findings["Effusion"].difference
    assert read_predictions(place).rare == "Nodule"


def test_arms_that_mean_nothing_for_several_findings_are_left_out_by_name(compared):
    workspace, _ = compared
    settings = CompareSettings(arm=("logit-adjustment",), seeds=1, steps="1", size=16, workers=1, force=True)
    left_out = compare(workspace, settings).comparison.facts.left_out
    assert left_out == {"logit-adjustment": "it is defined for one class an image; these images have several findings"}


@pytest.mark.slow
def test_frozen_features_and_other_arms_are_trained_too(compared):
    workspace, _ = compared
    arms = ("class-weights", "real-share-0.5", "synthetic-all", "duplicated", "unscreened")
    settings = CompareSettings(
        arm=arms, backbone="frozen", seeds=1, steps="1", size=16, workers=1, force=True, validation_only=True
    )
    found = compare(workspace, settings)
    assert {*arms} < {*found.choice.validation}
    assert not np.isnan([*found.choice.validation.values()]).any()


def test_power_is_that_of_the_rarest_finding_of_enough_patients(compared):
    workspace, _ = compared
    found = detectable_effect(workspace, PowerSettings())
    assert found.power.label == "Nodule"
    assert found.power.one_split.patients >= 10
    assert set(found.to_json()["metrics"]["auprc"]) == {"Cardiomegaly", "Consolidation", "Effusion", "Nodule"}
    with pytest.raises(PlanError, match="a finding of the collection"):
        detectable_effect(workspace, PowerSettings("Mass"))


def test_what_does_not_support_several_findings_is_refused_with_its_reason(compared):
    workspace, _ = compared
    with pytest.raises(CollectionError, match="another collection that was scanned here"):
        compare(workspace, CompareSettings(quick=True, external="x", size=16, workers=1))
    with pytest.raises(ComparisonError, match="10 test images of Consolidation"):
        compare(workspace, CompareSettings(quick=True, label="Consolidation", size=16, workers=1, steps="1"))
    assert preview_compare(workspace, SETTINGS).training.trainings == 8


@pytest.mark.slow
def test_every_patient_is_tested_in_a_fold(compared):
    workspace, _ = compared
    split(workspace, SplitSettings(folds=2))
    found = compare(workspace, replace(SETTINGS, cross_fit=2)).comparison
    assert found.test["Nodule"] == {"images": 32, "patients": 32}
    assert found.findings["Consolidation"].told in ("cannot tell", "helped", "hurt")  # six patients in all folds


@pytest.mark.slow
def test_another_hospital_tests_the_same_arms_by_finding(compared):
    """It tells of two findings alone, and of one image nothing."""
    workspace, found = compared
    own, other = workspace.home / "x", workspace.home / "hospital-b"
    table = write_table_collection(
        other, {"normal": 12, "nodule": 8, "nodule|pleural_effusion": 6}, size=16, max_images=1, first_patient=5000
    )
    rows = [row.split(",") for row in table.read_text().splitlines()[1:]]
    told = [f"{image},{patient},{int('effusion' in label)},{int('nodule' in label)}" for image, label, patient in rows]
    told[0] = f"{rows[0][0]},{rows[0][2]},-1,"
    table.write_text("\n".join(["image,patient,effusion,nodule", *told]) + "\n")
    columns = ("file=image patient=patient",)
    scan(workspace, ScanSettings(other, labels=(str(table),), columns=columns, labels_in_columns="effusion,nodule"))
    scan(workspace, ScanSettings(own))
    again = compare(workspace, replace(SETTINGS, external="hospital-b")).comparison
    assert again.judgement == found.comparison.judgement
    assert again.external.left_out["of which none of these findings is known"] == 1
    people = again.external.test["Nodule"]["patients"]
    assert 6 <= people <= 14  # at 16 px some look alike
    assert f"On hospital-b ({people} patients with Nodule): " in again.external.sentence
    assert again.external.sentence.startswith("INVALID: ") == (again.judgement == "invalid")
    assert set(again.external.test) == {"Nodule", "Effusion"}
