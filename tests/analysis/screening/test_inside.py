import numpy as np
import pytest

from analysis.screening.inside import InsideGate
from examples.phantoms import draw_radiograph, finding_mask

MASK = finding_mask("nodule", 3)


@pytest.fixture(scope="module")
def gate():
    greys = np.stack([draw_radiograph("nodule", patient) for patient in range(20)])
    return InsideGate(greys, np.arange(20))


def test_a_part_of_a_real_image_is_found_wherever_it_lies(gate):
    pasted = draw_radiograph("normal", 100)
    rows, columns = (slice(*np.flatnonzero(MASK.any(axis=axis))[[0, -1]] + (-6, 7)) for axis in (1, 0))
    pasted[rows, columns] = gate.greys[3][rows, columns]
    everyone = np.ones(20, bool)
    value, usual = gate.likeness(pasted, MASK, everyone, None)
    assert value > max(0.99, usual)
    other, _ = gate.likeness(draw_radiograph("nodule", 200), finding_mask("nodule", 200), everyone, None)
    assert other < value
    own, _ = gate.likeness(pasted, MASK, everyone, 3)
    assert own < value


def test_too_few_images_tell_nothing(gate):
    assert gate.likeness(gate.greys[0], MASK, np.arange(20) < 1, None) is None
    assert gate.likeness(gate.greys[0], MASK, np.arange(20) < 2, 1) is None


def test_a_mask_of_another_size_is_brought_to_that_of_the_images(gate):
    large = np.kron(MASK, np.ones((8, 8), bool))
    everyone = np.ones(20, bool)
    assert gate.likeness(gate.greys[3], large, everyone, None) == gate.likeness(gate.greys[3], MASK, everyone, None)
