from dataclasses import replace

import pytest

from analysis.comparison.inference.bootstrap import Estimate
from analysis.comparison.inference.decomposition import Alike
from analysis.comparison.inference.judgement import best_arm, judge
from analysis.comparison.inference.verdict import Evidence, helped, hurt, in_words
from analysis.statistics.metric_labels import metric_in_words

STILL = Estimate(0.0, -0.1, 0.1)


def evidence(primary=STILL, **changes):
    metrics = {f"{name}:{label}": STILL for label in ("N", "V") for name in ("auprc", "recall")} | {"macro_f1": STILL}
    level = {name: Estimate(0.6, 0.5, 0.7) for name in metrics}
    found = Evidence(
        rare="V",
        primary="auprc:V",
        secondary="macro_f1",
        reference="oversampling",
        synthetic="synthetic-1",
        levels={"real": level, "oversampling": level, "synthetic-1": level | {"auprc:V": Estimate(0.7, 0.6, 0.8)}},
        differences=metrics | {"auprc:V": primary},
        patients={"N": 40, "V": 12},
        seeds=5,
    )
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("difference", "judgement", "arm", "begins"),
    [
        (Estimate(0.1, 0.02, 0.18), "helps", "synthetic-1", "Use synthetic-1: synthetic images help V."),
        (Estimate(-0.1, -0.18, -0.02), "harms", "oversampling", "Do not use these: synthetic images hurt V. Use ov"),
        (Estimate(0.0, -0.02, 0.019), "no use", "oversampling", "Do not use these: synthetic images are of no use"),
        (Estimate(0.0, -0.02, 0.02), "cannot tell", None, "Cannot tell whether synthetic images help V: this test"),
        (Estimate(float("nan"), float("nan"), float("nan")), "cannot tell", None, "Cannot tell whether"),
    ],
)
def test_the_interval_decides(difference, judgement, arm, begins):
    found = evidence(difference)
    assert judge(found) == judgement
    assert best_arm(found, judgement) == arm
    assert in_words(found, judgement).startswith(begins)


def test_the_whole_paragraph():
    found = evidence(Estimate(0.1, 0.02, 0.18), stamps=("weak baseline",))
    changed = {**found.differences, "recall:N": Estimate(-0.05, -0.08, -0.02), "recall:V": Estimate(0.2, 0.1, 0.3)}
    assert in_words(replace(found, differences=changed), "helps") == (
        "Use synthetic-1: synthetic images help V. AUPRC of V is 0.700 [0.600, 0.800] with synthetic-1 and "
        "0.600 [0.500, 0.700] with oversampling, chosen among the arms that need no synthetic images: a difference of "
        "+0.100 [+0.020, +0.180]. Macro F1 is not shown to change: +0.000 [-0.100, +0.100]. It hurts recall of N "
        "(-0.050 [-0.080, -0.020]). Judged alone, it helps recall of V (+0.200 [+0.100, +0.300]). Mind: weak baseline."
    )


def test_classes_that_are_hurt_or_helped_are_named_and_the_endpoint_not_twice():
    found = evidence(Estimate(-0.1, -0.18, -0.02))
    assert (hurt(found), helped(found)) == ([], [])
    moved = {**found.differences, "auprc:N": Estimate(-0.1, -0.2, -0.001), "recall:N": Estimate(0.1, 0.001, 0.2)}
    assert (hurt(replace(found, differences=moved)), helped(replace(found, differences=moved))) == (
        ["auprc:N"],
        ["recall:N"],
    )


def test_nothing_is_told_of_classes_of_few_patients_nor_of_one_seed():
    moved = {**evidence().differences, "recall:N": Estimate(-0.1, -0.2, -0.05), "macro_f1": Estimate(-0.1, -0.2, -0.05)}
    few = evidence(differences=moved, patients={"N": 5, "V": 12})
    assert hurt(few) == []
    assert "Macro F1 changes" in in_words(few, judge(few))
    one = in_words(evidence(differences=moved, seeds=1), "cannot tell")
    assert "It hurts" not in one
    assert "Macro F1 is not shown to change" in one


