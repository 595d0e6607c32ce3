import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.collection.attributes import Attributes
from balancer.errors import PromptError
from balancer.prompting.lint import PromptFragment, estimate_tokens, lint, lint_fragment, lint_length, refuse_errors
from balancer.prompting.packs import PACKS, load_pack
from balancer.prompting.prompts import make_prompt, pack_texts

PACK = """\
modality: chest radiograph
templates:
  - "{modality}, {view}, {finding}"
  - "{finding}, {view}"
slots:
  view: [frontal view, lateral view]
negative: [drawing, watermark]
classes:
  normal:
    findings: [clear lungs, sharp costophrenic angles]
  nodule:
    findings:
      - a small round nodule
      - a coin lesion
"""


@pytest.fixture
def packs(tmp_path):
    def packs(old="", new="", labels=("normal", "nodule")):
        assert PACK.count(old) == 1 or not old
        path = tmp_path / "mine.yaml"
        path.write_text(PACK.replace(old, new) if old else PACK)
        pack = load_pack(path)
        return dict.fromkeys(labels, pack)

    return packs


def found(complaints):
    return [(each.severity, each.kind, each.line) for each in complaints]


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("name", PACKS)
def test_packaged_packs_are_clean(name, flips):
    pack = load_pack(name)
    labels = [each.name for each in pack.classes]
    assert lint(dict.fromkeys(labels, pack), flips=flips) == ()
    assert lint_length(dict.fromkeys(labels, pack)) == ()


def test_a_clean_pack_of_ones_own_is_clean(packs):
    assert lint(packs(), flips=True) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a coin lesion", "a coin lesion ___", ("error", "de-identified", 14)),
        ("clear lungs", "clear lungs XXXX", ("error", "de-identified", 10)),
        ("drawing,", "TBD,", ("error", "placeholder", 7)),
        ("lateral view", "<view>", ("error", "placeholder", 6)),
        ("modality: chest radiograph", "modality: chest radiograph of Mr. Smith", ("error", "identifier", 1)),
        ('"{finding}, {view}"', '"{finding} on 2021-03-04, {view}"', ("error", "identifier", 4)),
        ("drawing,", "grayscale,", ("error", "negative-fights-xrays", 7)),
        ("drawing,", "nodule,", ("error", "negative-fights-class", 7)),
        ("drawing,", "frontal view,", ("error", "negative-fights-class", 7)),
        ("drawing,", "noisy,", ("warning", "negative-fights-xrays", 7)),
        ("drawing,", "cartoon skeleton,", ("warning", "negative-fights-xrays", 7)),
        ("modality: chest radiograph", "modality: chest xay", ("warning", "modality-misspelt", 1)),
        ("modality: chest radiograph", "modality: chest radiogragh", ("warning", "modality-misspelt", 1)),
        ("modality: chest radiograph", "modality: chest CAT scan", ("warning", "ambiguous-modality", 1)),
        ("modality: chest radiograph", "modality: old film", ("warning", "ambiguous-modality", 1)),
        ("modality: chest radiograph", "modality: chest MRI", ("warning", "other-modality", 1)),
        ("a coin lesion", "no consolidation", ("warning", "negation", 14)),
        ("a coin lesion", "a coin leision", ("warning", "misspelt", 14)),
        ("a coin lesion", "clear lungs", ("warning", "same-prompt", 14)),
        ("a coin lesion", "a coin lesion, supine", ("warning", "shortcut", 14)),
    ],
)
def test_each_fault_is_told_with_its_file_and_line(packs, old, new, expected):
    complaints = lint(packs(old, new))
    assert expected in found(complaints)
    assert {each.source for each in complaints} <= {"mine.yaml"}
    assert all(each.message and each.fix for each in complaints)


def kinds(text, role="finding", **options):
    return {each.kind for each in lint_fragment(PromptFragment(role, text, "x.yaml"), **options)}


