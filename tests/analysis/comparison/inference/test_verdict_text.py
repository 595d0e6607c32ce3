from dataclasses import replace

import pytest

from analysis.comparison.inference.bootstrap import Estimate
from analysis.comparison.inference.decomposition import EffectDecomposition
from analysis.comparison.inference.verdict_rule import ArmRoles, Grounds, best_arm, judge, why_not
from analysis.comparison.inference.verdict_text import Evidence, helped, hurt, points, sentence
from analysis.statistics.metric_labels import metric_in_words

STILL = Estimate(0.0, -0.1, 0.1)
UP, DOWN, FLAT = Estimate(0.1, 0.02, 0.18), Estimate(-0.1, -0.18, -0.02), Estimate(0.0, -0.02, 0.019)
SHOWN = replace(UP, p_holm=0.01)
MATCHED, BEATEN = ({"counters": {"transplanted": SHOWN}, "margins": {"transplanted": each}} for each in (STILL, UP))
NAMED = ArmRoles("strong-augmentation", "pretraining", ("real", "crt"), ("synthetic-1",))


def evidence(contrast=STILL, how=None, **changes):
    metrics = {f"{name}:{label}": STILL for label in ("N", "V") for name in ("auprc", "recall")} | {"macro_f1": STILL}
    level = {name: Estimate(0.6, 0.5, 0.7) for name in (*metrics, "brier", "calibration_error")}
    grounds = replace(Grounds(contrast, 12, 5, {"real": DOWN, "crt": STILL}), **(how or {}))
    found = Evidence(
        rare="V",
        primary="auprc:V",
        named=NAMED if contrast is not None else replace(NAMED, synthetic=None),
        grounds=grounds,
        levels=dict.fromkeys(("real", "crt", "strong-augmentation", "pretraining"), level),
        differences=metrics | {"auprc:V": contrast or STILL},
        patients={"N": 40, "V": 12},
        setting="small network, 64 px",
        smallest=0.21,
        steps=600,
        how_named="Both arms were named beforehand.",
    )
    return replace(found, **changes)


CASES = [
    (UP, {}, "helps", "pretraining", "Use pretraining: synthetic images help V (small network, 64 px)."),
    (
        *(DOWN, {}, "harms", "strong-augmentation"),
        "Do not use these images: with pretraining they harm V (small network, 64 px); use strong-augmentation.",
    ),
    (
        *(FLAT, {}, "no use", "strong-augmentation"),
        "Do not use these images: with pretraining they gain less than 0.02 for V (small network, 64 px); use "
        "strong-augmentation.",
    ),
    (
        *(STILL, {}, "cannot tell", None),
        "Cannot tell whether synthetic images help V: 12 test patients cannot show a difference this small (small "
        "network, 64 px).",
    ),
    (Estimate(*[float("nan")] * 3), {}, "cannot tell", None, "Cannot tell whether synthetic images help V: 12 test"),
    (UP, {"seeds": 1}, "cannot tell", None, "Cannot tell whether synthetic images help V: one seed says nothing"),
    (UP, {"patients": 5}, "cannot tell", None, "Cannot tell whether synthetic images help V: 5 test patients are too"),
    (UP, {"patients": 0}, "cannot tell", None, "Cannot tell whether synthetic images help V: the test split has no"),
    (
        *(UP, {"unfinished": ("pretraining",)}, "cannot tell", None),
        "Cannot tell whether synthetic images help V: train longer (--steps 1200) (small network, 64 px).",
    ),
    (DOWN, {"unfinished": ("strong-augmentation",)}, "cannot tell", None, "Cannot tell whether synthetic images help"),
    (UP, {"failed": True}, "cannot tell", None, "Cannot tell: the baseline fails here, strong-augmentation is no"),
    (
        *(UP, {"rivals": {"crt": SHOWN}, "margins": {"crt": STILL}}, "cannot tell", "crt"),
        "Use crt, which needs no synthetic images: for V it beats the baseline strong-augmentation (small network, "
        "64 px).",
    ),
    (
        *(UP, {"rivals": {"crt": SHOWN}, "margins": {"crt": UP}}, "cannot tell", None),
        "Cannot tell: the baseline fails here, crt beats it, though pretraining beats both (small network, 64 px).",
    ),
    (UP, {"rivals": {"crt": replace(UP, p_holm=0.2)}}, "helps", "pretraining", "Use pretraining"),  # not shown
    (DOWN, {"rivals": {"crt": SHOWN}}, "harms", "crt", "Do not use these images: with pretraining they harm V (small"),
    (
        *(UP, MATCHED, "cannot tell", "transplanted"),
        "Use transplanted, which needs no model: for V it beats the baseline strong-augmentation, and pretraining is "
        "not shown to beat it (small network, 64 px).",
    ),
    (UP, BEATEN, "helps", "pretraining", "Use pretraining"),
    (DOWN, MATCHED, "harms", "transplanted", "Do not use these images"),
    (
        *(FLAT, {"uses": {"synthetic-1": SHOWN}}, "cannot tell", None),
        "Cannot tell whether synthetic images help V: pretraining does not, synthetic-1 may (small network, 64 px).",
    ),
    (UP, {"uses": {"synthetic-1": SHOWN}}, "helps", "pretraining", "Use pretraining"),
    (
        *(None, {}, "nothing synthetic", "strong-augmentation"),
        "No synthetic images were compared: use strong-augmentation for V (small network, 64 px).",
    ),
    (UP, {"invalid": True}, "invalid", None, "INVALID: nothing can be concluded from this comparison; its stamps say"),
]


