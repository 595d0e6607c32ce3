from dataclasses import replace

import numpy as np
import pytest

from analysis.comparison.training.arm_selection import choose_arms, control_of, counterpart, meaning, name_synthetic
from analysis.comparison.training.arms import ARMS, RECIPES, Rows, Task, threshold_shift
from analysis.comparison.training.frozen import Frozen
from analysis.comparison.training.networks import SmallNetwork
from analysis.vision.augmentation import Augmentation
from tests.support.comparison_fixtures import CLASSES, Scribe, added, study

REAL = Rows(np.arange(46), np.repeat([0, 1, 2], [24, 16, 6]))
MADE = Rows(np.arange(100, 130), np.repeat([1, 2], [8, 22]))
POOLS = dict.fromkeys(("synthetic", "unscreened", "reconstructed", "transplanted"), MADE)


def taught(name, steps=21, recipe="strong", seed=0, pools=POOLS):
    """What an arm has its learner do."""
    scribe = Scribe()
    task = Task(CLASSES, REAL, pools, steps, seed, recipe, lambda spec: scribe.learn(None, spec, lambda *_: None))
    ARMS[name].learn(task)
    return scribe.specs


def counts(spec):
    return np.bincount(spec.targets, minlength=3).tolist()


def made(spec):
    """How many images of each class are not real."""
    return np.bincount(spec.targets[spec.rows >= 100], minlength=3).tolist()


LEARNING = [name for name, each in ARMS.items() if each.learn is not None]


@pytest.mark.parametrize("name", LEARNING)
def test_every_arm_takes_the_same_steps_with_the_seed_it_is_given(name):
    specs = taught(name, seed=3)
    assert sum(spec.steps for spec in specs) == 21
    assert {spec.seed for spec in specs} == {3}


@pytest.mark.parametrize("name", [name for name in LEARNING if ARMS[name].kind in ("real", "free")])
def test_an_arm_that_is_free_sees_real_images_only(name):
    assert [made(spec) for spec in taught(name)] == [[0, 0, 0]] * len(taught(name))


def test_real_images_are_taken_as_they_come():
    (spec,) = taught("real")
    assert spec.rows.tolist() == list(range(46))
    assert (spec.sampling, spec.augmentation, spec.class_weights, spec.log_prior) == (
        "plain",
        Augmentation(),
        None,
        None,
    )


def test_class_weights_give_each_class_the_same_weight():
    (spec,) = taught("class-weights")
    assert np.allclose(spec.class_weights * [24, 16, 6], 46 / 3)


def test_logit_adjustment_has_the_shares_of_the_classes():
    (spec,) = taught("logit-adjustment")
    assert np.allclose(np.exp(spec.log_prior), np.array([24, 16, 6]) / 46)
    assert spec.sampling == "plain"


def test_oversampling_and_strong_augmentation():
    (evened,), (strong,) = taught("oversampling"), taught("strong-augmentation", recipe="plain")
    assert (evened.sampling, evened.augmentation) == ("balanced", Augmentation())
    assert (strong.sampling, strong.augmentation) == ("balanced", Augmentation.strong())


def test_crt_trains_a_new_head_last():
    first, second = taught("crt")
    assert (first.steps, first.sampling, first.head_only) == (16, "plain", False)
    assert (second.steps, second.sampling, second.head_only) == (5, "balanced", True)
    assert second.start is not None