FAULTS = {
    "placeholder": "{view|a {} b|<finding>|[finding]|TODO|TODO: word this|XXX|FIXME|lorem ipsum|???|a }",
    "de-identified": "___|seen [** 2101-3-4 **] today|XXXX|xxxxx|[REDACTED]|<PHI>|[NAME]|[**Hospital**]|<DATE>|***",
    "identifier": "2021-03-04|2021 03 04|04.03.2021|3/4/21|March 4, 2021|4 March 2021|MRN 0012|MRN: A123|id 12345678|"
    "1.2.840.113619.2.55|a.b@c.org|Dr. Smith|Mrs Jones|patient: Smith|DOB 1961|accession no. 5512",
    "other-modality": "an MRI|CT|computed tomography|ultrasound|sonogram|PET|bone scan|T1-weighted",
    "ambiguous-modality": "CAT scan|chest scan|old film|a photo|photograph",
    "modality-misspelt": "xay|x-rya|xry|x-ary|radiogragh|radigraph|roentgenogarm",
    "negation": "no nodule|without effusion|absence of fluid|not enlarged|free of infiltrates|lacking air|ruled out",
    "misspelt": "pnuemonia|a plueral line",
}
FINE = (
    "COVID-19|an X-ray|x ray|xray|X-rays|chest x-ray film|plain film|no.|KL grade 3|T10 to T12|free air|patient in bed|"
    "larger than 3 cm|a 12 mm nodule|1.5-2.5 cm|5 < 6|two-thirds|30 years old|L1/L2|clear lungs|a bone's name|CTR 0.55"
)


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in FAULTS.items() for text in texts.split("|")]
)
def test_each_rule_finds_its_faults(kind, text):
    assert kind in kinds(text)


@pytest.mark.parametrize("text", FINE.split("|"))
def test_what_is_right_is_left_alone(text):
    assert kinds(text, flips=True) - ({"negation"} if text == "no." else set()) == set()


FIGHTS = (
    "monochrome|monochromatic|grayscale|greyscale|grey scale|gray|black and white|black-and-white|b&w|no color|"
    "x-ray|xray|x ray|radiograph|radiography|roentgen|radiology|skeleton|bones|bone|ribs|skull|low contrast|medical|"
    "medical image|clinical photo|transparent|translucent|see-through|black background|lungs|chest"
)


@pytest.mark.parametrize("text", FIGHTS.split("|"))
def test_negatives_that_fight_radiographs_are_refused(text):
    piece = PromptFragment("negative", text, "x.yaml")
    assert {each.severity for each in lint_fragment(piece) if each.kind == "negative-fights-xrays"} >= {"error"}


@pytest.mark.parametrize("text", ["medical illustration", "drawing of bones", "toy skeleton", "x-ray poster", "grainy"])
def test_negatives_that_may_be_meant_are_warned_of(text):
    assert [each.severity for each in lint_fragment(PromptFragment("negative", text, "x.yaml"))] == ["warning"]


@pytest.mark.parametrize(
    "text", ["anatomical model", "MRI", "CT", "colour photograph", "distorted anatomy", "3D rendering"]
)
def test_good_negatives_are_left_alone(text):
    assert kinds(text, role="negative") == set()


@pytest.mark.parametrize("text", ["left lung", "a right-sided opacity", "R marker", "dextrocardia"])
def test_a_side_matters_only_where_images_are_mirrored(text):
    assert kinds(text) == set()
    assert kinds(text, flips=True) == {"side"}


def test_classes_without_wording_are_checked_by_their_names():
    complaints = lint(dict.fromkeys(["Pnuemonia", "no nodule", "2021-03-04"], load_pack("chest")))
    assert [(each.kind, each.source) for each in complaints] == [
        ("identifier", "the class name '2021-03-04'"),
        ("misspelt", "the class name 'Pnuemonia'"),
        ("negation", "the class name 'no nodule'"),
    ]
    assert all("balance prompts --new FILE.yaml" in each.fix for each in complaints)


def test_two_folders_of_one_class_are_told():
    (complaint,) = lint(dict.fromkeys(["nodule", "Nodules"], load_pack("chest")))
    assert complaint.kind == "same-prompt"
    assert "'nodule', 'Nodules'" in complaint.message


def test_what_every_class_says_is_no_shortcut(packs):
    assert lint(packs("a coin lesion", "supine view", labels=["nodule"])) == ()


def test_classes_of_two_packs_differ_in_more_than_the_finding():
    (complaint,) = lint({"nodule": load_pack("chest"), "greenstick fracture": load_pack("bone")})
    assert (complaint.severity, complaint.kind) == ("warning", "shortcut")
    assert "modality, templates, slots, known, negative" in complaint.message


