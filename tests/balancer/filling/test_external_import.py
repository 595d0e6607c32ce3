"""Images from elsewhere become candidates: their format, their verdicts, and what a kill cannot do to them."""

import hashlib
import random
import shutil
import sys
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from PIL import Image

from balancer.collection.scan import scan
from balancer.dataset.merge import merge
from balancer.dataset.verify import explain, verify
from balancer.dataset.xmp import read_provenance
from balancer.errors import CollectionError
from balancer.filling.external_folder import decode_all, list_external, precheck
from balancer.filling.external_import import RETRACTED, ExternalImporter, format_key
from balancer.filling.recipe import OutputProfile, measure_profile
from balancer.filling.verdicts import load_records
from balancer.imaging.decode import OutputFormat, read_grey, read_header
from balancer.jobs import Verdict, external_id
from balancer.splits.split import draw_split
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from tests.balancer.filling.test_external_folder import draw
from tests.support.balanced_fixtures import in_child, killed_before
from tests.support.cli_process import tree_hash


class Judge:
    """Rejects what it is told to, and remembers what it was asked."""

    def __init__(self, name="judge", rejects=()):
        self.name, self.rejects, self.asked = name, rejects, []

    def __call__(self, batch, accepted):
        self.asked.append(([each.origin.file for each in batch], [each.origin.file for each in accepted]))
        return [
            Verdict("reject" if each.origin.file in self.rejects else "accept", {}, ("said so",), self.name)
            for each in batch
        ]


class Desk:
    """A scanned collection and a folder of another generator."""

    def __init__(self, folder, xrays):
        self.state, self.theirs = find_or_make_state(folder, xrays), folder / "theirs"
        self.collection = scan(xrays)
        self.split = draw_split(self.collection)
        self.profile = measure_profile(self.collection, self.split)

    def take(self, judge, retract_missing=True, folder="theirs", accepted=None):
        seen = decode_all(list_external(self.theirs, self.collection, {})[0])
        with Ledger(self.state) as ledger:
            known = load_records(ledger, self.collection)
            intake = ExternalImporter(
                self.collection, self.profile, judge, self.state.candidates, folder, known, ledger
            )
            outcomes = intake.run(seen, precheck(seen, {}, str, ()), accepted or {})
            self.gone = intake.retract_missing(outcomes) if retract_missing else []
        return {outcome.seen.given.path: outcome for outcome in outcomes}

    def usable(self):
        with Ledger(self.state) as ledger:
            records = load_records(ledger, self.collection)
        accepted = [candidate for each in records.values() for candidate, _ in each.external_accepted]
        return {each.origin.file: each for each in accepted if each.origin.form == format_key(self.profile)}

    def person(self, candidate, decision):
        with Ledger(self.state) as ledger:
            ledger.add_verdict(self.collection, candidate.id, Verdict(decision, {}, (), "Dr. A"))


@pytest.fixture
def desk(tmp_path, xrays):
    for number in range(5):
        draw(tmp_path / "theirs" / ("NODULE" if number < 4 else "EFFUSION") / f"{number}.png", number)
    return Desk(tmp_path, xrays)


ALL = ["EFFUSION/4.png", "NODULE/0.png", "NODULE/1.png", "NODULE/2.png", "NODULE/3.png"]


