"""Wordings of label sets: joined, the rarest first, no longer than a text encoder reads, and checked like others."""

from balancer.prompting.choice import choose_packs
from balancer.prompting.lint import lint, lint_length
from balancer.prompting.prompts import make_prompt
from balancer.prompting.set_packs import listed

COUNTS = {"Effusion": 900, "Hernia": 5, "Nodule": 40, "Cardiomegaly": 300, "Situs_inversus": 2}


def packs(*sets):
    return choose_packs(None, list(COUNTS), sets=sets, counts=COUNTS)


def test_the_rarest_finding_comes_first():
    found = packs("Effusion|Nodule")["Effusion|Nodule"]
    texts = found.find("Effusion|Nodule").findings
    assert len(texts) > 1
    for text in texts:
        first, second = text.split(" and ")[0], text.split(" and ")[-1]
        assert first in found.find("Nodule").findings
        assert second in found.find("Effusion").findings or "pleur" in second


def test_a_prompt_of_a_set_differs_from_one_of_a_finding_in_nothing_else():
    chosen = packs("Effusion|Nodule")
    for index in range(8):
        one, both = (make_prompt(chosen[name], name, index) for name in ("Nodule", "Effusion|Nodule"))
        assert one.template == both.template
        assert {**one.slots, "finding": ""} == {**both.slots, "finding": ""}


def test_a_set_of_many_findings_still_fits():
    many = "|".join(sorted(COUNTS))
    chosen = packs(many)
    assert lint_length({many: chosen[many]}) == ()
    text = chosen[many].find(many).findings[0]
    assert text.index("situs inversus") < text.lower().index("ernia")


def test_the_check_of_wordings_knows_sets():
    chosen = packs("Effusion|Nodule", "Effusion|Hernia|Nodule")
    assert [each for each in lint(chosen) if each.severity == "error"] == []


def test_texts_are_listed_as_in_a_sentence():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
