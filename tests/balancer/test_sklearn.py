"""imbalanced-learn's door: lists of paths and labels in, the same with generated images out."""

from pathlib import Path

import pytest
from sklearn.base import clone

import analysis
from balancer import BalanceError, NoScreen
from balancer.errors import CollectionError, OutputError, PlanError, SettingsError
from balancer.sklearn import StableDiffusionSampler, _wanted
from tests.support.cli_process import tree_hash
from tests.support.tiny_models import write_xrays

LABELS = ["a", "b", "b", "b", "b", "c", "c"]


@pytest.fixture
def lists(tmp_path):
    write_xrays(tmp_path / "site" / "images", {"NODULE": 4, "NORMAL": 6})
    paths = sorted((tmp_path / "site" / "images").rglob("*.png"))
    return paths, [path.parent.name for path in paths]


def sampler(tmp_path, **parameters):
    usual = {"screen": NoScreen("test"), "out": tmp_path / "made", "random_state": 0, "model": "noise:8"}
    return StableDiffusionSampler(**{**usual, **parameters})


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("auto", {"strategy": "not majority"}),
        ("minority", {"strategy": "minority"}),
        ("not minority", {"target": ["a=1", "b=4", "c=4"]}),
        ({"a": 3}, {"target": ["a=3", "b=4", "c=2"]}),
        (lambda labels: {"c": len(labels)}, {"target": ["a=1", "b=4", "c=7"]}),
    ],
)
def test_strategies_are_those_of_imbalanced_learn(strategy, wanted):
    assert _wanted(strategy, LABELS) == wanted


@pytest.mark.parametrize("strategy", [0.5, 1, True, None, "majority", {"d": 9}, {"b": 3}, {"a": 2.5}, lambda _: 500])
def test_what_has_no_meaning_is_refused_before_anything_is_made(strategy, lists, tmp_path):
    paths, _ = lists
    with pytest.raises((SettingsError, PlanError)):
        sampler(tmp_path, sampling_strategy=strategy).fit_resample(paths[:7], LABELS)
    assert not (tmp_path / "made").exists()


def test_a_ratio_is_for_two_classes():
    assert _wanted(0.75, ["x"] * 8 + ["y"]) == {"target": ["x=8", "y=6"]}
    with pytest.raises(PlanError, match="2 classes"):
        _wanted(1.5, ["x", "y"])


def test_it_is_an_estimator_with_parameters():
    made = StableDiffusionSampler(screen=NoScreen("test"), sampling_strategy={"NODULE": 6})
    assert repr(made) == (
        "StableDiffusionSampler(sampling_strategy={'NODULE': 6},\n"
        "                       screen=NoScreen(reason='test'))"
    )
    assert clone(made).set_params(steps=3).get_params()["steps"] == 3
    with pytest.raises(TypeError, match="screen"):
        StableDiffusionSampler()


def test_images_of_a_real_pipeline_are_appended(lists, tmp_path, checkpoint):
    paths, labels = lists
    before = tree_hash(tmp_path / "site")
    made = sampler(tmp_path, model=str(checkpoint), steps=1, sampling_strategy={"NODULE": 6})
    resampled, classes = made.fit_resample(paths, labels, groups=[path.name[:5] for path in paths])
    assert resampled[:10].tolist() == list(map(str, paths))
    assert classes.tolist() == [*labels, "NODULE", "NODULE"]
    assert made.is_synthetic_.tolist() == [False] * 10 + [True] * 2
    assert made.sampling_strategy_ == {"NODULE": 2}
    assert made.provenance_["prompt"].str.len().min() > 0
    assert [str(made.folder_ / file) for file in made.provenance_["file"]] == resampled[10:].tolist()
    assert tree_hash(tmp_path / "site") == before
    again, _ = clone(made).fit_resample(paths, labels, groups=[path.name[:5] for path in paths])
    assert again.tolist() == resampled.tolist()


def test_other_lists_are_another_folder_whatever_workspace_is_above(lists, tmp_path):
    paths, labels = lists
    (tmp_path / ".balance").mkdir()
    one, other = sampler(tmp_path), sampler(tmp_path)
    first, _ = one.fit_resample(paths, labels)
    other.fit_resample(paths[1:], labels[1:])
    assert one.folder_.parent.parent == other.folder_.parent.parent == tmp_path / "made"
    assert one.folder_ != other.folder_
    assert all(Path(path).is_file() for path in first)
    assert list((tmp_path / ".balance").iterdir()) == []


def test_balanced_lists_come_back_as_they_are(lists, tmp_path):
    paths, labels = lists
    made = sampler(tmp_path, sampling_strategy={"NODULE": 4})
    resampled, _ = made.fit_resample(paths, labels)
    assert resampled.tolist() == list(map(str, paths))
    assert (made.sampling_strategy_, len(made.provenance_), made.folder_) == ({}, 0, None)


def test_fewer_images_than_wanted_is_a_warning(lists, tmp_path):
    with pytest.warns(UserWarning, match="NODULE gets fewer"):
        sampler(tmp_path, max_ratio=0.25).fit_resample(*lists)


def test_the_whole_screen_asks_for_patients(lists, tmp_path):
    with pytest.raises(BalanceError, match="patient"):
        sampler(tmp_path, screen=analysis.fit_screen).fit_resample(*lists)


def test_lists_that_cannot_be_right_are_refused(lists, tmp_path):
    paths, labels = lists
    broken = paths[0].with_name("broken.png")
    broken.write_bytes(b"no image")
    for some, of, found in (
        (paths, labels[1:], "10 paths and 9 labels"),
        (paths, [0] * 10, "the label 0"),
        ([*paths[1:], paths[1]], labels, "more than once"),
        ([*paths[1:], "nowhere.png"], labels, "no file"),
        ([*paths, broken], [*labels, "NODULE"], "broken.png"),
    ):
        with pytest.raises(CollectionError, match=found):
            sampler(tmp_path).fit_resample(some, of)
    with pytest.raises(CollectionError, match="9 groups"):
        sampler(tmp_path).fit_resample(paths, labels, groups=labels[1:])
    with pytest.raises(OutputError, match="inside"):
        sampler(tmp_path, out=paths[0].parent / "made").fit_resample(paths, labels)
    with pytest.raises(SettingsError, match="screen"):
        sampler(tmp_path, screen=None).fit_resample(paths, labels)
