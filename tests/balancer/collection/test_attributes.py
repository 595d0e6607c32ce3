"""The same patients and views for every class: exact counts, and a longer run that begins like a shorter one."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from balancer.collection.attributes import Attributes, JointDistribution, age_group, slot_words
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt


def table(rows):
    """Images of (label, sex, age, view)."""
    index = [f"{number}.png" for number in range(len(rows))]
    return pd.DataFrame(rows, index=index, columns=["label", "sex", "age", "view"])


@pytest.mark.parametrize(
    ("age", "group"),
    [(0, "0-4"), (4.99, "0-4"), (5, "5-17"), (17.9, "5-17"), (18, "18-39"), (64, "40-64"), (65, "65+")],
)
def test_age_groups(age, group):
    assert age_group(age) == group


def test_the_joint_distribution_is_exact_over_a_block_and_as_close_as_it_can_be_before():
    chance = np.random.default_rng(3)
    for _ in range(20):
        views = [f"v{number}" for number in range(int(chance.integers(1, 12)))]
        counts = [(Attributes(view=view), int(chance.integers(1, 40))) for view in views]
        joint, total = JointDistribution(tuple(counts)), sum(count for _, count in counts)
        seen = Counter()
        for index in range(2 * total):
            seen[joint.draw(index, seed=5)] += 1
            assert all(abs(seen[known] - (index + 1) * count / total) < 1 for known, count in counts)
        assert seen == {known: 2 * count for known, count in counts}


def test_a_draw_does_not_depend_on_what_was_drawn_before():
    images = table([("a", "female", 30.0, "PA"), ("a", "male", 70.0, "AP"), ("b", None, None, "AP")] * 5)
    joint = JointDistribution.fit(images)
    backwards = [joint.draw(index, 11) for index in reversed(range(40))]
    assert backwards[::-1] == [JointDistribution.fit(images[::-1]).draw(index, 11) for index in range(40)]
    assert JointDistribution.from_fields([[list(known), count] for known, count in joint.counts]) == joint


def test_where_nothing_is_known_the_prompts_are_those_without_a_table():
    joint = JointDistribution.fit(table([("a", None, None, None), ("b", None, None, None)]))
    pack = load_pack("chest")
    assert joint == JointDistribution()
    for index in range(20):
        assert make_prompt(pack, "nodule", index, 2, pack.words(joint.draw(index, 2))) == make_prompt(
            pack, "nodule", index, 2
        )


def test_a_class_of_one_view_alone_gets_the_views_of_all():
    """A rare class that was always taken AP must not be asked for as AP: the view would tell the class."""
    rows = [("normal", "female", 30.0, "PA")] * 60 + [("normal", "male", 50.0, "AP")] * 20
    joint = JointDistribution.fit(table([*rows, *[("nodule", "male", 70.0, "AP")] * 20]))
    pack = load_pack("chest")

    def texts(label):
        prompts = [make_prompt(pack, label, index, 0, pack.words(joint.draw(index))) for index in range(100)]
        return Counter((prompt.slots["view"], prompt.slots["modality"]) for prompt in prompts)

    assert texts("nodule") == texts("normal")
    assert texts("nodule") == {
        ("posteroanterior PA projection", "chest radiograph of a young woman"): 60,
        ("anteroposterior AP projection", "chest radiograph of a middle-aged man"): 20,
        ("anteroposterior AP projection", "chest radiograph of an elderly man"): 20,
    }


def test_each_image_gets_the_same_draw_in_every_class():
    joint = JointDistribution.fit(
        table([("a", "female", 3.0, "PA"), ("b", "male", 10.0, None), ("b", None, 1.0, "AP")])
    )
    pack = load_pack("chest")
    for index in range(30):
        words = pack.words(joint.draw(index, 4))
        slots = [dict(make_prompt(pack, label, index, 4, words).slots) for label in ("normal", "nodule", "zebra")]
        assert len({str({**each, "finding": ""}) for each in slots}) == 1


def test_a_wording_with_more_values_is_taken_before_one_with_fewer():
    words = {"patient": {("female",): "of a woman", ("65+", "female"): "of an old woman", ("male",): "of a man"}}
    assert slot_words(words, (), Attributes("female", "65+")) == {"patient": "of an old woman"}
    assert slot_words(words, (), Attributes("female")) == {"patient": "of a woman"}
    assert slot_words(words, (), Attributes(age="65+")) == {}


def test_a_view_without_a_wording_stands_as_it_is():
    pack = load_pack("chest")
    assert make_prompt(pack, "nodule", 0, 0, pack.words(Attributes(view="oblique"))).slots["view"] == "oblique"
