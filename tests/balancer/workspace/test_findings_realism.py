"""Probe and quality of images with several findings: by finding."""

from analysis import DetectabilitySettings, FidelitySettings, detectability, fidelity
from analysis.data.balanced_folder import read_training_images
from balancer.workspace.reports import PROBE, QUALITY
from tests.balancer.workspace.test_findings_judged import filled  # noqa: F401


def test_real_and_synthetic_images_are_compared_by_finding(filled):  # noqa: F811
    workspace, found = filled
    merged = read_training_images(found.merged.folder)
    assert set(merged.filled) == {"nodule", "cardiomegaly", "pleural_effusion"}
    assert len(merged.real["nodule"]) == found.planned.findings.counts["nodule"]
    after = found.planned.findings.sets.after
    assert len(merged.synthetic["nodule"]) + len(merged.real["nodule"]) == after["nodule"]
    probed = detectability(workspace, DetectabilitySettings(steps=1, seeds=2, size=16, permutations=199))
    assert {each.label for each in probed.probe.classes} == set(merged.filled)
    near = fidelity(workspace, FidelitySettings(steps=1))
    assert set(near.quality.classes) == set(merged.filled)
    assert all((workspace.state.reports / name).exists() for name in (PROBE, QUALITY))