def test_duplicates_are_real_and_as_many_as_the_synthetic_ones():
    (spec,) = taught("duplicated")
    assert counts(spec) == [24, 24, 28]
    assert set(spec.rows) == set(range(46))
    times = np.bincount(spec.rows, minlength=46)[40:]
    assert times.max() - times.min() <= 1
    assert spec.sampling == "plain"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("synthetic-0.25", [0, 4, 2]),
        ("synthetic-1", [0, 8, 6]),
        ("synthetic-3", [0, 8, 18]),
        ("synthetic-all", [0, 8, 22]),
        ("unscreened", [0, 8, 22]),
        ("reconstructed", [0, 8, 22]),
    ],
)
def test_synthetic_images_are_added_to_the_real_ones_by_the_recipe(name, expected):
    (spec,) = taught(name)
    assert made(spec) == expected
    assert counts(spec) == (np.array([24, 16, 6]) + expected).tolist()
    assert len(set(spec.rows)) == len(spec.rows)
    assert (spec.sampling, spec.augmentation) == ("balanced", Augmentation.strong())
    (plain,) = taught(name, recipe="plain")
    assert (plain.sampling, plain.augmentation) == ("plain", Augmentation())


def test_another_seed_draws_other_synthetic_images_and_more_have_all_of_fewer():
    some, more, others = (
        set(taught(name, seed=seed)[0].rows.tolist())
        for name, seed in (("synthetic-1", 0), ("synthetic-3", 0), ("synthetic-1", 1))
    )
    assert some < more
    assert some != others


def test_pretraining_ends_on_real_images():
    first, second = taught("pretraining")
    assert (made(first), made(second)) == ([0, 8, 22], [0, 0, 0])
    assert (first.steps, second.steps) == (10, 11)
    assert second.start is not None
    assert not second.head_only


def test_transplanted_lesions_are_used_as_synthetic_images_are():
    assert (made(taught("transplanted")[0]), counts(taught("transplanted")[0])) == ([0, 8, 22], [24, 24, 28])
    assert [made(spec) for spec in taught("pretraining-transplanted")] == [[0, 8, 22], [0, 0, 0]]
    pools = {"synthetic": added((0, 10, 34)), "transplanted": added((0, 10, 34))}
    quick, _ = choose_arms(study(extra=pools), SmallNetwork(), quick=True)
    assert [each.name for each in quick if each.kind == "counter"] == ["pretraining-transplanted"]
    mixed, _ = choose_arms(study(extra=pools), SmallNetwork(), only=["real-share-0.5"])
    assert [each.name for each in mixed if each.kind == "counter"] == ["transplanted"]
    assert "--regions FILE" in choose_arms(study(), SmallNetwork())[1]["transplanted"]


def test_the_threshold_is_shifted_as_far_as_validation_says():
    shares = np.array([80, 15, 5])
    targets = np.repeat([0, 1, 2], [8, 8, 8])
    sure = np.eye(3)[targets] * 0.7 + 0.1
    assert threshold_shift(sure, targets, shares).tolist() == [1, 1, 1]
    leaning = sure * shares / 100  # what a classifier says that takes the training shares for granted
    factors = threshold_shift(leaning, targets, shares)
    assert ((leaning * factors).argmax(axis=1) == targets).all()
    assert factors[2] > factors[1] > factors[0]


def test_a_study_without_synthetic_images_has_the_free_arms():
    arms, left_out = choose_arms(study(extra={}), SmallNetwork())
    assert "threshold-shift" in {each.name for each in arms}
    assert {each.kind for each in arms} == {"real", "free"}
    assert left_out["pretraining"] == "there are no synthetic images"
    assert left_out["reconstructed"] == "there are no reconstructed images"


def test_what_the_user_adds_is_an_arm_of_its_own():
    pools = {"synthetic": added((0, 10, 34)), "extra:NIH": added((0, 0, 5)), "extra:none": added((0, 0, 0))}
    arms, left_out = choose_arms(study(extra=pools), SmallNetwork())
    (extra,) = [each for each in arms if each.name.startswith("extra")]
    assert (extra.name, extra.kind) == ("extra:NIH", "control")
    assert left_out["extra:none"] == "there are no none images"
    scribe = Scribe()
    rows = {"extra:NIH": MADE}
    extra.learn(Task(CLASSES, REAL, rows, 4, 0, "strong", lambda spec: scribe.learn(None, spec, lambda *_: None)))
    assert made(scribe.specs[0]) == [0, 8, 22]


