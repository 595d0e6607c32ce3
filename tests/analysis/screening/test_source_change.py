import numpy as np
import pytest

from analysis.screening.source_change import SourceGate, edit_intensities, likeness
from examples.phantoms import draw_radiograph


@pytest.fixture(scope="module")
def greys():
    return np.stack([draw_radiograph("normal", patient) for patient in range(40)])


@pytest.fixture(scope="module")
def gate(greys):
    return SourceGate.fit(greys[:25])


def test_an_edit_of_the_intensities_alone_is_the_same_image(gate, greys):
    edited = edit_intensities(greys[25:], seed=7)
    same = [gate.same(likeness(a, b)) for a, b in zip(edited, greys[25:], strict=True)]
    assert sum(same) >= len(same) - 2
    assert gate.same(likeness(255 - (255 - greys[30]) // 2, greys[30]))
    assert gate.same(likeness(np.ascontiguousarray(greys[30][:, ::-1]), greys[30]))


def test_another_patient_is_another_image(gate, greys):
    others = [gate.same(likeness(greys[place], greys[place + 1])) for place in range(25, 35)]
    assert sum(others) <= 3  # drawn chests are much alike
    assert not gate.same(likeness(draw_radiograph("intact", 30), greys[30]))


def test_it_needs_real_images(greys):
    with pytest.raises(ValueError, match="real images"):
        SourceGate.fit(greys[:0])
