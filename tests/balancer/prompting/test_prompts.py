import dataclasses
import os
import pickle
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from balancer.errors import BalanceError, PromptError
from balancer.prompting.packs import MAX_BYTES, PACKS, choose_pack, load_pack, unknown_labels
from balancer.prompting.prompts import make_prompt, pack_texts

PACK = """\
modality: hand radiograph
templates:
  - "{modality}, {view}, {finding}"
  - "{finding} in {view}, {dose}"
slots:
  view: [front, side, angled]
  dose: [low, high]
negative: [drawing, text]
classes:
  normal:
    synonyms: [no finding, healthy]
    findings: [intact bones, normal joints]
  fracture:
    findings:
      - a fracture
      - a broken bone
"""

EXPECTED = [
    "a fracture in side, low",
    "hand radiograph, angled, a broken bone",
    "a broken bone in front, low",
    "hand radiograph, side, a fracture",
    "hand radiograph, front, a fracture",
    "a broken bone in angled, low",
]
PACKAGED = [(name, c.name) for name in PACKS for c in load_pack(name).classes]


@pytest.fixture
def write(tmp_path):
    def write(text, name="hand.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def hand(write):
    return load_pack(write(PACK))


def test_a_users_pack_is_read_as_it_is_written(hand):
    assert (hand.name, hand.source, hand.modality) == ("hand", "hand.yaml", "hand radiograph")
    assert hand.templates == ("{modality}, {view}, {finding}", "{finding} in {view}, {dose}")
    assert hand.slots == {"view": ("front", "side", "angled"), "dose": ("low", "high")}
    assert hand.negative == "drawing, text"
    normal, fracture = hand.classes
    assert (normal.name, normal.synonyms) == ("normal", ("no finding", "healthy"))
    assert (fracture.synonyms, fracture.findings) == ((), ("a fracture", "a broken bone"))


def test_slots_negative_and_synonyms_may_be_left_out(write):
    pack = load_pack(write('modality: x\ntemplates: ["{finding}"]\nclasses:\n  a: {findings: [b]}\n'))
    assert make_prompt(pack, "A", 3) == make_prompt(pack, "a", 0)
    assert dataclasses.astuple(make_prompt(pack, "a", 0)) == ("b", "", "{finding}", {"finding": "b"})


def test_texts_are_taken_as_written_where_yaml_would_make_something_else_of_them(write):
    text = PACK.replace("healthy", "no, 19, 2024-01-01, 1e3").replace("[low, high]", "[yes, 0x10]")
    pack = load_pack(write(text))
    assert pack.classes[0].synonyms == ("no finding", "no", "19", "2024-01-01", "1e3")
    assert pack.slots["dose"] == ("yes", "0x10")


def test_a_byte_order_mark_is_no_matter(write, hand):
    assert load_pack(write(b"\xef\xbb\xbf" + PACK.encode())) == hand


@pytest.mark.parametrize(("name", "at_least"), [("chest", 20), ("bone", 14)])
def test_packaged_packs_have_their_classes(name, at_least):
    pack = load_pack(name)
    assert len(pack.classes) >= at_least
    assert (pack.name, pack.source) == (name, f"prompt_templates/{name}.yaml")
    assert load_pack(name) is pack


def test_prompt_is_its_template_with_its_slots(hand):
    for index in range(12):
        prompt = make_prompt(hand, "fracture", index, seed=3)
        assert prompt.template in hand.templates
        assert prompt.template.format(**prompt.slots) == prompt.text
        assert prompt.negative == "drawing, text"


def test_slot_values_stay_the_same_between_versions(hand):
    """A resumed run makes the same images only while these stand."""
    assert [make_prompt(hand, "fracture", index, seed=1).text for index in range(6)] == EXPECTED


@pytest.mark.parametrize("seed", [0, 1, 12345])
@pytest.mark.parametrize("name", PACKS)
def test_every_slot_is_spread_evenly_in_each_block(name, seed):
    pack = load_pack(name)
    prompts = [make_prompt(pack, "normal", index, seed) for index in range(60)]
    for slot, options in pack.slots.items():
        for start in range(0, 60, len(options)):
            block = [prompt.slots[slot] for prompt in prompts[start : start + len(options)]]
            assert Counter(block) == Counter(options)


@pytest.mark.parametrize("name", PACKS)
def test_templates_and_findings_are_spread_evenly_too(name):
    pack = load_pack(name)
    for a_class in pack.classes:
        prompts = [make_prompt(pack, a_class.name, index, seed=5) for index in range(60)]
        wanted = Counter(pack.templates * (60 // len(pack.templates)))
        assert Counter(prompt.template for prompt in prompts) == wanted
        count = len(a_class.findings)
        for start in range(0, 60, count):
            block = prompts[start : start + count]
            assert {prompt.slots["finding"] for prompt in block} == set(a_class.findings)


def test_blocks_and_seeds_and_slots_are_permuted_independently(write):
    values = "abcdef"
    text = PACK.replace("[front, side, angled]", "[a, b, c, d, e, f]").replace("[low, high]", "[a, b, c, d, e, f]")
    pack = load_pack(write(text.replace('{modality}, {view}, {finding}"', '{view} {dose} {finding}"')))

    def order(slot, block, seed):
        indices = range(block * 6, block * 6 + 6)
        return "".join(make_prompt(pack, "normal", index, seed).slots[slot] for index in indices)

    orders = [order(slot, block, seed) for slot in ("view", "dose") for block in range(10) for seed in range(10)]
    assert all(sorted(order) == list(values) for order in orders)
    assert len(set(orders)) > 150  # of 200 draws out of 720 orders, about 175 differ


def test_the_label_takes_no_part_in_the_draw():
    for name in PACKS:
        pack = load_pack(name)
        labels = [*(c.name for c in pack.classes), "never_heard-of"]
        for index in range(30):
            prompts = [make_prompt(pack, label, index, seed=7) for label in labels]
            assert len({prompt.template for prompt in prompts}) == 1
            others = [{k: v for k, v in prompt.slots.items() if k != "finding"} for prompt in prompts]
            assert all(other == others[0] for other in others)


def test_prompts_are_the_same_in_another_process_with_another_hash_seed():
    imports = "from balancer.prompting.packs import *; from balancer.prompting.prompts import *"
    code = f"{imports}; print(make_prompt(load_pack('chest'), 'COVID', 11, 4))"
    run = [sys.executable, "-c", code]
    other = subprocess.run(run, env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(make_prompt(load_pack("chest"), "COVID", 11, 4))


def test_a_prompt_pickles_and_turns_into_plain_data():
    prompt = make_prompt(load_pack("chest"), "normal", 0)
    assert pickle.loads(pickle.dumps(prompt)) == prompt
    assert dataclasses.asdict(prompt)["slots"] == prompt.slots


@pytest.mark.parametrize(("name", "label"), PACKAGED)
def test_every_packaged_class_gives_distinct_short_prompts(name, label):
    pack = load_pack(name)
    texts = [make_prompt(pack, label, index).text for index in range(40)]
    assert len(set(texts[:5])) == 5
    assert len(set(texts)) >= 20
    for text in texts:
        assert len(text.split()) <= 45
        assert not re.search(r"[{}]|\b(left|right)\b", text, re.IGNORECASE)


@pytest.mark.parametrize("name", PACKS)
def test_every_possible_wording_is_short_and_filled(name):
    pack = load_pack(name)
    texts = list(pack_texts(pack, [c.name for c in pack.classes]))
    assert max(len(text.split()) for text in texts) <= 45
    assert not any("{" in text or "}" in text for text in texts)


@pytest.mark.parametrize("name", PACKS)
def test_negatives_suit_radiographs(name):
    negative = load_pack(name).negative.lower()
    assert "colour photograph" in negative
    assert "drawing" in negative
    for word in ("grey", "gray", "black and white", "black-and-white", "monochrom", "colourless", "x-ray"):
        assert word not in negative


@pytest.mark.parametrize("name", PACKS)
def test_packaged_normals_name_no_disease(name):
    words = " ".join(load_pack(name).find("normal").findings)
    assert not re.search(r"\b(no|not|without|pneumo\w+|effusion|fracture|opacit\w+)\b", words)


@pytest.mark.parametrize(
    "label",
    [
        "pleural effusion",
        "Pleural-Effusion",
        "PLEURAL_EFFUSION",
        "pleuralEffusion",
        "  pleural  effusion ",
        "Effusion",
    ],
)
def test_labels_match_in_whatever_case_and_separators(label):
    assert load_pack("chest").find(label).name == "pleural effusion"


CHEST_FOLDERS = {
    "NIH ChestX-ray14": "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax "
    "Consolidation Edema Emphysema Fibrosis Pleural_Thickening Hernia No_Finding",
    "CheXpert": "Enlarged_Cardiomediastinum Cardiomegaly Lung_Opacity Lung_Lesion Edema Consolidation "
    "Pneumonia Atelectasis Pneumothorax Pleural_Effusion Pleural_Other Fracture Support_Devices No_Finding",
    "Kermany": "NORMAL PNEUMONIA BACTERIAL_PNEUMONIA VIRAL_PNEUMONIA",
    "COVID-19 Radiography": "COVID Lung_Opacity Normal Viral_Pneumonia",
    "Shenzhen": "Tuberculosis TB Normal",
    "VinDr": "Aortic_enlargement Calcification ILD Nodule/Mass Pleural_thickening Pulmonary_fibrosis No_finding",
}
BONE_FOLDERS = {
    "bone break": "Avulsion_fracture Comminuted_fracture Fracture_Dislocation Greenstick_fracture "
    "Hairline_Fracture Impacted_fracture Longitudinal_fracture Oblique_fracture Pathological_fracture "
    "Spiral_Fracture",
    "fractured or not": "fractured not_fractured Non_fractured",
    "MURA": "positive negative",
    "knee grades": "0Normal 1Doubtful 2Mild 3Moderate 4Severe",
    "bone density": "normal osteopenia osteoporosis",
}


@pytest.mark.parametrize("folders", CHEST_FOLDERS.values(), ids=CHEST_FOLDERS)
def test_chest_knows_the_folders_of_public_collections(folders):
    assert unknown_labels(load_pack("chest"), folders.split()) == ()


@pytest.mark.parametrize("folders", BONE_FOLDERS.values(), ids=BONE_FOLDERS)
def test_bone_knows_the_folders_of_public_collections(folders):
    assert unknown_labels(load_pack("bone"), folders.split()) == ()


def test_choose_pack_takes_the_one_that_knows_more():
    assert choose_pack(["NORMAL", "BACTERIAL_PNEUMONIA", "VIRAL_PNEUMONIA"]).name == "chest"
    assert choose_pack(["normal", "fracture", "osteoporosis"]).name == "bone"
    assert choose_pack(["normal", "fracture"]).name == "chest"
    assert choose_pack(["a", "b"]).name == "chest"
    assert choose_pack([]).name == "chest"


@pytest.mark.parametrize(
    ("label", "finding"),
    [
        ("Left_lung-XYZ", "left lung xyz"),
        ("groundGlass", "ground glass"),
        ("  a..b // c ", "a b c"),
        ("<script>alert(1)</script>", "script alert 1 script"),
        ("{view.__class__}", "view class"),
        ("\u202eafter\u202c\nline", "after line"),
        ("Лёгкое_2", "лёгкое 2"),
    ],
)
def test_an_unknown_label_gets_a_plain_finding(hand, label, finding):
    assert unknown_labels(hand, ["healthy", label]) == (label,)
    assert make_prompt(hand, label, 0).slots["finding"] == finding


def test_a_label_without_letters_is_refused_unless_the_pack_names_it(hand, write):
    with pytest.raises(PromptError) as caught:
        make_prompt(hand, "+", 0)
    assert caught.value.found.startswith("the class '+', which hand.yaml")
    pack = load_pack(write(PACK.replace("healthy", "'-', '+'")))
    assert pack.find("+").name == pack.find("-").name == "normal"


def test_known_values_override_the_draw(hand):
    for index in range(12):
        plain = make_prompt(hand, "fracture", index)
        known = make_prompt(hand, "fracture", index, known={"view": " side\n  {finding} "})
        assert known.slots["view"] == "side {finding}"
        assert "side {finding}" in known.text  # put in once, never evaluated
        assert known.template == plain.template
        assert {**known.slots, "view": ""} == {**plain.slots, "view": ""}


@pytest.mark.parametrize("known", [{"sex": "F"}, {"finding": "x"}, {"modality": "x"}, {"view": "  "}])
def test_known_values_that_do_not_fit_are_refused(hand, known):
    with pytest.raises(PromptError) as caught:
        make_prompt(hand, "fracture", 0, known=known)
    assert caught.value.needed == "a text for a slot of hand.yaml, which has view, dose"
    assert repr(next(iter(known))) in caught.value.found


KNOWN = "known:\n  view:\n    PA: front\n    AP lateral: odd\n  patient:\n    female 65+: of her\nclasses:"


def test_a_pack_words_what_is_known(write):
    pack = load_pack(write(PACK.replace("classes:", KNOWN)))
    assert pack.known == {
        "view": {("PA",): "front", ("AP", "lateral"): "odd"},
        "patient": {("female", "65+"): "of her"},
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "found"),
    [
        ("  patient:", "  patients:", 13, "'patients'"),
        ("female 65+", "femal 65+", 14, "'femal 65+'"),
        ("of her", "of {her}", 14, "of {her}"),
        ("  patient:\n    female 65+: of her", "  patient: x", 13, "none"),
    ],
)
def test_faults_in_what_is_known_are_told_with_their_line(write, old, new, line, found):
    error = fault(write(PACK.replace("classes:", KNOWN).replace(old, new)))
    assert error.found == f"hand.yaml, line {line}: {found}"


def test_pack_texts_cover_every_word(hand):
    texts = list(pack_texts(hand, iter(["normal", "odd_one"])))
    assert texts[0] == "drawing, text"
    assert len(texts) == 1 + 3 * 3 * 2  # turns of the longest slot, findings, templates
    for words in ("front", "side", "angled", "low", "high", "intact bones", "normal joints", "odd one"):
        assert any(words in text for text in texts)
    words = {word for text in texts for word in text.split()}
    for index in range(20):
        assert words >= set(make_prompt(hand, "odd_one", index).text.split())


def fault(path):
    with pytest.raises(PromptError) as caught:
        load_pack(path)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "line", "found"),
    [
        ("modality: hand radiograph\n", "", 1, "no 'modality'"),
        ("modality: hand radiograph", "modality: [a]", 1, "a list or a mapping"),
        ("modality: hand radiograph", "modality:", 1, "nothing"),
        ("modality: hand radiograph", "modality: '{view}'", 1, "{view}"),
        ("negative:", "negatives:", 8, "the unknown key 'negatives'"),
        ("[drawing, text]", "drawing", 8, "none, or an empty one"),
        ("[drawing, text]", "[]", 8, "none, or an empty one"),
        ("[drawing, text]", "[drawing, ]\nmodality: again", 9, "'modality' again"),
        ("[drawing, text]", "[drawing, ~]", 8, "nothing"),
        ("[drawing, text]", "[drawing, a: b]", 8, "a list or a mapping"),
        ("{finding} in {view}", "in {view}", 4, "in {view}, {dose}"),
        ("{finding} in {view}", "{finding} in {views}", 4, "{views}"),
        ("{finding} in {view}", "{finding} in {view.real}", 4, "{finding} in {view.real}, {dose}"),
        ("{finding} in {view}", "{finding} in {view!r}", 4, "{finding} in {view!r}, {dose}"),
        ("{finding} in {view}", "{finding} in {view:>9}", 4, "{finding} in {view:>9}, {dose}"),
        ("{finding} in {view}", "{finding} in {0}", 4, "{finding} in {0}, {dose}"),
        ("{finding} in {view}", "{finding} in {", 4, "{finding} in {, {dose}"),
        ("{finding} in {view}", "{{finding}} in", 4, "{{finding}} in, {dose}"),
        (", {dose}", "", 3, "{dose} in none"),
        ('"{finding} in {view}, {dose}"', "{finding}", 4, "a list or a mapping"),
        ("dose: [low, high]", "Dose: [low, high]", 7, "'Dose'"),
        ("dose: [low, high]", "finding: [low, high]", 7, "'finding'"),
        ("dose: [low, high]", "view: [low, high]", 7, "'view' again"),
        ("[low, high]", "[low, '{view}']", 7, "{view}"),
        ("[low, high]", "[low, [high]]", 7, "a list or a mapping"),
        ("[low, high]", "{low: high}", 7, "none, or an empty one"),
        ("healthy", "Fracture", 13, "'fracture', which is also on line 11"),
        ("healthy", "NORMAL", 11, "'NORMAL', which is also on line 10"),
        ("healthy", "No_Finding", 11, "'No_Finding', which is also on line 11"),
        ("[intact bones, normal joints]", "['intact {bones}']", 12, "intact {bones}"),
        ("[intact bones, normal joints]", "[]", 12, "none, or an empty one"),
        ("    findings: [intact bones, normal joints]\n", "", 11, "no 'findings'"),
        ("[intact bones, normal joints]", "[a]\n    colour: [b]", 13, "the unknown key 'colour'"),
        ("      - a broken bone", "      -", 16, "nothing"),
        (
            "      - a broken bone",
            "\t- a broken bone",
            16,
            "found character '\\t' that cannot start any token",
        ),
        ("a broken bone", "a broken \x07bone", 16, "a control character, or bytes that are not UTF-8"),
        ("[low, high]", "[low, high", 8, None),
        ("a broken bone", "a broken bone\n---\nanother: one", 17, None),
    ],
)
def test_faults_are_told_with_their_line(write, old, new, line, found):
    assert PACK.count(old) == 1
    error = fault(write(PACK.replace(old, new)))
    where = f"hand.yaml, line {line}"
    assert isinstance(error, BalanceError)
    assert error.found.startswith(f"{where}: ")
    assert error.next_step.startswith(f"in {where}: ")
    if found is not None:
        assert error.found == f"{where}: {found}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("# only a comment\n", "an empty file"),
        ("just a text\n", "none"),
        ("- a\n- list\n", "none"),
        ("{}\n", "none"),
        (b"\xff\xfe\x00", "a control character, or bytes that are not UTF-8"),
    ],
)
def test_a_file_that_is_no_pack_is_refused(write, text, found):
    assert fault(write(text)).found == f"hand.yaml, line 1: {found}"


