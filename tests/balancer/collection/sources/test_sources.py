"""Labels from tables, paths and both, on small collections as others lie on disk."""

import json

import pytest

from balancer.collection.scan import scan
from balancer.collection.several_labels import label_counts
from balancer.collection.sources.made import make_source
from balancer.collection.sources.marks import counts_by_name
from balancer.collection.sources.options import SourceOptions, parse_roles
from balancer.collection.walk import list_files
from balancer.errors import CollectionError, TableError
from tests.support.dicom_files import write_dicom
from tests.support.layouts import archive, bones, draw, masked, studies, write_table

BONES = r"(?P<split>train|valid)/(?P<region>XR_\w+)/(?P<patient>patient\d+)/study\d_(?P<label>positive|negative)/"


def read(root, patient=None, as_is=False, **options):
    source = make_source(SourceOptions(**options), str(root), as_is=as_is)
    return scan(
        root, patient, source=source, options={name: str(value) for name, value in options.items()}, as_is=as_is
    )


def kinds(found):
    return [each.kind for each in found.findings if not each.kind.startswith(("few-", "shortcut"))]


def test_several_labels_in_a_cell_are_all_counted(tmp_path):
    root = archive(tmp_path / "x")
    found = read(root, labels=(root / "entries.csv",), separator="|")
    assert len(found.images) == 12
    assert label_counts(found.images) == {"Effusion": 4, "Infiltration": 2, "Mass": 6, "No Finding": 4}
    assert (found.source.has_several, found.is_multi_label) == (True, True)
    assert found.images["patient"].nunique() == 6
    assert found.images["sex"].value_counts().to_dict() == {"male": 6, "female": 6}
    assert found.images.loc["images_001/images/00000000_001.png", ["age", "view"]].tolist() == [41, "AP"]
    assert dict(found.source.ignored) == {"rows_without_file": 1}
    assert {"several-labels", "rows-without-file"} <= set(kinds(found))


def test_a_cell_that_seems_to_hold_several_labels_is_no_class(tmp_path):
    root = archive(tmp_path / "x")
    with pytest.raises(TableError, match=r"--separator '\|'"):
        read(root, labels=(root / "entries.csv",))
    assert "Effusion|Mass" in read(root, labels=(root / "entries.csv",), as_is=True).labels


def test_one_label_against_the_rest(tmp_path):
    root = archive(tmp_path / "x")
    found = read(root, labels=(root / "entries.csv",), separator="|", target_label="mass")
    assert found.images["label"].value_counts().to_dict() == {"Mass": 6, "no Mass": 6}
    assert not found.is_multi_label
    assert label_counts(found.images)["Effusion"] == 4  # all labels are kept


def test_the_first_of_a_list_that_an_image_has(tmp_path):
    root = archive(tmp_path / "x")
    found = read(root, labels=(root / "entries.csv",), separator="|", primary=("Mass", "Effusion"))
    assert found.images["label"].value_counts().to_dict() == {"Mass": 6, "Effusion": 2}
    assert found.source.ignored["not_primary"] == 4


def test_a_label_that_there_is_not_is_told_with_the_nearest(tmp_path):
    root = archive(tmp_path / "x")
    with pytest.raises(CollectionError, match="--target-label 'Effusion'"):
        read(root, labels=(root / "entries.csv",), separator="|", target_label="Efusion")


def test_lists_of_splits(tmp_path):
    root = archive(tmp_path / "x")
    lists = (("train", root / "train_list.txt"), ("test", root / "test_list.txt"))
    found = read(root, labels=(root / "entries.csv",), separator="|", split_lists=lists)
    assert found.images["part"].value_counts().to_dict() == {"train": 8, "test": 4}
    found = read(root, labels=(root / "entries.csv",), separator="|", split_lists=lists[1:])
    assert found.images["part"].value_counts().to_dict() == {"train": 8, "test": 4}
    found = read(
        root,
        labels=(root / "entries.csv",),
        separator="|",
        split_lists=(lists[0], ("val", write_table(tmp_path / "v.txt", [["00000004_000.png"]]))),
    )
    assert "no-split" in kinds(found)
    assert found.images["part"].value_counts().to_dict() == {"train": 11, "val": 1}


