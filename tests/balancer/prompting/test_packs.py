import pytest

from balancer.collection.attributes import AGE_GROUPS, SEXES, VIEWS, Attributes
from balancer.errors import PromptError
from balancer.prompting.packs import PACKS, key_of, load_pack
from balancer.prompting.prompts import make_prompt

PACK = """\
modality: hand radiograph
templates: ["{modality}, {view}, {finding}"]
slots:
  view:
    - front
    - side
negative: [drawing, text]
classes:
  "normal hand":
    findings: [intact bones]
  fracture {old}:
    findings:
      - a fracture
      -   a broken
          bone
"""


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "hand.yaml"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def test_a_pack_knows_the_line_of_each_text(write):
    pack = load_pack(write(PACK))
    assert pack.line("modality") == 1
    assert pack.line("templates", 0) == 2
    assert [pack.line("slots", "view", number) for number in range(3)] == [5, 6, None]
    assert pack.line("negative", 1) == 7
    assert pack.line("classes", "normal hand", "findings", 0) == 10
    assert [pack.line("classes", "fracture {old}", "findings", number) for number in range(2)] == [13, 14]
    assert pack.find("fracture {old}").findings == ("a fracture", "a broken bone")
    assert pack.line("classes", "unicorn") is None


@pytest.mark.parametrize("name", PACKS)
def test_packaged_packs_know_their_lines_too(name):
    from importlib.resources import files

    lines = (files("prompt_templates") / f"{name}.yaml").read_text("utf-8").splitlines()
    pack = load_pack(name)
    for each in pack.classes:
        for number, finding in enumerate(each.findings):
            assert finding in lines[pack.line("classes", each.name, "findings", number) - 1]


def test_line_ends_of_windows_and_a_byte_order_mark_change_nothing(write):
    plain = load_pack(write(PACK))
    windows = load_pack(write(b"\xef\xbb\xbf" + PACK.replace("\n", "\r\n").encode()))
    assert windows == plain
    assert windows.lines == plain.lines


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_of_faults_are_counted_alike(write, line_end):
    with pytest.raises(PromptError) as caught:
        load_pack(write(PACK.replace("- a fracture", "- []").replace("\n", line_end)))
    assert caught.value.found == "hand.yaml, line 13: a list or a mapping"


UNREADABLE = "a control character, or bytes that are not UTF-8"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (PACK.encode("utf-16"), 1),
        (PACK.encode("utf-16-le"), 1),
        (PACK.encode("utf-16-be"), 1),
        (b"\x89PNG\r\n\x1a\n\x00\x00", 1),
        (PACK.replace("broken", "br\xf6ken").encode("latin-1"), 14),
        (PACK.replace("broken", "bro\x00ken").encode(), 14),
        (PACK.replace("broken", "bro\x1bken").encode(), 14),
    ],
    ids=["utf-16", "utf-16-le", "utf-16-be", "png", "latin-1", "nul", "escape"],
)
def test_what_is_no_utf8_text_is_told_with_its_line_and_the_fix(write, data, line):
    with pytest.raises(PromptError) as caught:
        load_pack(write(data))
    assert caught.value.found == f"hand.yaml, line {line}: {UNREADABLE}"
    assert "save the file as plain text in UTF-8" in caught.value.next_step


def test_a_key_that_is_a_list_is_told_with_its_line(write):
    with pytest.raises(PromptError) as caught:
        load_pack(write(PACK.replace("  fracture {old}:", "  ? [a, b]\n  :")))
    assert caught.value.found.startswith("hand.yaml, line 11: ")


def test_names_are_kept_to_the_letter_and_compared_without_case_and_separators(write):
    pack = load_pack(write(PACK.replace("normal hand", "Normal\\n  hand")))
    assert pack.classes[0].name == "Normal\n  hand"
    assert pack.find("NORMAL_hand") is pack.classes[0]
    assert key_of("Straße") == key_of("STRASSE")


@pytest.mark.parametrize("name", PACKS)
def test_what_a_prompt_states_is_read_back_from_its_slots(name):
    pack = load_pack(name)
    for index in range(12):
        known = Attributes(*(each[index % len(each)] for each in (SEXES, AGE_GROUPS, VIEWS)))
        prompt = make_prompt(pack, "normal", index, known=pack.words(known))
        stated = pack.stated(prompt.slots)
        assert (stated.sex, stated.age) == (known.sex, known.age)
        assert stated.view == (known.view if name == "chest" or known.view == "lateral" else None)
    assert pack.stated(make_prompt(pack, "normal", 0).slots)[:2] == (None, None)
