from collections import Counter
from dataclasses import replace

import pytest

from balancer.collection.scan import Sample
from balancer.errors import PlanError
from balancer.filling.generation_modes import ModeSampler, read_modes, read_strengths
from balancer.jobs import ModeDraw

MATERIAL = {label: [Sample(f"{label}/{n}.png", label, f"{label}{n}", "ab" * 32) for n in range(9)] for label in "ABC"}
MIX = ModeSampler({"mix": 1.0}, sources=MATERIAL, harmonised=True)


def test_without_anything_an_image_is_from_text_as_drawn():
    assert ModeSampler().draw(0, "A", 0) == ModeDraw()


def test_a_mix_begins_with_another_class_and_takes_the_intensities_of_its_own():
    drawn = [MIX.draw(0, "A", index) for index in range(300)]
    assert {method.source.label for method in drawn} == {"B", "C"}
    assert {method.reference for method in drawn} == set(MATERIAL["A"])
    assert {method.strength for method in drawn} == {0.5, 0.7, 0.9}


def test_an_image_begins_with_its_own_class():
    methods = replace(MIX, weights={"image": 1.0})
    assert {methods.draw(0, "B", index).source for index in range(300)} == set(MATERIAL["B"])


def test_shares_are_kept_and_a_draw_depends_on_seed_label_and_index_alone():
    methods = replace(MIX, weights=read_modes("mix=3,text=1"))
    drawn = [methods.draw(0, "A", index) for index in range(1000)]
    assert 0.7 < Counter(method.mode for method in drawn)["mix"] / 1000 < 0.8
    assert drawn[7] == replace(MIX, weights=read_modes("text=1,mix=3")).draw(0, "A", 7)
    assert drawn != [methods.draw(1, "A", index) for index in range(1000)]


def test_one_choice_leaves_the_others_as_they_are():
    one, other = MIX.draw(0, "A", 3), replace(MIX, strengths=(0.2,), harmonised=False).draw(0, "A", 3)
    assert (one.source, other.strength, other.reference) == (other.source, 0.2, None)


def test_the_mean_of_steps():
    assert ModeSampler().mean_steps(25) == 25
    assert MIX.mean_steps(25) == (12 + 17 + 22) / 3
    assert replace(MIX, weights={"text": 0.5, "mix": 0.5}).mean_steps(25) == (25 + 17) / 2


@pytest.mark.parametrize("text", ["", "blend", "text,text", "mix=0", "mix=-1", "mix=nan", "mix=inf", "text=,mix"])
def test_modes_that_there_are_not(text):
    with pytest.raises(PlanError, match="--mode mix"):
        read_modes(text)


@pytest.mark.parametrize("text", ["0", "1", "-0.5", "nan", "half", "0.5,", "0.5,1.2"])
def test_strengths_that_there_are_not(text):
    with pytest.raises(PlanError, match=r"--strength 0\.5"):
        read_strengths(text)


def test_what_cannot_be_made_is_refused():
    MIX.require_usable("ABC", 2)
    with pytest.raises(PlanError, match="--steps 1"):
        MIX.require_usable("ABC", 1)
    with pytest.raises(PlanError, match="another class than 'A'"):
        replace(MIX, sources={"A": MATERIAL["A"]}).require_usable("A", 25)
    with pytest.raises(PlanError, match="training image of 'D'"):
        replace(MIX, weights={"image": 1.0}).require_usable("D", 25)


def test_of_several_findings_an_edit_starts_from_what_was_chosen_for_the_set():
    chosen = MATERIAL["A"][:1]
    sampler = ModeSampler({"mix": 1.0}, sources=MATERIAL, mixed={"A|B": chosen, "C": []})
    assert {sampler.draw(0, "A|B", index).source for index in range(5)} == {*chosen}
    with pytest.raises(PlanError, match="real training image"):
        sampler.require_usable(["C"], 25)