@pytest.mark.parametrize(("seeds", "told"), [(2, True), (4, True), (5, False)])
def test_few_seeds_are_not_blamed_on_the_test_set_alone(seeds, told):
    said = in_words(evidence(seeds=seeds), "cannot tell")
    assert (f"(12 patients with V), or {seeds} seeds are too few (--seeds 5)." in said) == told


def test_a_small_test_set_is_told_what_it_would_take():
    words = in_words(evidence(needed="80 patients with V would show 0.05"), "cannot tell")
    assert "this test set is too small (12 patients with V)." in words
    assert "80 patients with V would show 0.05." in words
    assert words.endswith("Until it is known use oversampling, which needs no synthetic images.")


@pytest.mark.parametrize("few", [{"seeds": 1}, {"patients": {"N": 40, "V": 5}}, {"patients": {"N": 40, "V": 0}}])
def test_one_seed_or_five_patients_call_no_winner(few):
    found = evidence(Estimate(0.3, 0.2, 0.4), **few)
    assert judge(found) == "cannot tell"
    assert ("one seed" in in_words(found, "cannot tell")) == ("seeds" in few)
    assert "nan" not in in_words(found, "cannot tell")


def test_invalid_says_so_first_and_names_no_arm():
    found = evidence(
        Estimate(0.3, 0.2, 0.4), stamps=("INVALID: a patient is in training and test part", "weak baseline")
    )
    assert judge(found) == "invalid"
    assert best_arm(found, "invalid") is None
    words = in_words(found, "invalid")
    assert words.startswith("INVALID: a patient is in training and test part. Nothing can be concluded")
    assert words.endswith("Mind: weak baseline.")


@pytest.mark.parametrize(("low", "shown"), [(0.01, False), (-0.01, True)])
def test_without_synthetic_images_the_best_free_arm_is_named(low, shown):
    found = evidence(Estimate(0.1, low, 0.2), synthetic=None)
    assert judge(found) == "nothing synthetic"
    assert best_arm(found, "nothing synthetic") == "oversampling"
    words = in_words(found, "nothing synthetic")
    assert words.startswith("No arm with synthetic images was compared. Of the arms that need none use oversampling")
    assert ("does not show that it is better" in words) == shown
    blind = in_words(evidence(Estimate(0.1, 0.05, 0.2), synthetic=None, seeds=1), "nothing synthetic")
    assert "does not show that it is better" in blind
    nobody = evidence(synthetic=None, patients={"N": 40, "V": 0})
    assert in_words(nobody, judge(nobody)).endswith("of V either: the test part has no patient with V.")
    assert "Against" not in in_words(evidence(synthetic=None, reference="real"), "nothing synthetic")


def test_an_endpoint_of_all_classes_speaks_of_all():
    found = evidence(primary=STILL, differences=evidence().differences | {"macro_f1": Estimate(0.1, 0.05, 0.2)})
    found = replace(found, primary="macro_f1")
    assert in_words(found, judge(found)).startswith("Use synthetic-1: synthetic images help the classes on the whole.")


def test_metrics_in_words():
    assert [metric_in_words(name) for name in ("recall:A:B", "balanced_accuracy")] == [
        "recall of A:B",
        "balanced accuracy",
    ]


def test_images_help_only_if_they_beat_every_free_arm_and_not_just_the_one_that_validation_chose():
    better, level = Estimate(0.1, 0.02, 0.18), Estimate(0.01, -0.05, 0.07)
    assert judge(evidence(better, rivals={"real": better})) == "helps"
    found = evidence(better, rivals={"real": better, "strong-augmentation": level, "crt": replace(level, mean=0.05)})
    assert judge(found) == "cannot tell"
    said = in_words(found, "cannot tell")
    assert (
        "synthetic-1 beats oversampling, which validation chose, but is not shown to beat strong-augmentation" in said
    )
    assert said.endswith("Until it is known use strong-augmentation, which needs no synthetic images.")