def test_arms_that_would_be_another_one_are_left_out():
    few = study(extra={"synthetic": added((0, 0, 5))})  # of 6 real ones
    _, left_out = choose_arms(few, SmallNetwork())
    assert left_out["synthetic-1"] == (
        "there are no more than 1 times as many synthetic as real images: the same as synthetic-all"
    )
    assert "synthetic-0.25" not in left_out
    single = study(train=(9, 9, 1), extra={"synthetic": added((0, 0, 5))})
    assert "less than one" in choose_arms(single, SmallNetwork())[1]["synthetic-0.25"]


def test_quick_is_the_arms_of_the_verdict_and_names_choose():
    quick, _ = choose_arms(study(), SmallNetwork(), quick=True)
    assert [each.name for each in quick] == ["real", "strong-augmentation", "two-stage", "pretraining"]
    few, _ = choose_arms(study(), SmallNetwork(), only=["crt"])
    assert [each.name for each in few] == ["real", "strong-augmentation", "crt", "two-stage", "pretraining"]
    with pytest.raises(ValueError, match="no such arm: synthetic-2"):
        choose_arms(study(), SmallNetwork(), only=["synthetic-2"])
    frozen, _ = choose_arms(study(), Frozen(), quick=True)
    assert [each.name for each in frozen] == ["real", "class-weights", "real-share-0.5"]


def test_the_synthetic_arm_of_the_verdict_is_named_beforehand():
    names = [each.name for each in choose_arms(study(), SmallNetwork())[0]]
    assert name_synthetic(names) == ("pretraining",)
    assert name_synthetic(names, ["crt", "synthetic-1", "real-share-0.25"]) == ("synthetic-1", "real-share-0.25")
    assert name_synthetic(["real", "strong-augmentation"]) == ()


def test_a_threshold_that_the_endpoint_cannot_see_is_left_out():
    """S15: dividing the probabilities of two classes by their shares leaves the order of the images as it is."""
    two = replace(study(train=(40, 6, 0), validation=(8, 8, 0), extra={}), classes=CLASSES[:2], rare=CLASSES[1])
    assert "the primary endpoint is the same" in choose_arms(two, SmallNetwork())[1]["threshold-shift"]
    rng = np.random.default_rng(0)
    first = rng.random(200)
    probabilities = np.stack((first, 1 - first), axis=1)
    moved = probabilities * threshold_shift(probabilities, (first < 0.3).astype(int), np.array([80, 20]))
    moved /= moved.sum(axis=1, keepdims=True)
    assert (np.argsort(moved[:, 1]) == np.argsort(probabilities[:, 1])).all()


@pytest.mark.parametrize(
    ("name", "share"), [("real-share-0.25", 0.25), ("real-share-0.5", 0.5), ("real-share-0.75", 0.75)]
)
def test_real_images_keep_their_share_of_what_is_shown(name, share):
    """S9: mixed in by number, 22 synthetic images leave a class of 6 real ones a fifth of its looks."""
    (spec,) = taught(name)
    assert spec.sampling == "weighted"
    weights = spec.row_weights / spec.row_weights.sum()
    for number, has_made in ((0, False), (1, True), (2, True)):
        mine = spec.targets == number
        assert weights[mine].sum() == pytest.approx(1 / 3, abs=1e-6)
        real = weights[mine & (spec.rows < 100)].sum() * 3
        assert real == pytest.approx(share if has_made else 1, abs=1e-5)
    assert np.allclose(spec.assumed_shares(), 1 / 3)
    naive = taught("synthetic-all")[0]
    assert (naive.rows[naive.targets == 2] < 100).mean() < 0.25