def test_bytes_that_are_not_utf8_are_told_with_their_line(write):
    error = fault(write(PACK.encode().replace(b"a fracture", b"a fract\xfcre")))
    assert error.found == "hand.yaml, line 15: a control character, or bytes that are not UTF-8"


TRICK = "an anchor, an alias, a tag (& * !) or very deep nesting"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", 1),
        ("modality: x\ntemplates: *bold\n", 2),
        ("modality: &m x\n", 1),
        ("modality: x\n\ntemplates: !!python/object/apply:os.system [echo]\n", 3),
        ("!!python/object:balancer.prompting.prompts.Prompt {}\n", 1),
        ("modality: !own x\n", 1),
        ("modality: !!str x\n", 1),
        ("[" * 500_000, 1),
        ("".join(" " * depth + "a:\n" for depth in range(300)), 7),
    ],
    ids=[
        "alias bomb",
        "alias",
        "anchor",
        "python call",
        "python object",
        "own tag",
        "tag",
        "brackets",
        "indents",
    ],
)
def test_anchors_aliases_tags_and_depth_are_refused(write, text, line):
    assert fault(write(text)).found == f"hand.yaml, line {line}: {TRICK}"


def test_a_file_of_two_megabytes_is_refused_unread(write):
    error = fault(write(PACK + "#" * 2_000_000))
    assert error.found == "hand.yaml, which is larger"
    assert str(MAX_BYTES) in error.needed


def test_a_file_at_the_limit_is_read(write, hand):
    assert load_pack(write(PACK + "#" * (MAX_BYTES - len(PACK)))) == hand


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "pipe.yaml", Path("x" * 5000), "toes"):
        assert fault(path).needed.startswith("a template pack: chest, bone or a YAML file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(write):
    path = write(PACK)
    path.chmod(0)
    assert fault(path).found == "hand.yaml: Permission denied"


def test_messages_name_no_absolute_path(write):
    error = fault(write("modality: [x]\n"))
    assert os.sep + "tmp" not in str(error)
    assert "line 1" in str(error)


def test_importing_the_module_leaves_yaml_alone():
    code = "import sys, balancer.prompting.prompts; print('yaml' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
