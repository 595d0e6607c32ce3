import numpy as np
import pandas as pd
import pytest

from balancer.collection.listed import COLUMNS, DTYPES
from balancer.collection.shortcuts import cramers_v, shortcuts


def table(counts, **columns):
    """Rows of images by class, with a value a row in some of the columns."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    usual = {"part": "", "format": "PNG", "mode": "L", "bits": 8, "width": 64, "height": 64, "size": 9, "mtime_ns": 1}
    rows = pd.DataFrame({name: [usual.get(name)] * len(labels) for name in COLUMNS})
    for name, values in ({"label": labels} | columns).items():
        rows[name] = values
    rows.index = pd.Index([f"{label}/{number}.png" for number, label in enumerate(labels)], name="path", dtype=object)
    return rows.astype(DTYPES)


def test_cramers_v_of_known_tables():
    """By hand: chi2 = n = 100, so phi2 = 1; corrected 1 - 1/99 over 2 - 1/99 - 1."""
    assert cramers_v(np.array([[50, 0], [0, 50]]))[0] == pytest.approx(1)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == (0.0, 1.0)
    strength, chance = cramers_v(np.array([[40, 10], [20, 30]]))
    chi2 = 100 * (40 * 30 - 10 * 20) ** 2 / (50 * 50 * 60 * 40)
    assert strength == pytest.approx(np.sqrt((chi2 / 100 - 1 / 99) / (1 - 1 / 99)))
    assert chance == pytest.approx(4.456e-05, rel=1e-3)


def test_a_format_that_goes_with_one_class_is_told_in_words():
    formats = ["PNG"] * 49 + ["JPEG"] + ["PNG"] * 3 + ["JPEG"] * 97
    found = list(shortcuts(table({"NODULE": 50, "NORMAL": 100}, format=formats)))
    assert [finding.kind for finding in found] == ["shortcut"]
    assert found[0].message == "98% of NODULE are PNG, 3% of the others (Cramér's V 0.94)"
    assert len(found[0].paths) == 49


def test_one_cause_is_one_finding():
    kinds = ["A"] * 30 + ["B"] * 60
    rows = table({"NODULE": 30, "NORMAL": 60}, format=kinds, mode=kinds, bits=[16] * 30 + [8] * 60)
    assert len(list(shortcuts(rows))) == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"width": [64] * 30 + [80] * 60}, "100% of NODULE are 64 x 64 px, 0% of the others"),
        ({"view": ["AP"] * 27 + ["PA"] * 3 + ["PA"] * 50 + ["AP"] * 10}, "90% of NODULE are AP views, 17% of the"),
        ({"sex": ["female"] * 30 + ["male"] * 60}, "100% of NODULE are female, 0% of the others"),
    ],
)
def test_sizes_views_and_sexes_are_shortcuts_too(columns, words):
    found = list(shortcuts(table({"NODULE": 30, "NORMAL": 60}, **columns)))
    assert any(finding.message.startswith(words) for finding in found), found


def test_many_sizes_are_told_in_bins():
    chance = np.random.default_rng(0)
    sizes = np.concatenate([chance.integers(900, 1100, 40), chance.integers(2000, 2400, 60)])
    found = list(shortcuts(table({"NODULE": 40, "NORMAL": 60}, width=sizes, height=sizes)))
    assert len(found) == 1
    assert "megapixels" in found[0].message


def test_chance_is_no_shortcut():
    """Clean collections of every size, drawn 100 times, have none."""
    told = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        counts = {label: int(chance.integers(5, 60)) for label in ("A", "B", "C")}
        total = sum(counts.values())
        columns = {
            "format": chance.choice(["PNG", "JPEG"], total, p=[0.85, 0.15]),
            "width": chance.integers(500, 2000, total),
            "height": chance.integers(500, 2000, total),
            "view": chance.choice(["PA", "AP", "lateral"], total),
        }
        told += len(list(shortcuts(table(counts, **columns))))
    assert told == 0


def test_images_of_one_patient_are_no_independent_evidence():
    rows = table({"A": 30, "B": 30}, format=["PNG"] * 30 + ["JPEG"] * 30)
    assert len(list(shortcuts(rows))) == 1
    rows["patient"] = ["p1"] * 30 + ["p2"] * 30
    assert list(shortcuts(rows)) == []
