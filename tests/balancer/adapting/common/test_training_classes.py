"""Training images by their findings: balanced by the rarest, counted by all, a finding of one image left out."""

import pytest

from balancer.adapting.common.training_classes import (
    balancing_classes,
    class_counts,
    shown_labels,
    without_singles,
)
from balancer.collection.scan import Sample
from balancer.errors import CollectionError

FINDINGS = {name: tuple(name.split("|")) for name in ("Edema", "Hernia", "Edema|Hernia", "Edema|Mass", "Hernia|Mass")}


def samples(**counts):
    given = [(label.replace("_", "|"), number) for label, count in counts.items() for number in range(count)]
    return [Sample(f"{label}/{number}.png", label, None, "") for label, number in given]


def test_an_image_is_drawn_as_its_rarest_finding_and_counts_for_all():
    some = samples(Edema=5, Hernia=1, Edema_Hernia=2)
    assert class_counts(some, FINDINGS) == {"Edema": 7, "Hernia": 3}
    assert balancing_classes([each.label for each in some], FINDINGS) == ["Edema"] * 5 + ["Hernia"] * 3


def test_one_class_an_image_is_as_it_was():
    some = samples(Edema=3, Edema_Mass=2)
    assert class_counts(some) == {"Edema": 3, "Edema|Mass": 2}
    assert balancing_classes(["b", "a", "b"]) == ["b", "a", "b"]
    assert shown_labels(["b", "a", "b"]) == ["a", "b"]


def test_the_most_frequent_set_of_each_finding_is_shown():
    labels = [each.label for each in samples(Edema=5, Hernia=1, Edema_Hernia=2)]
    assert shown_labels(labels, FINDINGS) == ["Edema", "Edema|Hernia"]


def test_a_set_of_one_image_is_learned_and_a_finding_of_one_is_not():
    kept, single = without_singles(samples(Edema=3, Hernia=2, Edema_Hernia=1), FINDINGS)
    assert (len(kept), single) == (6, [])
    kept, single = without_singles(samples(Edema=3, Edema_Mass=1), FINDINGS)
    assert ({each.label for each in kept}, single) == ({"Edema"}, ["Mass"])


def test_a_finding_that_has_one_image_left_is_left_out_too():
    kept, single = without_singles(samples(Edema=3, Hernia=1, Hernia_Mass=1), FINDINGS)
    assert ({each.label for each in kept}, single) == ({"Edema"}, ["Hernia", "Mass"])


def test_with_nothing_to_learn_from_it_stops():
    with pytest.raises(CollectionError, match="only one image of Mass"):
        without_singles([Sample("a", "Mass", None, "")])