def test_a_list_that_names_nothing_and_a_file_in_two_lists(tmp_path):
    root = archive(tmp_path / "x")
    (tmp_path / "other.txt").write_text("a.png\nb.png\n")
    for lists, words in (
        ((("test", tmp_path / "other.txt"),), "none"),
        ((("test", root / "test_list.txt"), ("val", root / "test_list.txt")), "in two"),
        ((("later", root / "test_list.txt"),), "'later'"),
    ):
        with pytest.raises(TableError) as caught:
            read(root, labels=(root / "entries.csv",), separator="|", split_lists=lists)
        assert words in caught.value.found


COLUMNS = ("Edema", "Fracture", "No Finding")


def of_studies(tmp_path, **options):
    root = studies(tmp_path / "x")
    tables = (root / "train.csv", root / "valid.csv")
    return read(root, patient=r"patient\d+", labels=tables, labels_in_columns=COLUMNS, **options)


def test_a_column_for_each_label_and_a_table_for_each_split(tmp_path):
    found = of_studies(tmp_path)
    assert label_counts(found.images) == {"Edema": 4, "Fracture": 2, "No Finding": 4}
    assert found.images["part"].value_counts().to_dict() == {"train": 6, "val": 6}
    assert found.images["patient"].nunique() == 12
    assert [each.message for each in found.findings if each.kind == "uncertain-labels"] == [
        "uncertain labels (-1) count as neither positive nor negative: Fracture (2)"
    ]
    assert found.source.how == "path (file name)"


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        ("positive", {"Fracture": 4, "no Fracture": 8}),
        ("ignore", {"Fracture": 2, "no Fracture": 8}),
        (None, {"Fracture": 2, "no Fracture": 8}),
        ("negative", {"Fracture": 2, "no Fracture": 10}),
    ],
)
def test_what_is_uncertain_is_of_neither_class_unless_the_user_says_so(tmp_path, policy, counts):
    found = of_studies(tmp_path, uncertain=policy, target_label="Fracture")
    assert found.images["label"].value_counts().to_dict() == counts


def test_a_value_that_is_no_mark_is_told(tmp_path):
    root = studies(tmp_path / "x")
    with pytest.raises(TableError, match="'Sex'"):
        read(root, labels=(root / "train.csv",), labels_in_columns=("Sex", "Edema"))


def test_a_part_of_the_files_is_not_taken_for_others(tmp_path):
    """Of a collection whose training folders are missing, the same name in another patient's folder is no match."""
    root = studies(tmp_path / "x")
    for path in list((root / "train").rglob("*.png"))[1:]:
        path.unlink()
    source = make_source(SourceOptions(labels=(root / "train.csv",), labels_in_columns=COLUMNS), str(root))
    told = source.read(list_files(root))
    assert [path.split("/")[0] for path in told.listing.paths] == ["train"]
    assert dict(told.ignored) == {"unlabelled": 6, "rows_without_file": 5}


def test_tables_joined_by_a_column(tmp_path):
    root = tmp_path / "x"
    images = [["image", "study", "view"], *([f"i{n}", f"s{n // 2:03}", "PA"] for n in range(8))]
    for name, *_ in images[1:]:
        draw(root / "files" / f"{name}.png")
    labels = [["study", "finding", "patient"], *([f"s{n:03}", ["mass", "normal"][n % 2], f"p{n}"] for n in range(3))]
    splits = [["image", "split"], *([f"i{n}", "train" if n < 4 else "validate"] for n in range(8))]
    tables = tuple(write_table(tmp_path / f"{n}.csv", rows) for n, rows in enumerate((images, labels, splits)))
    found = read(root, labels=tables, on=("study",), columns={"file": ("image",), "label": ("finding",)})
    assert found.images["label"].value_counts().to_dict() == {"mass": 4, "normal": 2}
    assert found.images["part"].value_counts().to_dict() == {"train": 4, "val": 2}
    assert found.images["patient"].nunique() == 3
    assert found.source.ignored == {"unlabelled": 2}
    assert found.source.how == "stem"


READERS = [
    ["image", "reader", "mass", "normal"],
    ["a", 1, 1, 0],
    ["a", 2, 0, 1],
    ["a", 3, 1, 0],
    ["b", 1, 0, 1],
    ["b", 2, 0, 1],
]


@pytest.mark.parametrize(
    ("rule", "counts"),
    [("any", {"mass": 1, "normal": 2}), ("majority", {"mass": 1, "normal": 1}), ("all", {"normal": 1})],
)
def test_several_rows_of_a_file_are_joined_by_a_rule(tmp_path, rule, counts):
    for name in "ab":
        draw(tmp_path / "x" / f"{name}.png")
    table = write_table(tmp_path / "readers.csv", READERS)
    options = SourceOptions(labels=(table,), labels_in_columns=("mass", "normal"), rows=rule)
    assert counts_by_name(make_source(options, str(tmp_path / "x")).read(list_files(tmp_path / "x")).labels) == counts