def test_what_is_judged_is_in_the_collections_format_and_says_that_it_is_synthetic(desk):
    grey = read_grey(desk.theirs / "NODULE" / "0.png")
    Image.fromarray(np.stack([grey, grey // 2, grey // 3], -1)).resize((80, 60)).save(desk.theirs / "NODULE" / "0.png")
    Image.fromarray(grey.astype(np.uint16) * 200).save(desk.theirs / "NODULE" / "1.png")
    outcomes = desk.take(Judge())
    for path in ("NODULE/0.png", "NODULE/1.png"):
        candidate = outcomes[path].candidate
        header = read_header(candidate.path)
        assert (header.format, header.mode, header.bits, header.width, header.height) == ("PNG", "L", 8, 32, 32)
        assert hashlib.sha256(candidate.path.read_bytes()).hexdigest() == candidate.sha256
        assert read_provenance(candidate.path) == {
            "digital_source_type": "trainedAlgorithmicMedia",
            "label": "NODULE",
            "generator": "external",
        }
        given = (desk.theirs / path).read_bytes()
        assert candidate.origin.given.read_bytes() == given
        assert candidate.id == external_id("NODULE", hashlib.sha256(given).hexdigest())
        assert candidate.path.name == f"{candidate.id}.png"


def test_where_no_size_is_common_it_keeps_its_own_or_takes_one_of_the_class(desk):
    sizes = {"NODULE": [(32, 32), (40, 44)], "EFFUSION": [(40, 44)]}
    desk.profile = OutputProfile(replace(desk.profile.output, size=None), sizes)
    outcomes = desk.take(Judge())
    assert read_grey(outcomes["NODULE/0.png"].candidate.path).shape == (32, 32)
    assert read_grey(outcomes["EFFUSION/4.png"].candidate.path).shape == (44, 40)


def test_the_screen_sees_each_class_in_order_and_what_is_accepted_so_far(desk, monkeypatch):
    monkeypatch.setattr("balancer.filling.external_import.AT_ONCE", 2)
    judge = Judge(rejects=["NODULE/1.png"])
    outcomes = desk.take(judge)
    assert judge.asked == [
        (["EFFUSION/4.png"], []),
        (["NODULE/0.png", "NODULE/1.png"], []),
        (["NODULE/2.png", "NODULE/3.png"], ["NODULE/0.png"]),
    ]
    assert list(outcomes) == ALL
    assert sorted(desk.usable()) == [path for path in ALL if path != "NODULE/1.png"]


def test_what_is_refused_by_the_precheck_is_not_kept(desk):
    shutil.copy(desk.theirs / "NODULE" / "0.png", desk.theirs / "NODULE" / "same.png")
    outcome = desk.take(Judge())["NODULE/same.png"]
    assert outcome.candidate is None
    assert (outcome.verdict.decision, outcome.verdict.reviewer) == ("reject", "precheck")
    assert sorted(desk.usable()) == ALL


def test_the_same_folder_again_is_not_judged_again(desk):
    desk.take(Judge())
    before, judge = tree_hash(desk.state.candidates), Judge()
    desk.take(judge)
    assert judge.asked == []
    assert tree_hash(desk.state.candidates) == before


def test_another_judge_judges_anew_but_a_persons_word_stands(desk):
    outcomes = desk.take(Judge("no screen"))
    desk.person(outcomes["NODULE/0.png"].candidate, "accept")
    desk.person(outcomes["NODULE/1.png"].candidate, "reject")
    times = {path.name: path.stat().st_mtime_ns for path in desk.state.candidates.iterdir()}
    judge = Judge("screen", rejects=["NODULE/0.png", "NODULE/2.png"])
    outcomes = desk.take(judge)
    assert judge.asked == [(["EFFUSION/4.png"], []), (["NODULE/2.png", "NODULE/3.png"], [])]
    said = {path: (outcome.verdict.decision, outcome.verdict.reviewer) for path, outcome in outcomes.items()}
    assert said == {
        "EFFUSION/4.png": ("accept", "screen"),
        "NODULE/0.png": ("accept", "Dr. A"),
        "NODULE/1.png": ("reject", "Dr. A"),
        "NODULE/2.png": ("reject", "screen"),
        "NODULE/3.png": ("accept", "screen"),
    }
    assert {path.name: path.stat().st_mtime_ns for path in desk.state.candidates.iterdir()} == times


def test_what_is_gone_from_the_folder_is_taken_out_and_may_come_back(desk):
    desk.take(Judge())
    away = desk.theirs.with_name("away.png")
    shutil.move(desk.theirs / "NODULE" / "2.png", away)
    desk.take(Judge())
    assert [candidate.origin.file for candidate, _ in desk.gone] == ["NODULE/2.png"]
    assert sorted(desk.usable()) == [path for path in ALL if path != "NODULE/2.png"]
    with Ledger(desk.state) as ledger:
        _, verdict = ledger.candidates(desk.collection, "NODULE")[desk.gone[0][0].id]
    assert (verdict.decision, verdict.reasons) == ("reject", (RETRACTED,))
    desk.take(Judge())
    assert desk.gone == []
    shutil.move(away, desk.theirs / "NODULE" / "renamed.png")
    desk.take(Judge())
    assert "NODULE/renamed.png" in desk.usable()


def test_another_folder_takes_nothing_out(desk):
    desk.take(Judge())
    shutil.rmtree(desk.theirs / "NODULE")
    draw(desk.theirs / "NODULE" / "9.png", 9)
    desk.take(Judge(), folder="others")
    assert sorted(desk.usable()) == sorted([*ALL, "NODULE/9.png"])


def test_a_renamed_image_is_the_same_image(desk):
    desk.take(Judge())
    (desk.theirs / "NODULE" / "0.png").rename(desk.theirs / "NODULE" / "zero.png")
    judge = Judge()
    desk.take(judge)
    assert (judge.asked, desk.gone) == ([], [])
    assert "NODULE/zero.png" in desk.usable()


@pytest.mark.parametrize("which", ["path", "origin.given"])
def test_a_damaged_candidate_is_made_good(desk, which):
    outcomes = desk.take(Judge())
    before = tree_hash(desk.state.candidates)
    attrgetter(which)(outcomes["NODULE/0.png"].candidate).write_bytes(b"garbage")
    desk.take(Judge())
    assert tree_hash(desk.state.candidates) == before


def test_another_format_of_the_collection_leaves_them_out_until_they_are_handed_over_again(desk):
    desk.take(Judge())
    jpeg = OutputFormat("JPEG", ".jpg", "L", 8, (24, 24))
    desk.profile = OutputProfile(jpeg, {})
    assert desk.usable() == {}
    desk.take(Judge())
    assert {read_header(each.path).format for each in desk.usable().values()} == {"JPEG"}
    assert len(desk.usable()) == 5


def test_a_file_that_changes_while_it_is_read_is_refused(desk):
    seen = decode_all(list_external(desk.theirs, desk.collection, {})[0])
    draw(desk.theirs / "NODULE" / "0.png", 77)
    with Ledger(desk.state) as ledger:
        known = load_records(ledger, desk.collection)
        intake = ExternalImporter(
            desk.collection, desk.profile, Judge(), desk.state.candidates, "theirs", known, ledger
        )
        with pytest.raises(CollectionError, match="changed while it was read"):
            intake.run(seen, {}, {})


def test_without_a_ledger_nothing_is_remembered(desk, tmp_path):
    seen = decode_all(list_external(desk.theirs, desk.collection, {})[0])
    with Ledger(desk.state) as ledger:
        known = load_records(ledger, desk.collection)
    intake = ExternalImporter(desk.collection, desk.profile, Judge(), tmp_path / "scratch", "theirs", known)
    assert [outcome.verdict.decision for outcome in intake.run(seen, {}, {})] == ["accept"] * 5
    assert desk.usable() == {}


def test_merged_it_can_be_verified_and_explained(desk, tmp_path):
    desk.take(Judge(rejects=["NODULE/1.png"]))
    judged = [(candidate, Verdict("accept", {}, ("said so",), "judge")) for candidate in desk.usable().values()]
    merge(desk.collection, desk.split, judged, tmp_path / "out", facts={})
    assert verify(tmp_path / "out") == ()
    made = desk.usable()["NODULE/0.png"]
    facts = explain(tmp_path / "out" / "train" / "NODULE" / f"syn-{made.id}.png")
    expected = {"generator": "external", "original_file": "NODULE/0.png", "original_sha256": made.origin.sha256}
    assert expected.items() <= facts.items()
    assert {"job_id", "model", "prompt", "seed"} & facts.keys() == set()
    assert len(list((tmp_path / "out").rglob("syn-*"))) == 4


def main(folder, scenario):
    """Kill an intake before steps in turn, run it again, and demand what an undisturbed one leaves behind."""
    from tests.support.tiny_models import write_xrays

    write_xrays(folder / "xrays", {"NORMAL": 10, "NODULE": 4})
    for number in range(3):
        draw(folder / "theirs" / "NODULE" / f"{number}.png", number)
    work = lambda: Desk(folder, folder / "xrays").take(Judge(rejects=["NODULE/1.png"]))  # noqa: E731

    def state():
        desk = Desk(folder, folder / "xrays")
        return tree_hash(desk.state.candidates), sorted(desk.usable())

    total, wanted = killed_before(0, folder, work), state()
    for step in sorted(random.Random(scenario).sample(range(1, total + 1), min(12, total))):
        shutil.rmtree(folder / ".balance")
        assert killed_before(step, folder, work) == step
        assert in_child(work) == 0
        assert state() == wanted, f"another state after step {step}"
    return total


def test_killed_at_any_step_it_ends_with_the_same_candidates(tmp_path):
    """In a process of its own: what kills must not watch the other tests."""
    import os
    import subprocess
    from pathlib import Path

    program = "import sys; from pathlib import Path; from tests.balancer.filling.test_external_import import main\n"
    program += "print(main(Path(sys.argv[1]), 0))"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 6