def test_values_of_the_table_of_patients_are_looked_through(packs):
    prompt = make_prompt(packs()["nodule"], "nodule", 0, known={"view": "seen on 2021-03-04"})
    (complaint,) = lint(packs(), prompts=[prompt, prompt])
    assert (complaint.kind, complaint.source) == ("identifier", "the value of view in the table")
    assert lint(packs(), prompts=[make_prompt(packs()["nodule"], "nodule", 0)]) == ()


def test_too_long_prompts_are_refused_by_a_tokenizer_and_warned_of_without(packs):
    many = "a coin lesion " * 20
    assert found(lint_length(packs("a coin lesion", many))) == [("warning", "too-long", 3), ("warning", "too-long", 4)]
    counted = lint_length(packs("a coin lesion", many), 60, lambda text: len(text.split()))
    assert found(counted) == [("error", "too-long", 3), ("error", "too-long", 4)]
    assert lint_length(packs("a coin lesion", many), 90, lambda text: len(text.split())) == ()
    certain = lint_length(packs("a coin lesion", "a coin lesion " * 30))
    assert {each.severity for each in certain} == {"error"}


def test_length_is_that_of_the_longest_prompt(packs):
    asked = []
    lint_length(packs(), 77, lambda text: asked.append(text) or len(text))
    texts = set(pack_texts(packs()["normal"], ["normal", "nodule"]))
    assert max(map(len, texts)) == max(map(len, asked))


def test_an_estimate_is_never_below_the_words():
    assert estimate_tokens("a b c") == 5
    assert estimate_tokens("") == 2


def test_errors_are_refused_with_their_place_and_fix(packs):
    refuse_errors(lint(packs("a coin lesion", "no lesion")))
    with pytest.raises(PromptError) as caught:
        refuse_errors(lint(packs("a coin lesion", "TODO").copy()))
    assert caught.value.found.startswith("mine.yaml, line 14: 'TODO': ")
    assert caught.value.next_step.endswith("balance prompts --check --pack mine.yaml")


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from(["modality", "template", "slot", "finding", "negative"]), st.booleans())
def test_no_text_makes_it_crash(text, role, flips):
    for complaint in lint_fragment(PromptFragment(role, text, "x.yaml", 3), flips=flips):
        assert complaint.line == 3
    estimate_tokens(text)


def test_a_class_of_which_nothing_can_be_said_is_refused():
    packs = dict.fromkeys(["+", "normal"], load_pack("chest"))
    assert [(each.severity, each.kind, each.text) for each in lint(packs)] == [("error", "unworded", "+")]
    assert lint_length(packs) == ()


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1))
def test_no_class_name_makes_it_crash(label):
    lint({label: load_pack("chest"), "normal": load_pack("chest")})


def known_pack(tmp_path, wording):
    text = f"""modality: radiograph
templates:
  - "{{modality}} showing {{finding}}"
known:
  patient:
    female: of a woman
    female 65+: {wording}
classes:
  nodule:
    findings: [a coin lesion]
  normal:
    findings: [clear lungs]
"""
    (tmp_path / "own.yaml").write_text(text)
    return dict.fromkeys(["nodule", "normal"], load_pack(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("wording", "kind"),
    [("of a radiografh", "modality-misspelt"), ("of TODO", "placeholder"), ('"of [**name**]"', "de-identified")],
)
def test_wordings_of_what_the_table_tells_are_looked_through(tmp_path, wording, kind):
    (complaint,) = lint(known_pack(tmp_path, wording))
    assert (complaint.kind, complaint.line, complaint.source) == (kind, 7, "own.yaml")


def test_wordings_of_what_the_table_tells_count_for_the_length_and_are_told_once(tmp_path):
    packs = known_pack(tmp_path, "of a " + "very " * 20 + "old woman")
    assert found(lint_length(packs, 20, lambda text: len(text.split()))) == [("error", "too-long", 3)] * 2
    packs = known_pack(tmp_path, "of a radiografh")
    known = packs["nodule"].words(Attributes("female", "65+", None))
    assert len(lint(packs, prompts=[make_prompt(packs["nodule"], "nodule", 0, 0, known)])) == 1
