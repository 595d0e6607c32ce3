import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.collection.class_names import words_of
from balancer.errors import OutputError, PromptError
from balancer.prompting.lint import lint
from balancer.prompting.pack_skeleton import draft_pack, write_new_pack
from balancer.prompting.packs import PACKS, key_of, load_pack
from balancer.prompting.prompts import make_prompt

HARD = [
    *(
        'O\'Brien: "x"',
        "yes",
        "1e3",
        "no",
        "null",
        "~",
        "2021-03-04",
        "🫁 lung",
        "\u202eright\u202c",
        "a\nb",
        "a\tb",
        "\\n",
    ),
    *(
        "{view}",
        "# not a comment",
        "- dash",
        "[list]",
        "a: b",
        "&anchor",
        "*star",
        "!tag",
        "%dir",
        "@at",
        "`tick`",
        "|",
        ">",
    ),
    *(
        "?",
        "? key",
        "=",
        "<<",
        "'",
        '"',
        "x" * 250,
        "  two  spaces ",
        "\x07bell1",
        "\x85next2",
        "\u2028line",
        "\ufeffbom",
        "é",
        "ё",
    ),
]


def filled(text):
    return text.replace("      -\n", "      - a finding\n")


def written(tmp_path, packs, name="mine.yaml"):
    path = tmp_path / name
    write_new_pack(path, packs, tmp_path / "collection")
    return path


@pytest.mark.parametrize("name", PACKS)
def test_known_classes_are_copied_so_that_the_same_prompts_come_of_them(tmp_path, name):
    pack = load_pack(name)
    labels = [each.name.upper().replace(" ", "_") for each in pack.classes]
    new = load_pack(written(tmp_path, dict.fromkeys(labels, pack)))
    assert [each.name for each in new.classes] == labels
    for label in labels:
        for index in range(12):
            assert make_prompt(new, label, index, seed=3) == make_prompt(pack, label, index, seed=3)
    assert lint(dict.fromkeys(labels, new), flips=True) == ()


@pytest.mark.parametrize("label", HARD)
def test_names_come_back_to_the_letter(tmp_path, label):
    path = written(tmp_path, {label: load_pack("chest"), "NORMAL": load_pack("chest")})
    path.write_text(filled(path.read_text("utf-8")), "utf-8")
    pack = load_pack(path)
    assert [each.name for each in pack.classes] == [label, "NORMAL"]
    assert pack.find(label) is pack.classes[0]
    assert make_prompt(pack, label, 0).slots["finding"] == "a finding"
    assert pack.line("classes", label, "findings", 0) is not None


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.text(min_size=1).filter(words_of), min_size=1, max_size=4, unique_by=key_of))
def test_any_names_come_back(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("new") / "mine.yaml"
    text = draft_pack(dict.fromkeys(labels, load_pack("bone")))
    path.write_bytes(filled(text).encode())
    named = {each.name for each in load_pack(path).classes} | {
        synonym for each in load_pack(path).classes for synonym in each.synonyms
    }
    assert {key_of(label) for label in labels} == {key_of(name) for name in named}


def test_a_class_without_wording_is_a_gap_that_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, {"NORMAL": load_pack("chest"), "Zebra": load_pack("chest")})
    with pytest.raises(PromptError) as caught:
        load_pack(path)
    line = int(caught.value.found.split("line ")[1].split(":")[0])
    assert path.read_text().splitlines()[line - 1] == "      -"
    assert path.read_text().splitlines()[line - 4] == "  Zebra:"
    assert caught.value.needed == "a text for the findings of Zebra"


def test_folders_that_mean_one_class_are_names_of_one(tmp_path):
    chest = load_pack("chest")
    pack = load_pack(written(tmp_path, dict.fromkeys(["nodule", "Nodules", "NODULE", "lung_nodule"], chest)))
    assert [(each.name, each.synonyms) for each in pack.classes] == [("nodule", ("Nodules", "lung_nodule"))]


def test_the_pack_of_most_is_the_frame_and_all_wordings_are_kept(tmp_path):
    chest, bone = load_pack("chest"), load_pack("bone")
    pack = load_pack(written(tmp_path, {"osteopenia": bone, "nodule": chest, "mass": chest}))
    assert pack.modality == "chest radiograph"
    assert pack.find("osteopenia").findings == bone.find("osteopenia").findings


def test_its_comments_teach_the_format(tmp_path):
    text = written(tmp_path, {"NORMAL": load_pack("chest")}).read_text()
    for word in ("modality", "templates", "slots", "negative", "classes", "{finding}", "--check"):
        assert word in text.split("modality: ")[0]


def test_nothing_is_overwritten_and_nothing_put_into_the_collection(tmp_path):
    packs = {"NORMAL": load_pack("chest")}
    inside = tmp_path / "collection" / "deep"
    inside.mkdir(parents=True)
    (tmp_path / "there.yaml").write_text("mine")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere.yaml")
    (tmp_path / "way").symlink_to(inside)
    for name in (
        "there.yaml",
        "link.yaml",
        "collection/x.yaml",
        "collection/deep/x.yaml",
        "way/x.yaml",
        "no/x.yaml",
        "x",
    ):
        with pytest.raises(OutputError) as caught:
            write_new_pack(tmp_path / name, packs, tmp_path / "collection")
        assert caught.value.next_step.endswith("balance prompts --new FILE.yaml")
    assert (tmp_path / "there.yaml").read_text() == "mine"
    assert not list(inside.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection", "link.yaml", "there.yaml", "way"]


def test_the_wordings_of_what_a_table_tells_are_taken_over(tmp_path):
    chest = load_pack("chest")
    path = tmp_path / "mine.yaml"
    write_new_pack(path, {"normal": chest, "nodule": chest}, tmp_path / "xrays")
    assert load_pack(path).known == chest.known != {}