@pytest.mark.parametrize("whole", [Estimate(-0.1, -0.18, -0.02), Estimate(0, -0.01, 0.01)])
def test_images_are_not_condemned_for_the_arm_that_validation_chose_where_another_is_better(whole):
    other = Estimate(0.06, 0.01, 0.11)
    found = evidence(whole, others={"pretraining": other})
    assert judge(evidence(whole)) in ("harms", "no use")
    assert (judge(found), best_arm(found, judge(found))) == ("cannot tell", None)
    assert in_words(found, "cannot tell").startswith(
        "Cannot tell whether synthetic images help V: synthetic-1, which validation chose, is not worth it, but "
        "pretraining may be: +0.060 [+0.010, +0.110] against oversampling."
    )
    assert judge(evidence(Estimate(0.01, 0.005, 0.015), others={"pretraining": other})) == "helps"


def alike(images, recipe=None):
    """Beside the reference `oversampling`: what the images do, and what their recipe does without them."""
    if recipe is None:
        return Alike("oversampling", {"auprc:V": images}, None)
    return Alike("strong-augmentation", {"auprc:V": images}, {"auprc:V": recipe})


UP, DOWN, FLAT = Estimate(0.06, 0.01, 0.11), Estimate(-0.06, -0.11, -0.01), Estimate(0.013, -0.02, 0.046)


@pytest.mark.parametrize(
    ("images", "recipe", "begins", "told"),
    [
        (
            *(FLAT, DOWN),
            "Do not use synthetic-1: it hurts V, by its recipe and not by its images. Use oversampling. AUPRC of V",
            "Of that, the images, as this arm uses them, account for +0.013 [-0.020, +0.046] (against "
            "strong-augmentation, the same recipe without them); the rest, -0.060 [-0.110, -0.010], "
            "is the recipe. The images themselves are not shown to harm. The recipe does. Macro F1",
        ),
        (
            *(FLAT, FLAT),
            "Do not use synthetic-1: it hurts V, by its images or by its recipe. Use oversampling. AUPRC of V",
            "is the recipe. The images themselves are not shown to harm. Macro F1",
        ),
        (
            *(DOWN, DOWN),
            "Do not use these: synthetic images hurt V. Use oversampling. AUPRC of V",
            "(against strong-augmentation, the same recipe without them); the rest, -0.060 [-0.110, -0.010], is the "
            "recipe. The images themselves do harm. Macro F1",
        ),
        (
            *(DOWN, None),
            "Do not use these: synthetic images hurt V. Use oversampling. AUPRC of V",
            "Both were trained by the same recipe: that is what the images do, as this arm uses them. The images "
            "themselves do harm. Macro F1",
        ),
    ],
)
def test_harm_says_whether_it_is_the_images_or_the_recipe(images, recipe, begins, told):
    found = evidence(DOWN, alike=alike(images, recipe))
    assert judge(found) == "harms"
    words = in_words(found, "harms")
    assert words.startswith(begins)
    assert told in words


def test_what_is_the_images_own_is_told_of_every_difference():
    for whole, judgement in ((UP, "helps"), (FLAT, "cannot tell"), (Estimate(0, -0.01, 0.01), "no use")):
        found = evidence(whole, alike=alike(FLAT, UP))
        assert judge(found) == judgement
        assert (
            f"a difference of {whole.signed}. Of that, the images, as this arm uses them, account for +0.013 "
            "[-0.020, +0.046] (against strong-augmentation, the same recipe without them); the rest, +0.060 "
            "[+0.010, +0.110], is the recipe."
        ) in in_words(found, judgement)
        assert "shown to harm" not in in_words(found, judgement)
