import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.collection.class_names import find_loosely, words_of
from balancer.prompting.packs import PACKS, load_pack

MEANT = {
    "Normal (healthy)": "normal",
    "normal [n=120]": "normal",
    "Normal / Healthy": "normal",
    "Pneumonia/Bacterial": "bacterial pneumonia",
    "Bacterial/Pneumonia": "bacterial pneumonia",
    "Pneumonia (bacterial)": "bacterial pneumonia",
    "NODULE_1": "nodule",
    "nodule(2)": "nodule",
    "nodules": "nodule",
    "Lung Nodules": "nodule",
    "Nodules (lung nodule)": "nodule",
    "masses": "mass",
    "infiltrates": "infiltration",
    "Pleural Effusions": "pleural effusion",
    "effusion, pleural": "pleural effusion",
    "Opacities": "lung opacity",
    "lung-opacities": "lung opacity",
    "Fractures": "fracture",
    "Atelectases": "atelectasis",
    "Edema or oedema": "edema",
    "Tuberculosis (TB)": "tuberculosis",
    "Tuberculosis {TBC}": "tuberculosis",
    "PNA (pneumonia)": "pneumonia",
    "Pneumonia (PNA)": "pneumonia",
    "COVID-19": "COVID-19 pneumonia",
    "Nodule/Mass": "nodule or mass",
    "no finding": "normal",
    "Hernias": "hernia",
}
NOT_MEANT = [
    *("abnormal", "Abnormal", "ABNORMAL_1", "subnormal", "normality", "not normal", "non-normal", "normal (not)"),
    *("no nodule", "No nodules", "non-nodule", "Nodule (no)", "nodule-free", "without nodules", "Nodule (absent)"),
    *("Pneumonia (negative)", "pneumonia_0", "Nodule_0", "nodulesx", "pneumonias without effusion", "0 nodules"),
    *("Fracture (healed)", "Pneumonia (fungal)", "Resolved (pneumonia)", "Effusion/Nodule", "mass and effusion"),
    *("metastases", "micronodules", "viruses", "()", "{}", "1", "(2)", "_", ""),
]


@pytest.mark.parametrize(("label", "name"), MEANT.items())
def test_plurals_numbers_brackets_and_order_are_forgiven(label, name):
    assert load_pack("chest").find(label).name == name


@pytest.mark.parametrize("label", NOT_MEANT)
def test_nothing_is_taken_for_what_it_may_not_be(label):
    assert load_pack("chest").find(label) is None


def test_an_exact_name_comes_first():
    bone = load_pack("bone")
    assert bone.find("no fractures") is None
    assert bone.find("no fracture").name == "normal"
    assert bone.find("KL grade 3").name == "moderate osteoarthritis"
    assert bone.find("Kellgren Lawrence 5") is None
    assert find_loosely("As", {1: ["a"], 2: ["as"]}) == 2


@pytest.mark.parametrize("pack", PACKS)
def test_no_name_of_a_packaged_pack_means_another_class_loosely(pack):
    classes = load_pack(pack).classes
    names = {each.name: (each.name, *each.synonyms) for each in classes}
    for each in classes:
        for name in names[each.name]:
            assert find_loosely(name, names) in (each.name, None)
            assert load_pack(pack).find(f"not {name} at all") is None


@given(st.text())
def test_any_text_is_a_label_of_nothing_or_something(text):
    assert all(word == word.lower() for word in words_of(text))
    find_loosely(text, {1: [text], 2: ["nodule"]})
    load_pack("chest").find(f"nodule ({text})")
