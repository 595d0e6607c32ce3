"""A fill in shards ends with the tree of a fill on one machine, byte for byte, and refuses what does not belong."""

import json
import shutil

import pytest

from balancer import FillSettings, NoScreen, ScanSettings, Workspace, fill, scan
from balancer.errors import GenerationError, OutputError, SettingsError, StateInUse
from balancer.filling import shards
from balancer.filling.shard import Shard
from balancer.jobs import Verdict
from balancer.workspace.shard_run import fill_shard
from conftest import make_collection
from tests.support.balanced_fixtures import make_job
from tests.support.cli_process import tree_hash

NONE = NoScreen("test")
ASKED = {"target": "12", "model": "noise:4", "batch_size": "4"}


class Strict(NoScreen):
    """Rejects every third image."""

    def __call__(self, batch, accepted):
        decisions = ["reject" if each.job.index % 3 == 1 else "accept" for each in batch]
        return [Verdict(decision, {}, ("third",), self.name) for decision in decisions]

    def fit(self, collection, split, *, exposed=frozenset(), elsewhere=(), progress=None):
        return self


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    make_collection(folder / "xrays", {"normal": 9, "nodule": 5, "mass": 3})
    scan(Workspace.open(folder), ScanSettings(folder / "xrays"))
    return folder


@pytest.fixture
def work(tmp_path, begun):
    """Two workspaces over the same collection: `one` fills by itself, `many` in shards."""
    for name in ("one", "many"):
        shutil.copytree(begun, tmp_path / name)
    return tmp_path


def make(folder, *numbers, count=3, place=None, **more):
    shard_dir = place or folder / "shards"
    return [
        fill_shard(Workspace(folder), FillSettings(**ASKED | more, shard=f"{number}/{count}", shard_dir=shard_dir))
        for number in numbers
    ]


def collect(folder, screen=NONE, place=None, **more):
    return fill(Workspace(folder), FillSettings(**ASKED | more, collect=place or folder / "shards"), screen=screen)


def alone(folder, screen=NONE):
    return fill(Workspace(folder), FillSettings(**ASKED), screen=screen)


def refused(folder):
    try:
        collect(folder, Strict())
    except GenerationError as error:
        return error
    return None


def same(work):
    """Whether both ended alike: the balanced folders, and the candidates."""
    places = ("xrays-balanced", ".balance/candidates")
    return all(tree_hash(work / "one" / each) == tree_hash(work / "many" / each) for each in places)


def test_shards_end_with_the_tree_of_one_machine_and_a_second_run_changes_nothing(work):
    alone(work / "one")
    made = make(work / "many", 3, 1, 2)
    assert sum(each.made for each in made) == sum(each.images for each in made) > 0
    assert not (work / "many" / ".balance" / "candidates").exists()
    result = collect(work / "many")
    assert same(work)
    assert result.report.made == 0
    assert collect(work / "many").report.taken_up == 0
    assert same(work)


def test_rejected_images_are_replaced_in_a_second_round(work):
    alone(work / "one", Strict())
    make(work / "many", 1, 2, 3)
    rounds = 1
    while (said := refused(work / "many")) is not None:
        assert "run each shard again" in said.next_step
        assert not (work / "many" / "xrays-balanced").exists()
        assert "without all of their images" in refused(work / "many").found
        make(work / "many", 1, 2, 3)
        rounds += 1
    assert rounds > 1
    assert same(work)


@pytest.mark.slow
def test_what_one_machine_had_is_not_made_again(work):
    for name in ("one", "many"):
        fill(Workspace(work / name), FillSettings(**ASKED | {"target": "7"}), screen=NONE)
    fill(Workspace(work / "one"), FillSettings(**ASKED), screen=NONE)
    images = sum(each.images for each in make(work / "many", 1, 2, 3))
    assert images < len(list((work / "one" / ".balance" / "candidates").glob("*.png")))
    collect(work / "many")
    assert same(work)


