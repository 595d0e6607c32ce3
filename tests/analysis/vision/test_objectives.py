import numpy as np
import pytest
import torch

from analysis.data.targets import evened, log_odds, strata
from analysis.vision.classifier import ClassifierSettings, train_classifier
from analysis.vision.objectives import FINDINGS, ONE_CLASS, objective_for

MARKS = torch.tensor([[1, 0], [0, -1], [-2, 1], [0, 0]])


def test_an_unknown_mark_has_no_part_in_loss_and_gradient():
    logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    FINDINGS.loss(logits, MARKS).backward()
    assert (logits.grad != 0).tolist() == (MARKS >= 0).tolist()
    known = MARKS >= 0
    usual = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], MARKS[known].float())
    assert FINDINGS.loss(logits, MARKS).item() == pytest.approx(usual.item(), rel=1e-6)


def test_both_sides_of_a_finding_weigh_the_same_however_many_images_they_have():
    marks = torch.tensor([[1, 1]] + [[0, 1]] * 9)
    logits = torch.tensor([[2.0, 5.0]] + [[1.0, 5.0]] * 9)
    one, other = torch.nn.functional.softplus(torch.tensor([-2.0, 1.0])).tolist()
    assert FINDINGS.balanced_loss(logits, marks).item() == pytest.approx((one + other) / 2, rel=1e-6)
    assert FINDINGS.balanced_loss(logits[1:], marks[1:]).isnan()


def test_the_form_of_the_targets_decides():
    assert objective_for(np.array([0, 1])) is ONE_CLASS
    assert objective_for(np.array([[0, 1]])) is FINDINGS
    logits = torch.tensor([[0.0, 3.0]])
    assert FINDINGS.probabilities(logits).tolist()[0] == pytest.approx([0.5, 0.9526], abs=1e-4)
    assert ONE_CLASS.probabilities(logits).sum().item() == pytest.approx(1)


def test_what_a_network_says_does_not_hang_on_how_an_unknown_mark_is_written():
    greys = np.random.default_rng(0).integers(0, 256, (12, 16, 16), np.uint8)
    marks = np.array([[1, -1], [0, -2], [1, 0], [0, 1]] * 3, np.int8)
    settings = ClassifierSettings(steps=2, batch_size=8, width=8, sampling="balanced")
    found = [
        train_classifier(greys, each, ("a", "b"), settings).probabilities(greys)
        for each in (marks, np.where(marks < 0, -9, marks).astype(np.int8))
    ]
    assert (found[0] == found[1]).all()
    assert not np.allclose(found[0].sum(axis=1), 1)
    with pytest.raises(ValueError, match="a mark for each of 3 findings"):
        train_classifier(greys, marks, ("a", "b", "c"), settings)


def test_a_balanced_sampler_shows_label_sets_equally_often_and_rare_ones_with_their_rarest_finding():
    marks = np.array([[0, 0, 0]] * 60 + [[1, 0, 0]] * 30 + [[1, 1, 0]] * 12 + [[1, 0, 1]] * 3 + [[0, 1, 1]] * 3)
    groups = strata(marks)
    assert np.bincount(groups).tolist() == [60, 30, 12, 6]
    weights = evened(groups)
    assert [weights[groups == each].sum() for each in range(4)] == pytest.approx([1] * 4)
    assert log_odds(marks, weights) == pytest.approx(np.log([2.5 / 1.5, 1.5 / 2.5, 1 / 3]))
