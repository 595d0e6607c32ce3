"""A folder that is ready for a hub: complete, loadable, apart from the collection, and nothing is sent."""

import json

import pytest
import yaml

from balancer.dataset.verify import verify
from balancer.errors import ModelError, OutputError, SettingsError
from balancer.workspace.export_run import export
from balancer.workspace.export_settings import ExportSettings
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import ScanSettings
from balancer.workspace.workspace import Workspace
from tests.support.balanced_fixtures import balanced
from tests.support.cli_process import tree_hash


@pytest.fixture
def place(tmp_path):
    """A scanned collection in `xrays`, and its balanced folder in `balanced`."""
    balanced(tmp_path)
    scan(Workspace.open(tmp_path), ScanSettings(tmp_path / "xrays", patient=r"(p\d+)-"))
    return tmp_path


def exported(place, name="hub", **options):
    folder = None if "adapter" in options else place / "balanced"
    return export(Workspace.open(place), ExportSettings(folder, place / name, **options))


def head_of(path):
    return yaml.safe_load(path.read_text("utf-8").split("---\n")[1])


def test_a_data_set_is_whole_and_verifies(place):
    before = tree_hash(place / "xrays"), tree_hash(place / "balanced")
    found = exported(place, licence="cc-by-4.0")
    hub = place / "hub"
    assert (found.kind, found.files) == ("dataset", sum(path.is_file() for path in hub.rglob("*")))
    assert verify(hub) == ()
    assert (tree_hash(place / "xrays"), tree_hash(place / "balanced")) == before
    head = head_of(hub / "README.md")
    assert (head["license"], head["tags"]) == ("cc-by-4.0", ["synthetic", "medical", "x-ray"])
    assert json.loads((hub / "croissant.json").read_text())["name"] == "hub"


def test_no_file_of_the_collection_is_linked_not_even_one_behind_a_link(place):
    """The balanced folder's own files may be linked: they are copies."""
    train = place / "balanced" / "train" / "NORMAL"
    source = next(path for path in sorted(train.iterdir()))
    original = place / "xrays" / "NORMAL" / source.name
    source.unlink()
    source.symlink_to(original)
    exported(place)
    names = [path for path in (place / "hub").rglob("*") if path.is_file()]
    assert not any(path.is_symlink() for path in names)
    assert {path.stat().st_nlink for path in (place / "xrays").rglob("*.png")} == {1}
    synthetic = next((place / "hub").rglob("syn-*.png"))
    assert synthetic.samefile(place / "balanced" / synthetic.relative_to(place / "hub"))


@pytest.mark.parametrize("where", ["xrays/hub", "xrays", "balanced/hub", ".balance/hub", "taken"])
def test_a_place_that_is_not_free_is_refused_and_nothing_is_written(place, where):
    (place / "taken").mkdir()
    (place / "taken" / "thesis.txt").write_text("mine")
    before = tree_hash(place / "xrays"), tree_hash(place / "balanced"), tree_hash(place / "taken")
    with pytest.raises(OutputError, match="balance export --hub-folder"):
        exported(place, where)
    assert (tree_hash(place / "xrays"), tree_hash(place / "balanced"), tree_hash(place / "taken")) == before


def test_a_folder_that_was_changed_is_not_made_ready(place):
    next((place / "balanced" / "train").rglob("syn-*.png")).write_bytes(b"other")
    with pytest.raises(OutputError, match="balance verify"):
        exported(place)
    assert not (place / "hub").exists()


def test_a_stopped_export_begins_again(place, monkeypatch):
    from balancer.dataset import staging

    def stop(out):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(staging, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            exported(place)
    assert not (place / "hub").exists()
    (place / ".hub.partial" / "stray.txt").write_text("left")
    exported(place)
    exported(place, "other")
    (place / "other" / "croissant.json").unlink()  # it has the folder's name
    (place / "hub" / "croissant.json").unlink()
    assert tree_hash(place / "hub") == tree_hash(place / "other")
    assert not (place / ".hub.partial").exists()


def adapter(place, **card):
    folder = place / ".balance" / "adapters" / "mine"
    folder.mkdir(parents=True)
    known = {"kind": "lora", "base": {"name": "owner/sd", "licence": "openrail"}, "left_out": []}
    (folder / "card.json").write_text(json.dumps({**known, "training_files": {"A/smith-1.png": "ab" * 32}, **card}))
    (folder / "README.md").write_text("# A LoRA adapter\n")
    (folder / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    return folder


def test_a_model_has_a_card_that_a_hub_reads_and_names_no_file_of_a_patient(place):
    adapter(place)
    found = exported(place, adapter="mine")
    assert (found.kind, found.files) == ("model", 3)
    head = head_of(place / "hub" / "README.md")
    assert (head["license"], head["base_model"], head["library_name"]) == ("openrail", "owner/sd", "diffusers")
    assert (place / "hub" / "README.md").read_text().endswith("---\n# A LoRA adapter\n")
    card = json.loads((place / "hub" / "card.json").read_text())
    assert card["training_files"] == {"ab" * 32: "ab" * 32}  # what learned_files reads, without names
    assert all(b"smith" not in path.read_bytes() for path in (place / "hub").iterdir())


def test_a_licence_that_is_no_identifier_is_named(place):
    adapter(place, base={"name": "sd15", "licence": "see its LICENSE.txt"})
    exported(place, adapter="mine")
    head = head_of(place / "hub" / "README.md")
    assert (head["license"], head["license_name"]) == ("other", "see its LICENSE.txt")
    assert "base_model" not in head


def test_what_there_is_not_is_refused(place):
    with pytest.raises(ModelError, match="'theirs'; there are: none"):
        exported(place, adapter="theirs")
    with pytest.raises(SettingsError, match="both"):
        ExportSettings(hub_folder="hub", croissant=True)
    with pytest.raises(SettingsError, match="--adapter with --hub-folder"):
        ExportSettings("balanced", "hub", adapter="mine")
    found = export(Workspace.open(place), ExportSettings(place / "balanced", croissant=True))
    assert (found.folder, found.to_json()["conformsTo"][0]) == (None, "http://mlcommons.org/croissant/1.1")
