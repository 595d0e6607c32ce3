"""Nearness to patients comes from the calibration that the images were judged by."""

import json
import os
from dataclasses import replace

import numpy as np

from analysis.report.copy_distances import measure_copies
from analysis.screening.copies import Calibration
from balancer.jobs import Verdict
from tests.support.report_fixtures import CALIBRATION


def verdict(pixels, calibration):
    values = {"pixels": pixels, "embedding": 0.5}
    scores = {"copy_pixels": pixels, "copy_embedding": 0.5, "copy_percentile": calibration.percentile(values)}
    return Verdict("accept", scores, (), "screen 1")


def keep(folder, name, values, age=0):
    path = folder / f"calibration-{name}.json"
    path.write_text(json.dumps(values))
    os.utime(path, (1_000_000 - age, 1_000_000 - age))


def test_the_calibration_that_judged_is_found_again(tmp_path):
    own = Calibration.of(CALIBRATION)
    chance = np.random.default_rng(0)
    other = [{"pixels": float(x), "embedding": 0.2} for x in chance.uniform(0, 0.6, 150)]
    keep(tmp_path, "old", CALIBRATION, age=100)
    keep(tmp_path, "new", other)
    verdicts = [verdict(pixels, own) for pixels in (0.6, 0.7, 0.8)]
    found = measure_copies(tmp_path, {"nodule": verdicts, "normal": []}, [id(verdicts[0])])
    assert found.certain
    assert len(found.real) == len(CALIBRATION)
    assert (found.review, found.reject) == (own.limit(own.review), own.limit(own.reject))
    assert found.rates == (own.review, own.reject)
    assert found.synthetic["nodule"] == tuple(
        own.rarity({"pixels": pixels, "embedding": 0.5}) for pixels in (0.6, 0.7, 0.8)
    )
    assert found.accepted == found.synthetic["nodule"][:1]


def test_whether_the_generator_knew_the_patients_is_kept_with_them(tmp_path):
    (tmp_path / "calibration-1.json").write_text(json.dumps({"found": CALIBRATION, "learned": True}))
    known = Calibration.of(CALIBRATION, learned=True)
    found = measure_copies(tmp_path, {"nodule": [verdict(0.7, known)]}, [])
    assert found.certain
    assert found.rates == (known.review, known.reject)


def test_two_patients_who_come_as_near_as_an_image_are_no_other_calibration(tmp_path):
    own = Calibration.of(CALIBRATION, people=range(len(CALIBRATION)))
    values = {"pixels": 0.62, "embedding": 0.5}
    order = np.argsort(own.joint, kind="stable")
    found = {
        own.percentile(values, {"pixels": int(one), "embedding": int(two)})
        for one in order[:5]
        for two in order[5:10]
        if one != two
    }
    least = min(found)
    assert own.percentile(values) - least > 1.5 * 100 / (len(own) + 1)  # two patients, and not one
    keep(tmp_path, "new", CALIBRATION)
    judged = Verdict("accept", {"copy_pixels": 0.62, "copy_embedding": 0.5, "copy_percentile": least}, (), "screen 2")
    assert measure_copies(tmp_path, {"nodule": [judged]}, []).certain


def test_of_another_calibration_it_is_said(tmp_path):
    keep(tmp_path, "new", CALIBRATION)
    judged = verdict(0.7, Calibration.of(CALIBRATION))
    moved = replace(judged, scores={**judged.scores, "copy_percentile": 1.0})
    assert not measure_copies(tmp_path, {"nodule": [moved]}, []).certain


def test_without_scores_or_calibration_nothing_is_said(tmp_path):
    judged = verdict(0.7, Calibration.of(CALIBRATION))
    assert measure_copies(tmp_path, {"nodule": [judged]}, []) is None
    for damaged in ("", "[]", "{}", '[{"pixels": "x"}]', '[{"other": 1}]', "[1]"):
        (tmp_path / "calibration-1.json").write_text(damaged)
        assert measure_copies(tmp_path, {"nodule": [judged]}, []) is None
    keep(tmp_path, "1", CALIBRATION)
    assert measure_copies(tmp_path, {"nodule": [Verdict("unscreened", {}, (), "x")]}, []) is None
