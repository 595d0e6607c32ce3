"""Presets as data: the packaged ones, and what is said of a file that is none."""

import pytest

from balancer.collection.presets import find_preset, packaged_presets, recognised
from balancer.collection.sources.options import parse_roles
from balancer.collection.walk import Listing
from balancer.errors import TableError
from balancer.prompting.packs import PACKS

WANTED = (
    *("nih", "chexpert", "mimic-cxr-jpg", "padchest", "vindr-cxr", "rsna-pneumonia", "siim", "mura", "grazpedwri"),
    *("fracatlas", "kermany", "covid-radiography", "covidx", "tbx11k", "shenzhen-tb", "btxrd", "knee-oa"),
)


def test_the_packaged_ones_tell_all_that_a_user_asks():
    assert sorted(preset.name for preset in packaged_presets()) == sorted(WANTED)
    for preset in packaged_presets():
        assert all((preset.title, preset.licence, preset.citation, preset.policy, preset.sizes, preset.polarity))
        assert preset.pack in PACKS
        assert preset.files or preset.paths
        parse_roles(preset.options.get("columns", ()))


@pytest.mark.parametrize(
    ("alias", "name"), [("rsna", "rsna-pneumonia"), ("Shenzhen", "shenzhen-tb"), ("montgomery", "shenzhen-tb")]
)
def test_aliases(alias, name):
    assert find_preset(alias).name == name


def test_names_are_of_one_preset_each():
    names = [name for preset in packaged_presets() for name in (preset.name, *preset.aliases)]
    assert len(set(names)) == len(names)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(TableError, match="--preset chexpert "):
        find_preset("chexprt")


def test_an_ordinary_collection_looks_like_none(tmp_path):
    listing = Listing(tmp_path / "x", ["NORMAL/1.png", "PNEUMONIA/2.png"], others=["dataset.csv", "train.csv"])
    assert recognised(listing) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: [", "mine.yaml"),
        ("[1, 2]", "none"),
        ("a: {labels: table.csv}", "mine.yaml, a: labels"),
        ("a: {colums: [x]}", "mine.yaml, a: colums"),
        ("a: {pattern: '(?P<label>'}", "mine.yaml, a: pattern"),
        ("a: {looks_like: {paths: '('}}", "mine.yaml, a: looks_like"),
        ("a: 3", "mine.yaml, a: a"),
        ("a: {pattern: x}\nb: {pattern: x}", "has 2: a, b"),
    ],
)
def test_a_file_that_is_no_preset(tmp_path, text, found):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(TableError) as caught:
        find_preset(str(tmp_path / "mine.yaml"))
    assert found in caught.value.found


def test_a_file_that_is_not_there():
    with pytest.raises(TableError, match="No such file"):
        find_preset("nowhere/mine.yaml")