def test_rows_that_differ_need_a_rule(tmp_path):
    for name in "ab":
        draw(tmp_path / "x" / f"{name}.png")
    table = write_table(tmp_path / "readers.csv", READERS)
    with pytest.raises(TableError) as caught:
        read(tmp_path / "x", labels=(table,), labels_in_columns=("mass", "normal"))
    assert caught.value.found == "one of them has mass; normal; mass"
    assert "--rows any" in caught.value.next_step


def test_rows_of_boxes_that_agree_are_one_image(tmp_path):
    rows = [["id", "x", "Target"], ["a", 1, 1], ["a", 2, 1], ["b", "", 0], ["c", "", 0]]
    for name in "abcd":
        draw(tmp_path / "x" / f"{name}.png")
    table = write_table(tmp_path / "boxes.csv", rows)
    found = read(tmp_path / "x", labels=(table,), columns={"file": ("id",)})
    assert found.images["label"].value_counts().to_dict() == {"0": 2, "1": 1}
    assert found.source.ignored == {"unlabelled": 1}


def test_a_row_of_a_folder_is_one_of_all_files_in_it(tmp_path):
    root = bones(tmp_path / "bones")
    found = read(
        root,
        labels=(root / "studies.csv",),
        columns={"file": ("1",), "label": ("2",)},
        mapped={"0": "negative", "1": "positive"},
    )
    assert found.images["label"].value_counts().to_dict() == {"positive": 16, "negative": 14}
    assert found.images["part"].value_counts().to_dict() == {"train": 22, "val": 8}
    assert found.source.how == "folder"


def test_labels_are_changed_and_dropped_by_map(tmp_path):
    for number in range(4):
        draw(tmp_path / "x" / f"{number}.png")
    table = write_table(tmp_path / "t.csv", [["file", "label"], ["0", "-1"], ["1", "12 5 40"], ["2", "7 3"], ["3", ""]])
    found = read(tmp_path / "x", labels=(table,), mapped={"-1": "normal", "*": "pneumothorax", "": "unknown"})
    assert found.images["label"].tolist() == ["normal", "pneumothorax", "pneumothorax", "unknown"]


def test_lists_in_cells(tmp_path):
    for number in range(3):
        draw(tmp_path / "x" / f"{number}.png")
    rows = [["file", "labels"], ["0", "['normal']"], ["1", "['mass', 'edema']"], ["2", "['mass']"]]
    found = read(tmp_path / "x", labels=(write_table(tmp_path / "t.csv", rows),))
    assert label_counts(found.images) == {"edema": 1, "mass": 2, "normal": 1}


def test_a_column_joined_to_the_headers_keeps_its_zeros(tmp_path):
    for number, accession in enumerate(["00041", "00041", "041", ""]):
        write_dicom(tmp_path / "x" / f"{number}.dcm", AccessionNumber=accession)
    rows = [["AccessionNumber", "label"], ["00041", "mass"], ["041", "normal"], ["7", "mass"]]
    table = write_table(tmp_path / "t.csv", rows)
    columns = {"file": ("dicom:AccessionNumber",), "label": ("label",)}
    found = read(tmp_path / "x", labels=(table,), columns=columns)
    assert found.images["label"].tolist() == ["mass", "mass", "normal"]
    assert found.source.ignored == {"unlabelled": 1, "rows_without_file": 1}


def test_paths_tell_label_patient_split_and_more(tmp_path):
    found = read(bones(tmp_path / "bones"), pattern=BONES)
    assert found.images["label"].value_counts().to_dict() == {"positive": 16, "negative": 14}
    assert found.images["part"].value_counts().to_dict() == {"train": 22, "val": 8}
    assert found.images["patient"].nunique() == 13
    assert json.loads(found.images["told"].iloc[0]) == {"region": "XR_HAND"}


def test_folders_tell_the_label_and_paths_the_rest(tmp_path):
    root = masked(tmp_path / "x")
    found = read(root, pattern=r"(?P<patient>\d+)\.png$", ignore=("masks",))
    assert found.images["label"].value_counts().to_dict() == {"Normal": 8, "COVID": 6}
    assert found.images["patient"].nunique() == 8
    assert found.source.ignored == {"masks": 14}