def test_a_shard_that_was_stopped_or_damaged_goes_on(work, monkeypatch):
    folder = work / "many"
    whole = make(folder, 1)[0]
    wanted = tree_hash(whole.folder)
    monkeypatch.setattr(shards.BatchFiles, "write", failing(shards.BatchFiles.write, 1))
    shutil.rmtree(whole.folder)
    with pytest.raises(OSError, match="disk"):
        make(folder, 1)
    assert not (whole.folder / shards.MARKER).exists()
    monkeypatch.undo()
    again = make(folder, 1)[0]
    assert again.made < again.images == whole.images
    assert tree_hash(whole.folder) == wanted
    next(whole.folder.glob("*.png")).write_bytes(b"other")
    with pytest.raises(GenerationError, match="without all"):
        collect(folder)
    make(folder, 2, 3)
    with pytest.raises(GenerationError, match="another content"):
        collect(folder)
    assert make(folder, 1)[0].made == 4
    collect(folder)


def failing(write, after):
    calls = []

    def wrapped(self, made):
        calls.append(made)
        if len(calls) > after:
            raise OSError("disk")
        return write(self, made)

    return wrapped


def test_missing_shards_are_named(work):
    make(work / "many", 1)
    with pytest.raises(GenerationError) as found:
        collect(work / "many")
    assert "2/3, 3/3" in found.value.found
    assert "--shard 2/3" in found.value.next_step
    with pytest.raises(GenerationError, match="none"):
        collect(work / "many", place=work)


SELDOM = [pytest.param(each, marks=pytest.mark.slow) for each in ("torch", "number", "rows")]


@pytest.mark.parametrize("change", ["plan", "weights", *SELDOM])
def test_foreign_shards_are_refused_and_nothing_is_taken(work, change):
    folder = work / "many"
    made = make(folder, 1, 2, 3, **({"seed": 5} if change == "plan" else {}))
    marker = made[1].folder / shards.MARKER
    fields = json.loads(marker.read_text())
    if change == "weights":
        fields["config"]["model"]["sha256"] = "ab" * 32
    if change == "torch":
        fields["versions"]["torch"] = "1.0"
    marker.write_text(json.dumps(fields))
    if change == "number":
        made[1].folder.rename(made[1].folder.with_name("shard-2-of-4"))
    if change == "rows":
        (made[1].folder / shards.ROWS).write_text("{}\n")
    said = {"plan": "another plan", "weights": "abab", "torch": "torch 1.0", "number": "3 and 4", "rows": "other rows"}
    with pytest.raises(GenerationError) as found:
        collect(folder)
    assert said[change] in found.value.found
    assert "balance fill" in found.value.next_step
    assert not (folder / ".balance" / "candidates").exists()


def test_two_processes_do_not_make_the_same_shard(work):
    from filelock import FileLock

    place = work / "many" / "shards" / "shard-1-of-3"
    place.mkdir(parents=True)
    writing = place / ".tmp-image.png"  # of the process that holds the shard
    writing.touch()
    with FileLock(place / "lock"), pytest.raises(StateInUse, match="shard-1-of-3"):
        make(work / "many", 1)
    assert writing.exists()


def test_shards_name_no_patient_and_lie_outside_the_collection(work):
    shard = make(work / "many", 1)[0]
    assert "p0" not in (shard.folder / shards.ROWS).read_text().replace(str(work), "")
    with pytest.raises(OutputError, match="outside"):
        make(work / "many", 1, place=work / "many" / "xrays" / "shards")


@pytest.mark.parametrize(
    "wrong",
    [
        {"shard": "9/8", "shard_dir": "s"},
        {"shard": "0/8", "shard_dir": "s"},
        {"shard": "1of8", "shard_dir": "s"},
        {"shard": "1/8"},
        {"shard_dir": "s"},
        {"shard": "1/8", "shard_dir": "s", "collect": "s"},
    ],
)
def test_shards_that_there_are_not(wrong):
    with pytest.raises(SettingsError):
        FillSettings(target="5", **wrong)


def test_batches_go_round_the_shards_whatever_is_left():
    batches = [[make_job(label, index)] for label in ("A", "B") for index in range(0, 24, 4)]
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    assert sorted(job.id for s in shards for (job,) in s.own(batches, ["A", "B"], 4)) == sorted(
        b[0].id for b in batches
    )
    assert [len(each.own(batches, ["A", "B"], 4)) for each in shards] == [4, 4, 4]
    assert shards[0].own(batches[3:], ["A", "B"], 4) == shards[0].own(batches, ["A", "B"], 4)[1:]


def test_the_folder_of_a_shard_names_it():
    assert Shard.from_folder(Shard(3, 8).folder) == Shard(3, 8)
    with pytest.raises(ValueError, match="shard-9-of-8"):
        Shard.from_folder("shard-9-of-8")