def test_two_stages_are_those_of_pretraining_without_its_images():
    for ours, control in zip(taught("pretraining"), taught("two-stage"), strict=True):
        assert made(control) == [0, 0, 0]
        assert (ours.steps, ours.sampling, ours.augmentation) == (control.steps, control.sampling, control.augmentation)
    assert control_of(ARMS["pretraining"], "strong", SmallNetwork()).name == "two-stage"
    assert control_of(ARMS["synthetic-1"], "strong", SmallNetwork()).name == "strong-augmentation"


def test_pretraining_on_synthetic_images_alone_needs_some_of_every_class():
    assert "balance fill --symmetric" in choose_arms(study(), SmallNetwork())[1]["pretraining-synthetic"]
    first, second = taught("pretraining-synthetic")
    assert (set(first.rows) == set(MADE.rows), made(second)) == (True, [0, 0, 0])


def test_undersampling_takes_as_many_of_each_class_as_there_are_of_the_rarest():
    (spec,), (other,) = taught("undersampling"), taught("undersampling", seed=1)
    assert counts(spec) == [6, 6, 6]
    assert set(spec.rows) != set(other.rows)


def test_balanced_mixup_mixes_a_little_of_plain_batches_into_balanced_ones():
    (spec,) = taught("balanced-mixup")
    assert (spec.sampling, spec.mixup) == ("balanced", 0.2)


NOTHING = Rows(np.arange(0), np.arange(0))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_counterpart_is_taught_as_an_arm_with_no_images_at_all_would_be(recipe):
    (images,) = taught("synthetic-all", recipe=recipe, pools={"synthetic": NOTHING})
    (none,) = taught(counterpart(recipe, SmallNetwork()).name, recipe=recipe)
    assert (images.rows.tolist(), images.targets.tolist()) == (none.rows.tolist(), none.targets.tolist())
    assert replace(images, rows=none.rows, targets=none.targets) == none


def test_every_arm_says_what_it_does_in_plain_words():
    said = {name: meaning(name) for name in ARMS}
    assert all(each.endswith(".") and len(each) < 130 and "(C," not in each for each in said.values()), said
    assert len(set(said.values())) == len(said)


def test_a_learner_that_cannot_augment_has_another_counterpart_which_comes_to_the_same():
    assert counterpart("plain", Frozen()).name == "real"
    found = counterpart("strong", Frozen()).name
    assert found == "class-weights"
    seen = np.random.default_rng(0).normal(size=(46, 3))
    said = []
    for name in (found, "synthetic-all"):
        (spec,) = taught(name, pools={"synthetic": NOTHING})
        said.append(Frozen().learn(seen, spec, lambda *_: None).probabilities(seen))
    assert np.allclose(*said, atol=1e-5)


def test_synthetic_arms_bring_their_counterpart():
    def names(*only, backbone=SmallNetwork(), of=None, **how):  # noqa: B008  # frozen
        return [each.name for each in choose_arms(of or study(), backbone, only=only, **how)[0]]

    assert names("synthetic-all") == ["real", "strong-augmentation", "synthetic-all"]
    assert names("pretraining", recipe="plain") == ["real", "strong-augmentation", "two-stage", "pretraining"]
    assert names("synthetic-all", backbone=Frozen()) == ["real", "class-weights", "synthetic-all"]
    assert names("synthetic-all", of=study(extra={})) == ["real", "strong-augmentation"]


def test_what_a_learner_cannot_do_is_left_out_with_its_reason():
    arms, left_out = choose_arms(study(), Frozen())
    assert set(left_out) >= {"oversampling", "strong-augmentation", "crt", "pretraining"}
    assert left_out["pretraining"] == "frozen features: only the last layer is trained"
    assert {"real", "class-weights", "logit-adjustment", "synthetic-all"} <= {each.name for each in arms}


def test_without_validation_images_no_threshold_is_shifted():
    bare = replace(study(), validation=study(validation=(0, 0, 0)).validation)
    assert "validation" in choose_arms(bare, SmallNetwork())[1]["threshold-shift"]
