import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.metrics import recall_score
from torchvision import models

from analysis.comparison.training import time_estimate
from analysis.comparison.training.backbones import find_backbone
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import FineTuned, SmallNetwork
from analysis.comparison.training.training_spec import TimeEstimate, TrainingSpec, Watched
from analysis.vision.augmentation import Augmentation
from balancer.errors import ModelError
from tests.support.comparison_fixtures import CLASSES, SIDE, stripes

TARGETS = np.repeat([0, 1, 2], [600, 600, 60])
SEEN = stripes(TARGETS, seed=1, noise=60)
TEST = np.repeat([0, 1, 2], 40)
UNSEEN = stripes(TEST, seed=2, noise=60)
PRIOR = np.log(np.bincount(TARGETS) / len(TARGETS)).astype(np.float32)
SPEC = TrainingSpec(np.arange(1260), TARGETS, CLASSES, 30, 0, augmentation=Augmentation.none())
SMALL = SmallNetwork(side=SIDE, batch_size=32, width=16)


def quiet(done, total):
    pass


def recall(model, seen=UNSEEN):
    """Of the rare class."""
    return recall_score(TEST, model.probabilities(seen).argmax(axis=1), average=None)[2]


@pytest.fixture(scope="module")
def plain():
    return SMALL.learn(SEEN, SPEC, quiet)


@pytest.mark.parametrize(
    "how",
    [{"log_prior": PRIOR}, {"class_weights": np.array([0.7, 0.7, 7], np.float32)}, {"sampling": "balanced"}],
)
def test_the_rare_class_is_found_more_often_with_each_remedy(plain, how):
    assert recall(SMALL.learn(SEEN, replace(SPEC, **how), quiet)) > recall(plain) + 0.2


def test_a_new_head_alone_leaves_the_body_as_it_is(plain):
    before = {name: value.clone() for name, value in plain.classifier.network.state_dict().items()}
    spec = replace(SPEC, start=plain, head_only=True, sampling="balanced")
    after = SMALL.learn(SEEN, spec, quiet).classifier.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}
    assert all(torch.equal(value, before[name]) for name, value in plain.classifier.network.state_dict().items())


def test_progress_is_told_of_each_step_and_the_start_is_used(plain):
    heard = []
    spec = replace(SPEC, start=plain, steps=0)
    same = SMALL.learn(SEEN, spec, lambda done, total: heard.append((done, total)))
    assert np.array_equal(same.probabilities(UNSEEN), plain.probabilities(UNSEEN))
    SMALL.learn(SEEN, replace(SPEC, steps=2), lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = models.resnet18()
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    save_file(network.state_dict(), path)
    return path


def test_a_network_from_disk_is_trained_as_a_whole(weights):
    learner = FineTuned("resnet18", weights, side=SIDE, batch_size=16, rates=(1e-3,))
    untrained = learner.learn(SEEN, replace(SPEC, steps=0), quiet)
    trained = learner.learn(SEEN, replace(SPEC, steps=12, sampling="balanced"), quiet)
    first = untrained.classifier.network.state_dict()
    last = trained.classifier.network.state_dict()
    assert not torch.equal(first["trunk.conv1.weight"], last["trunk.conv1.weight"])
    probabilities = trained.probabilities(UNSEEN)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == TEST).mean() > (
        untrained.probabilities(UNSEEN).argmax(axis=1) == TEST
    ).mean()
    other = learner.learn(SEEN, replace(SPEC, steps=0, seed=1), quiet).classifier.network
    assert torch.equal(other.trunk.conv1.weight, first["trunk.conv1.weight"])
    assert not torch.equal(other.head.weight, first["head.weight"])


def test_frozen_features_are_scaled_by_the_real_images():
    everything = np.concatenate((SEEN, UNSEEN))
    features = Frozen(side=SIDE, steps=10).look(everything, np.arange(1260), TARGETS, CLASSES, 0, quiet)
    assert features.shape == (1380, 128)
    used = features[:1260].std(axis=0) > 0.5
    assert np.allclose(features[:1260].mean(axis=0), 0, atol=1e-4)
    assert np.allclose(features[:1260].std(axis=0)[used], 1, atol=1e-3)


def test_frozen_features_come_from_weights_on_disk_too(weights):
    heard = []
    learner = Frozen(weights, side=32)
    features = learner.look(
        np.repeat(SEEN[570:640], 2, axis=1).repeat(2, axis=2),
        np.arange(60),
        TARGETS[570:630],
        CLASSES,
        0,
        lambda *at: heard.append(at),
    )
    assert features.shape == (70, 512)
    assert heard == [(64, 70), (70, 70)]


@pytest.mark.parametrize(
    ("backbone", "look", "training"),
    [
        ("small", 0, 10 + 200 / 64),
        ("resnet18", 0, 10 * 32 / 2 + 200 / 2),  # two images stand for a batch of 32
        ("frozen", 600 + 1200 / 64, 1000 / 200),
        ("frozen-from-disk", 1200 / 2, 1000 / 200),
    ],
)
def test_each_learner_tries_how_fast_it_is(weights, monkeypatch, backbone, look, training):
    """By a clock that goes on by a second whenever it is looked at."""
    clock = itertools.count()
    monkeypatch.setattr(time_estimate, "_now", lambda device: float(next(clock)))
    name, _, disk = backbone.partition("-")
    learner = find_backbone(name, weights=weights if disk or name == "resnet18" else None, device="cpu")
    assert learner.looks_alike == (backbone != "frozen")
    assert learner.pace(10, 1000, 200) == TimeEstimate(pytest.approx(look), pytest.approx(training))


def points(targets, seed):
    means = np.array([[-1, 0], [1, 0], [1, 1.5]])
    return (means[targets] + np.random.default_rng(seed).normal(0, 0.8, (len(targets), 2))).astype(np.float32)


