"""`adapt --pretrain` from end to end: what is taken, that it is remembered, and that fill searches it for copies."""

import json
import shutil
from dataclasses import replace

import pytest

import analysis
import balancer
from balancer import AdaptSettings, FillSettings, Workspace
from balancer.errors import CollectionError, OutputError, SettingsError
from balancer.progress import SILENT
from balancer.workspace.pretraining import gather, pool_files, remember_pool
from tests.balancer.adapting.scratch.test_pretrain import write_pool


def session_of(workspace):
    return workspace.session(write=True, several=True)


def test_held_out_images_are_not_learned_from_and_files_are_found_again(workspace, tmp_path):
    others = write_pool(tmp_path / "others", 101)
    with session_of(workspace) as session:
        held, train = (session.split.paths(name)[0] for name in ("test", "train"))
        shutil.copyfile(session.collection.root / held, others / "a.png")
        shutil.copyfile(session.collection.root / train, others / "b.png")
        pool = gather(session, others, 16, SILENT)
        assert dict(pool.left_out) == {"already in your collection": 1, "the same file as a held-out image": 1}
        made = session.state.adapters / "mine"
        remember_pool(session, made, pool)
        session.ledger.add_adapter(session.collection, made)
        found = pool_files(session, [*pool.places][:2])
        assert [place.resolve() for place in found.values()] == [others / path for path in [*pool.places.values()][:2]]
        assert pool_files(session, ["f" * 64]) == {}
        moved = replace(pool, root=tmp_path / "moved")  # another model learned the same files, which are gone since
        remember_pool(session, session.state.adapters / "later", moved)
        session.ledger.add_adapter(session.collection, session.state.adapters / "later")
        assert pool_files(session, [*pool.places][:2]) == found


@pytest.mark.parametrize(
    ("place", "error", "found"),
    [
        ("xrays", OutputError, "is the collection"),
        ("xrays/NORMAL", OutputError, "lies in the collection"),
        (".", OutputError, "lies around the collection"),
        (".balance", OutputError, "is the state folder"),
        ("nowhere", CollectionError, "nothing there"),
    ],
)
def test_a_folder_that_is_not_apart_is_refused(workspace, tmp_path, place, error, found):
    with session_of(workspace) as session, pytest.raises(error, match=found) as caught:
        gather(session, tmp_path / place, 16, SILENT)
    assert "--pretrain FOLDER" in str(caught.value)


def test_a_balanced_folder_is_no_folder_of_radiographs(workspace, tmp_path):
    chosen = FillSettings(target="NODULE=8", model="noise:8", out=tmp_path / "out")
    balancer.fill(workspace, chosen, screen=balancer.NoScreen("of the tests"))
    with session_of(workspace) as session, pytest.raises(OutputError, match="with synthetic images"):
        gather(session, tmp_path / "out" / "train", 16, SILENT)
    (tmp_path / "more").mkdir()
    (tmp_path / "out").rename(tmp_path / "more" / "out")
    with session_of(workspace) as session, pytest.raises(OutputError, match="is, lies in or holds"):
        gather(session, tmp_path / "more", 16, SILENT)


@pytest.mark.parametrize("other", [{"base": "sd15"}, {"from_scratch": True, "start": "before"}])
def test_it_goes_with_from_scratch_alone(other):
    with pytest.raises(SettingsError, match="for --pretrain"):
        AdaptSettings(pretrain="others", **other)


@pytest.mark.slow
def test_what_was_learned_elsewhere_is_on_record_and_searched_for_copies(workspace, tmp_path):
    said = []
    progress = type("Said", (), {"message": staticmethod(said.append), "start": staticmethod(SILENT.start)})()
    others = write_pool(tmp_path / "others")
    settings = AdaptSettings(from_scratch=True, pretrain=others, steps=8, size=16, batch_size=4, device="cpu")
    made = balancer.adapt(workspace, settings, progress=progress).folder
    count = len(list(others.iterdir()))
    assert any(line.startswith("Pretraining: 50% of the training") for line in said)
    card = json.loads((made / "card.json").read_text())
    assert card["pretrained"]["images"] == count
    assert sorted(path.name for path in made.parent.iterdir()) == ["scratch"]
    assert str(tmp_path) not in (made / "card.json").read_text()

    def fill():
        said.clear()
        chosen = FillSettings(target="NODULE=6", steps=2, batch_size="2", retries=0, accept_unscreened=True)
        balancer.fill(
            Workspace.open(tmp_path), chosen, screen=analysis.fit_screen(workspace, accept_unscreened=True),
            progress=progress,
        )  # fmt: skip
        return "\n".join(said)

    told = fill()
    assert f"pretrained on {count} other radiographs: whether held-out patients are among them is not known" in told
    assert "were not searched" not in told
    shutil.move(others, tmp_path / "elsewhere")
    assert f"{count} training images of the generator are not in the collection, and were not searched" in fill()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["mix", "inpaint"])
def test_a_checkpoint_from_scratch_edits_real_images(workspace, tmp_path, mode):
    settings = AdaptSettings(from_scratch=True, steps=4, size=32, batch_size=4, device="cpu")
    balancer.adapt(workspace, settings)
    chosen = FillSettings(target="NODULE=8", mode=mode, steps=3, batch_size="2", no_screen=True)
    found = balancer.fill(workspace, chosen, screen=balancer.NoScreen())
    assert found.merged.synthetic["NODULE"] > 0
