"""A folder for a hub loads as the balanced folder does; the head of its card is changed, what stands below stays."""

import pytest
import yaml

from balancer.dataset.hub_folder import with_head, write_dataset
from balancer.dataset.metadata_files import read_rows, require_manifest
from tests.support.balanced_fixtures import balanced


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("# Images\n", "---\nlicense: mit\n---\n# Images\n"),
        ("", "---\nlicense: mit\n---\n"),
        ("---\nlicense: x\ntags:\n- a\n---\n# B\n---\nc\n", "---\nlicense: mit\ntags:\n- a\n---\n# B\n---\nc\n"),
        ("---\n: [\n---\n# Broken\n", "---\nlicense: mit\n---\n---\n: [\n---\n# Broken\n"),
        ("---\n- a list\n---\n", "---\nlicense: mit\n---\n---\n- a list\n---\n"),
    ],
)
def test_a_head_is_changed_or_added(page, wanted):
    assert with_head(page.encode(), {"license": "mit"}).decode() == wanted


def test_it_loads_by_the_splits_that_its_card_names(tmp_path, load_dataset):
    folder, hub = balanced(tmp_path).folder, tmp_path / "hub"
    rows = read_rows(folder, require_manifest(folder))
    write_dataset(folder, rows, hub, "unknown", lambda done, total: None)
    head = yaml.safe_load((hub / "README.md").read_text("utf-8").split("---\n")[1])
    splits = {each["split"]: each["path"] for each in head["configs"][0]["data_files"]}
    assert splits.items() <= {"train": "train/**", "validation": "val/**", "test": "test/**"}.items()
    loaded = load_dataset(hub)
    assert set(loaded) == set(splits)
    assert sum(len(part) for part in loaded.values()) == len(rows)
    assert sum(loaded["train"]["is_synthetic"]) == 2