def test_a_table_adds_to_what_paths_tell(tmp_path):
    root = bones(tmp_path / "bones")
    rows = [
        ["patient", "file", "sex"],
        *(
            [f"x{n}", f"train/XR_HAND/patient{n:05}/study1_{'positive' if n % 2 else 'negative'}/image0.png", "F"]
            for n in range(6)
        ),
    ]
    found = read(root, pattern=BONES, labels=(write_table(tmp_path / "t.csv", rows),))
    assert len(found.images) == 30
    assert found.images["sex"].value_counts().to_dict() == {"female": 6}
    assert found.images["patient"].nunique() == 13


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("(?P<label>a", "(?P<label>a"), ("positive", "'positive'"), ("(?P<label>nowhere)", "matches none of 30")],
)
def test_patterns_that_cannot_be_used(tmp_path, pattern, found):
    with pytest.raises(CollectionError) as caught:
        read(bones(tmp_path / "bones"), pattern=pattern)
    assert found in caught.value.found


def test_a_pattern_that_fits_some_leaves_out_the_others_and_says_so(tmp_path):
    root = bones(tmp_path / "bones")
    found = read(root, pattern=r"^(?P<split>train)/.*(?P<label>positive|negative)/")
    assert len(found.images) == 22
    assert found.source.ignored == {"valid": 8}
    assert "unlabelled" in kinds(found)


def test_a_table_of_other_files_shows_three_of_each_side(tmp_path):
    root = archive(tmp_path / "x")
    table = write_table(tmp_path / "t.csv", [["file", "label"], *([f"other{n}.png", "a"] for n in range(5))])
    with pytest.raises(TableError) as caught:
        read(root, labels=(table,))
    assert "'other0.png', 'other1.png', 'other2.png'; the folder has 'images_001" in caught.value.found
    assert "--strip-prefix" in caught.value.next_step


def test_two_columns_that_could_be_the_label_are_listed(tmp_path):
    root = archive(tmp_path / "x")
    table = write_table(tmp_path / "t.csv", [["file", "label", "diagnosis"], ["00000000_000.png", "a", "b"]])
    with pytest.raises(TableError, match="'label' and 'diagnosis' are possible"):
        read(root, labels=(table,))


def test_missing_columns_are_told_with_those_that_there_are(tmp_path):
    root = archive(tmp_path / "x")
    table = write_table(tmp_path / "t.csv", [["picture", "what"], ["00000000_000.png", "a"]])
    with pytest.raises(TableError, match="'picture', 'what'"):
        read(root, labels=(table,))
    with pytest.raises(TableError, match="'what'"):
        read(root, labels=(table,), columns={"file": ("picture",), "label": ("nothing",)})


def test_a_column_of_thousands_of_labels_is_refused(tmp_path):
    root = archive(tmp_path / "x")
    rows = [["file", "label", "kind"], *([f"{n}.png", f"text {n}", "ab"[n % 2]] for n in range(5000))]
    rows[1][0] = "00000000_000.png"
    with pytest.raises(TableError) as caught:
        read(root, labels=(write_table(tmp_path / "t.csv", rows),))
    assert "has 5,000" in caught.value.found
    assert "'kind'" in caught.value.next_step


def test_names_that_two_files_have_are_not_guessed(tmp_path):
    for folder in ("a", "b"):
        for number in range(3):
            draw(tmp_path / "x" / folder / f"{number + (folder == 'b')}.png")
    rows = [["file", "label"], *([f"{n}.png", "ab"[n % 2]] for n in range(4))]
    found = read(tmp_path / "x", labels=(write_table(tmp_path / "t.csv", rows),))
    assert found.images.index.tolist() == ["a/0.png", "b/3.png"]
    assert "table-ambiguous" in kinds(found)


def test_a_prefix_is_stripped_and_backslashes_are_slashes(tmp_path):
    for number in range(4):
        draw(tmp_path / "x" / "a" / f"{number}.png")
    rows = [["file", "label"], *([f"D:\\data\\a\\{n}.png", "ab"[n % 2]] for n in range(4))]
    table = write_table(tmp_path / "t.csv", rows)
    assert read(tmp_path / "x", labels=(table,), strip_prefix="D:\\data\\").source.how == "path (file name)"
    assert len(read(tmp_path / "x", labels=(table,)).images) == 4


def test_columns_with_quotes_and_numbers():
    assert parse_roles(["file='Image Index' label=2", "view=A view=B"]) == {
        "file": ("Image Index",),
        "label": ("2",),
        "view": ("A", "B"),
    }
    for text in ("file", "file=", "x file=a"):
        with pytest.raises(TableError):
            parse_roles([text])