def test_logistic_regression_knows_weights_and_priors():
    learner, seen, unseen = Frozen(), points(TARGETS, 1), points(TEST, 2)
    plain = learner.learn(seen, SPEC, quiet)
    weighted = learner.learn(seen, replace(SPEC, class_weights=np.array([0.7, 0.7, 7], np.float32)), quiet)
    balanced = learner.learn(seen, replace(SPEC, sampling="balanced"), quiet)
    adjusted = learner.learn(seen, replace(SPEC, log_prior=PRIOR), quiet)
    assert np.allclose(weighted.probabilities(unseen), balanced.probabilities(unseen), atol=1e-4)
    assert min(recall(each, unseen) for each in (weighted, adjusted)) > recall(plain, unseen) + 0.2
    expected = plain.probabilities(unseen) / np.exp(PRIOR)
    assert np.allclose(adjusted.probabilities(unseen), expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_logistic_regression_gives_no_chance_to_what_it_never_saw():
    spec = replace(SPEC, rows=np.arange(1200), targets=TARGETS[:1200])
    probabilities = Frozen().learn(points(TARGETS, 1), spec, quiet).probabilities(points(TEST, 2))
    assert probabilities.shape == (120, 3)
    assert not probabilities[:, 2].any()
    assert np.allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("times", [4, 20])
def test_the_penalty_does_not_depend_on_how_often_the_same_images_are_named(times):
    """S10: a fixed C multiplies a sum, so that repeated images weaken the penalty."""
    seen = points(TARGETS, 1)
    often = replace(SPEC, rows=np.tile(SPEC.rows, times), targets=np.tile(TARGETS, times))
    once, more = (Frozen().learn(seen, spec, quiet).fitted.coef_ for spec in (SPEC, often))
    assert np.linalg.norm(more) == pytest.approx(np.linalg.norm(once), rel=0.01)


def test_the_strength_of_the_penalty_is_chosen_on_validation():
    rng = np.random.default_rng(0)  # 60 features of which two matter: a weak penalty learns the noise by heart
    wide = lambda targets, seed: np.concatenate(  # noqa: E731
        (points(targets, seed), rng.normal(0, 1, (len(targets), 60)).astype(np.float32)), axis=1
    )
    rows = np.r_[0:30, 600:630, 1200:1230]
    seen, unseen = wide(TARGETS, 1), wide(TEST, 2)
    both = np.concatenate((seen, unseen))
    spec = replace(SPEC, rows=rows, targets=TARGETS[rows])
    watched = replace(spec, watched=Watched(np.arange(1260, 1380), TEST))
    strengths = (2000.0, 20.0)
    usual, chosen = (Frozen(strengths=strengths).learn(both, each, quiet).fitted.coef_ for each in (spec, watched))
    stronger = Frozen(strengths=(20.0,)).learn(both, spec, quiet).fitted.coef_
    assert np.allclose(chosen, stronger)
    assert not np.allclose(usual, stronger)


def test_each_row_weighs_what_it_is_given():
    seen, weights = points(TARGETS, 1), np.repeat([1.0, 1.0, 10.0], [600, 600, 60]).astype(np.float32)
    weighted = Frozen().learn(seen, replace(SPEC, row_weights=weights, sampling="weighted"), quiet)
    balanced = Frozen().learn(seen, replace(SPEC, sampling="balanced"), quiet)
    assert np.allclose(weighted.probabilities(points(TEST, 2)), balanced.probabilities(points(TEST, 2)), atol=1e-3)


def test_what_is_watched_keeps_the_weights_with_the_lowest_loss():
    everything = np.concatenate((SEEN, UNSEEN))
    watched = Watched(np.arange(1260, 1380), TEST)
    model = SMALL.learn(everything, replace(SPEC, sampling="balanced", watched=watched), quiet)
    course = model.course
    assert (course.steps[0], course.steps[-1]) == (0, 30)
    probabilities = np.maximum(model.probabilities(UNSEEN)[np.arange(120), TEST], 1e-12)
    losses = [-np.log(probabilities[each == TEST]).mean() for each in range(3)]
    assert np.mean(losses) == pytest.approx(course.lowest, abs=1e-3)


def test_a_batch_can_be_mixed_with_a_plain_one(plain):
    mixed = SMALL.learn(SEEN, replace(SPEC, sampling="balanced", mixup=0.2), quiet)
    assert recall(mixed) > recall(plain) + 0.2


def test_learners_go_by_their_names(weights):
    assert find_backbone() == SmallNetwork()
    assert find_backbone("small").stamps == ("weak baseline",)
    tuned = find_backbone("resnet18", weights=weights)
    assert (tuned.side, tuned.stamps) == (224, ())
    assert tuned.facts()["weights"] == find_backbone("frozen", weights=weights).facts()["weights"]
    assert (find_backbone("frozen", side=128).side, find_backbone("frozen", weights=weights).side) == (128, 224)


@pytest.mark.parametrize(
    ("backbone", "how", "found"),
    [
        ("vgg", {}, "'vgg'"),
        ("resnet18", {}, "resnet18 without a file of weights"),
        ("resnet50", {"weights": True}, "resnet50, and weights of resnet18 in resnet18.safetensors"),
        ("small", {"weights": True}, "which is trained from scratch"),
        ("small", {"side": 8}, "8 px"),
        ("resnet18", {"weights": True, "side": 64}, "64 px"),
        ("small", {"device": "cuda:77"}, "cuda:77"),
    ],
)
def test_what_is_no_learner_is_refused(weights, backbone, how, found):
    how = how | ({"weights": weights} if how.get("weights") else {})
    with pytest.raises(ModelError, match=found):
        find_backbone(backbone, **how)