@pytest.mark.parametrize(("contrast", "how", "judgement", "arm", "begins"), CASES)
def test_the_rule_of_the_verdict_and_its_sentence(contrast, how, judgement, arm, begins):
    found = evidence(contrast, how)
    assert judge(found.grounds) == judgement
    assert best_arm(found.grounds, found.named) == arm
    assert sentence(found).startswith(begins)
    assert len(sentence(found).split()) <= 30
    assert "64 px" in sentence(found)
    said = points(found)
    assert len(said) <= 6
    assert "nan" not in " ".join(said[1:])


def test_a_baseline_that_is_not_sound_never_lets_images_help():
    """S3, whatever else is shown."""
    for how in ({"failed": True}, {"rivals": {"crt": SHOWN}}, {"unfinished": ("strong-augmentation",)}):
        assert judge(replace(evidence(UP).grounds, **how)) != "helps"
    assert why_not(evidence(UP).grounds) is None


def test_transplanted_lesions_are_told_beside_the_baseline():
    assert (
        "transplanted, real lesions put into other images, differs from it by +0.100 [+0.020, +0.180], pretraining "
        "from transplanted by +0.000 [-0.100, +0.100]."
    ) in points(evidence(UP, MATCHED))[1]


def test_the_points_in_their_order():
    assert points(evidence(UP, effect=EffectDecomposition("two-stage", {"auprc:V": STILL}, {"auprc:V": UP}))) == [
        "AUPRC of V: 0.600 [0.500, 0.700] with pretraining, 0.600 [0.500, 0.700] with strong-augmentation; difference "
        "+0.100 [+0.020, +0.180].",
        "Baseline: strong-augmentation; none of 2 other arms without synthetic images is shown to beat it. Both arms "
        "were named beforehand. The images themselves: +0.000 [-0.100, +0.100] against the matched control two-stage.",
        "Rests on 12 test patients with V, 5 seeds, 600 steps. The test split was opened once.",
        "Smallest detectable difference: 0.21 (80% power).",
        "Calibration: pretraining Brier score 0.600, calibration error 0.600; strong-augmentation Brier score 0.600, "
        "calibration error 0.600.",
        "Next: confirm it on patients of another hospital before you rely on it.",
    ]


def test_another_prevalence_and_other_classes_stand_beside_the_estimate():
    changed = {**evidence().differences, "recall:N": Estimate(-0.05, -0.08, -0.02), "recall:V": Estimate(0.2, 0.1, 0.3)}
    level = Estimate(0.3, 0.2, 0.4)
    found = evidence(UP, differences=changed, prevalence=0.024)
    found = replace(found, adjusted=dict.fromkeys(("pretraining", "strong-augmentation"), level))
    first = points(found)[0]
    assert "At the training prevalence of 2.4%: 0.300 and 0.300." in first
    assert first.endswith(
        "It lowers recall of N (-0.050 [-0.080, -0.020]). It raises recall of V (+0.200 [+0.100, +0.300])."
    )


def test_nothing_is_told_of_classes_of_few_patients_nor_of_one_seed():
    moved = {**evidence().differences, "recall:N": Estimate(-0.1, -0.2, -0.05), "auprc:V": UP}
    assert hurt(evidence(UP, differences=moved)) == ["recall:N"]
    assert hurt(evidence(UP, differences=moved, patients={"N": 5, "V": 12})) == []
    assert hurt(evidence(UP, {"seeds": 1}, differences=moved)) == []
    assert helped(evidence(UP, differences=moved)) == []  # the endpoint is not told twice


def test_an_interval_decides_as_it_is_and_is_shown_within_the_range():
    """S12: one that reaches beyond 1 is cut off for the reader alone."""
    wide = Estimate(0.5, -0.14, 1.14, bounds=(-1.0, 1.0))
    assert wide.signed == "+0.500 [-0.140, +1.000]"
    assert (wide.low, wide.high) == (-0.14, 1.14)
    assert judge(evidence(Estimate(-0.9, -1.2, -0.6, bounds=(-1.0, 1.0))).grounds) == "harms"


@pytest.mark.parametrize(
    ("images", "recipe", "begins"),
    [
        (STILL, DOWN, "Do not use pretraining: it harms V, not by its images ("),
        (STILL, STILL, "Do not use pretraining: it harms V, by its images or by its recipe ("),
        (DOWN, DOWN, "Do not use these images: with pretraining they harm V ("),
    ],
)
def test_harm_says_whether_it_is_the_images_or_the_recipe(images, recipe, begins):
    found = evidence(DOWN, effect=EffectDecomposition("two-stage", {"auprc:V": images}, {"auprc:V": recipe}))
    assert sentence(found).startswith(begins)
    assert len(sentence(found).split()) <= 30


def test_an_endpoint_of_all_classes_speaks_of_all():
    found = evidence(UP, primary="macro_f1", differences=evidence().differences | {"macro_f1": UP})
    assert sentence(found).startswith("Use pretraining: synthetic images help all classes on average (")


def test_metrics_in_words():
    assert [metric_in_words(name) for name in ("recall:A:B", "balanced_accuracy")] == [
        "recall of A:B",
        "balanced accuracy",
    ]


@pytest.mark.parametrize(("fit", "advice"), [(5, "--cross-fit 5"), (2, "--cross-fit 2"), (0, "more patients with V")])
def test_only_a_number_of_folds_that_fits_is_advised(fit, advice):
    last = points(evidence(folds_that_fit=fit))[-1]
    assert advice in last
    assert ("--cross-fit" in last) == (fit > 0)
