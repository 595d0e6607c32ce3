"""`balance scan`: its JSON by the published schema, its exit codes, what it remembers of a look inside."""

import json
import shutil
from importlib.resources import files

import jsonschema
import pytest

from balancer.cli.commands.scan_failures import kinds_of
from balancer.collection.findings import KINDS
from balancer.errors import BalanceError
from tests.balancer.cli.test_commands import run_json
from tests.support.cli_process import run
from tests.support.scan_faults import PATIENT, PLANTS, write_clean, write_table
from tests.support.tiny_models import write_xrays

SCHEMA = json.loads((files("balancer") / "cli" / "scan.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("drawn") / "clean")


@pytest.fixture
def clean(drawn, tmp_path):
    return shutil.copytree(drawn, tmp_path / "clean")


def validate(found):
    jsonschema.validate(found, SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_is_one_and_knows_every_kind():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$defs"]["finding"]["properties"]["kind"]["enum"] == list(KINDS)


@pytest.mark.parametrize("options", [(), ("--deep",), ("--patient", PATIENT, "--report")])
def test_the_json_fits_the_schema(tmp_path, xrays, options):
    validate(run_json(tmp_path, "scan", "xrays", *options))


@pytest.mark.parametrize("options", [(), ("--deep", "--patient", PATIENT)])
def test_the_json_of_a_split_collection_with_findings_fits_the_schema(tmp_path, clean, options):
    for kind in ("leak", "near-leak", "unreadable", "empty-class", "blank"):
        PLANTS[kind](clean)
    found = run_json(tmp_path, "scan", "clean", *options)
    validate(found)
    assert len(found["findings"]) >= 3


def test_the_json_of_a_class_without_training_images_fits_the_schema(tmp_path):
    write_xrays(tmp_path / "d" / "train", {"A": 10, "B": 10})
    write_xrays(tmp_path / "d" / "test", {"A": 10, "C": 10}, size=(30, 32))
    found = run_json(tmp_path, "scan", "d")
    assert found["imbalance_ratio"] is None
    validate(found)


def test_the_json_with_a_table_of_patients_fits_the_schema(tmp_path, clean):
    write_table(clean)
    found = run_json(tmp_path, "scan", "clean", "--patient", PATIENT, "--patients", "patients.csv")
    validate(found)
    assert found["attributes"]["by_class"]["view"]["normal"]["PA"] == {"images": 42, "patients": 42}


def test_what_the_schema_does_not_know_does_not_fit(tmp_path, xrays):
    with pytest.raises(jsonschema.ValidationError, match="more"):
        validate(run_json(tmp_path, "scan", "xrays") | {"more": 1})


def test_fail_on_exits_with_1_and_says_why(tmp_path, clean):
    assert run(tmp_path, "scan", "clean", "--fail-on", "any")[0] == 0
    PLANTS["leak"](clean)
    code, output = run(tmp_path, "scan", "clean", "--fail-on", "leak,unreadable")
    assert code == 1
    assert "Next: balance fill" in output
    assert output.splitlines()[-1] == "Exit code 1: 1 finding of the kind leak"
    assert run(tmp_path, "scan", "clean", "--fail-on", "unreadable")[0] == 0
    assert run(tmp_path, "scan", "clean", "--fail-on", "any")[0] == 1


def test_max_imbalance_exits_with_1_and_says_why(tmp_path, clean):
    assert run(tmp_path, "scan", "clean", "--max-imbalance", "2")[0] == 0
    code, output = run(tmp_path, "scan", "clean", "--max-imbalance", "1.5")
    assert code == 1
    assert output.splitlines()[-1] == "Exit code 1: the imbalance ratio 1.9 is above 1.5"


@pytest.mark.parametrize(
    ("options", "found"),
    [(("--fail-on", "leek"), "'leek'"), (("--max-imbalance", "0.5"), "0.5"), (("--fail-on", ","), "none")],
)
def test_options_that_cannot_be_met_are_messages(tmp_path, xrays, options, found):
    code, output = run(tmp_path, "scan", "xrays", *options)
    assert code == 2
    assert f"found:  {found}" in output
    assert not (tmp_path / ".balance").exists()


def test_an_unknown_kind_lists_all_with_a_sentence_each():
    with pytest.raises(BalanceError) as caught:
        kinds_of("leak,leek")
    assert all(f"{kind}: {words}" in caught.value.needed for kind, words in KINDS.items())
    assert kinds_of("leak, blank") == {"leak", "blank"}
    assert kinds_of("any") == set(KINDS)
    assert kinds_of(None) == set()


def test_a_later_scan_remembers_what_a_look_inside_found(tmp_path, clean):
    PLANTS["near-leak"](clean)
    broken = next((clean / "train" / "nodule").iterdir())
    broken.write_bytes(broken.read_bytes()[:-3000])
    deep = run_json(tmp_path, "scan", "clean", "--deep")
    assert {each["kind"] for each in deep["findings"]} == {"near-leak", "unreadable"}
    again = run_json(tmp_path, "scan", "clean")
    assert again["images"] == deep["images"]
    assert {each["kind"] for each in again["findings"]} == {"near-leak", "unreadable"}
    (clean / "test" / "normal" / "p0-copy.jpg").unlink()
    assert {each["kind"] for each in run_json(tmp_path, "scan", "clean")["findings"]} == {"unreadable"}


def test_the_worst_is_shown_first_with_its_fix_and_few_files(tmp_path, clean):
    for kind in ("ignored-file", "leak", "clipped-by-loaders"):
        PLANTS[kind](clean)
    source = sorted((clean / "train" / "normal").iterdir())[5]
    for number in range(4):
        shutil.copy(source, clean / "train" / "normal" / f"c{number}.png")
    output = run(tmp_path, "scan", "clean")[1]
    places = [output.index(f"\n  {kind} (") for kind in ("leak", "clipped-by-loaders", "duplicate", "ignored-file")]
    assert places == sorted(places)
    assert (
        "    fix: keep one of them\n    train/normal/c0.png, train/normal/c1.png, train/normal/c2.png, ...\n" in output
    )
