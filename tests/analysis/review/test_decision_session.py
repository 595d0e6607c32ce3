from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analysis.review.cases import random_sample, waiting
from analysis.review.nearest_real import ByCorrelation
from analysis.review.sessions import Refusal
from balancer.jobs import Verdict
from tests.support.review_fixtures import HELD, client, judged, opened, prepare, review_desk


@pytest.fixture
def work(tmp_path):
    prepare(tmp_path, {"NODULE": 3, "NORMAL": 2})
    with opened(tmp_path) as opened_work:
        yield opened_work


def test_a_verdict_is_appended_with_reader_time_and_what_the_gates_said(work):
    journal, split = work
    desk = review_desk(journal, split)
    first = desk.overview()[0]
    fields = {"id": first["id"], "decision": "reject", "realistic": False, "shows_label": True}
    assert client(desk).post("/answer", json=fields).status_code == 200
    key = next(key for key, (_, verdict) in judged(journal).items() if verdict.reviewer == "A. Reader")
    (earlier, gate), (later, mine) = journal.ledger.history(journal.collection, key)
    assert gate == HELD
    scores = {"distance": 0.25, "realistic": 0.0, "shows_label": 1.0}
    assert mine == Verdict("reject", scores, ("rejected by a reader", "near the limit"), "A. Reader")
    assert earlier < later
    assert later.endswith("+00:00")


def test_undo_appends_the_earlier_verdict_and_deletes_nothing(work):
    journal, split = work
    desk = review_desk(journal, split)
    browser, name = client(desk), desk.overview()[0]["id"]
    for decision in ("accept", "reject"):
        browser.post("/answer", json={"id": name, "decision": decision})
    assert browser.post("/undo", json={}).json()["answer"] == "accept"
    assert browser.post("/undo", json={}).json()["answer"] is None
    assert browser.post("/undo", json={}).status_code == 409
    histories = [journal.ledger.history(journal.collection, key) for key in judged(journal)]
    (long,) = [history for history in histories if len(history) > 1]
    assert [verdict.decision for _, verdict in long] == ["review", "accept", "reject", "accept", "review"]
    assert long[-1][1] == HELD


def test_undo_leaves_what_another_reader_decided_since(work):
    journal, split = work
    one, two = review_desk(journal, split), review_desk(journal, split, "B. Reader")
    one.answer(one.overview()[0]["id"], {"decision": "accept"})
    two.answer(two.overview()[0]["id"], {"decision": "reject"})
    with pytest.raises(Refusal, match=r"B\. Reader has judged"):
        one.undo()
    assert two.undo()["answer"] is None
    assert [verdict.decision for _, verdict in judged(journal).values()].count("accept") == 1


def test_unsure_stays_in_review_and_comes_last_next_time(work):
    journal, split = work
    desk = review_desk(journal, split)
    desk.answer(desk.overview()[0]["id"], {"decision": "review"})
    again = waiting(judged(journal), "A. Reader")
    assert len(again) == 5
    assert again[-1].verdict.reviewer == "A. Reader"
    assert desk.counts() == {"review": 1}


def test_only_what_is_in_review_waits_class_by_class(work):
    journal, split = work
    desk = review_desk(journal, split)
    assert [case["label"] for case in desk.overview()] == ["NODULE"] * 3 + ["NORMAL"] * 2
    desk.answer(desk.overview()[1]["id"], {"decision": "accept"})
    assert len(waiting(judged(journal), "B")) == 4
    assert len(waiting(judged(journal), "B", limit=2)) == 2


def test_a_random_sample_is_of_all_and_repeats(work):
    journal, _ = work
    everything = judged(journal)
    one = [case.key for case in random_sample(everything, 4, 0)]
    assert one == [case.key for case in random_sample(everything, 4, 0)]
    assert one[:2] == [case.key for case in random_sample(everything, 2, 0)]
    assert one != [case.key for case in random_sample(everything, 4, 1)]
    assert len({case.id for _ in range(2) for case in random_sample(everything, 4, 0)}) == 8  # names of one run alone


def test_a_changed_image_is_not_shown(work):
    journal, split = work
    desk = review_desk(journal, split)
    for candidate, _ in judged(journal).values():
        candidate.path.write_bytes(b"other")
    answer = client(desk).get(f"/image/{desk.overview()[0]['id']}")
    assert answer.status_code == 410
    assert "balance fill" in answer.json()["why"]


def test_the_nearest_real_image_is_found_and_shown_by_a_name_of_its_own(work, tmp_path):
    journal, split = work
    collection = journal.collection
    name = split.paths("train")[0]
    label = collection.images.at[name, "label"]
    found = ByCorrelation(collection, split)(collection.root / name, label)
    assert (found.name, found.label) == (name, label)
    assert found.correlation == pytest.approx(1, abs=1e-5)
    desk = review_desk(journal, split)
    browser = client(desk)
    told = browser.get(f"/nearest/{desk.overview()[0]['id']}").json()
    assert told["file"] in split.paths("train", "holdout")
    shown = browser.get(f"/image/{told['id']}").content[8:]
    assert shown == np.asarray(Image.open(collection.root / told["file"])).tobytes()


def test_the_image_that_screening_named_is_the_one_beside_it(work):
    journal, split = work
    key, (candidate, _) = next(iter(judged(journal).items()))
    plain = ByCorrelation(journal.collection, split)(candidate.path, candidate.label)
    named = next(name for name in split.paths("train") if name != plain.name)
    for known, expected in ((named, named), ("NODULE/gone.png", plain.name)):
        verdict = Verdict("review", {"copy_nearest": known}, ("near the limit",), "gates")
        journal.ledger.add_verdict(journal.collection, key, verdict)
        desk = review_desk(journal, split)
        page_id = next(case.id for case in desk._cases.values() if case.key == key)
        told = client(desk).get(f"/nearest/{page_id}").json()
        assert told["file"] == expected
        assert told["label"] == journal.collection.images.at[expected, "label"]


def test_sixteen_bits_are_shown_from_dark_to_bright(work):
    journal, split = work
    candidate = next(iter(judged(journal).values()))[0]
    deep = np.linspace(1000, 5000, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(deep).save(candidate.path)
    desk = review_desk(journal, split)
    case = next(iter(desk._cases.values()))
    import hashlib

    digest = hashlib.sha256(candidate.path.read_bytes()).hexdigest()
    changed = replace(case, candidate=replace(candidate, sha256=digest))
    desk._cases[case.id] = changed
    grey = np.frombuffer(desk.pixels(case.id)[8:], np.uint8)
    assert (grey[0], grey[-1], len(set(grey.tolist()))) == (0, 255, 256)
