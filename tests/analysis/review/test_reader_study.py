import numpy as np
import pytest
from PIL import Image

from analysis.review.cases import same_again
from analysis.review.pixels import alike
from analysis.review.reader_study import BlindedDesk
from analysis.review.sessions import Refusal
from balancer.jobs import Verdict
from tests.support.review_fixtures import client, judged, opened, prepare

USABLE = Verdict("accept", {}, ("looks right",), "nobody")


def cases_of(work, count, seed=0):
    from tests.support.review_fixtures import blinded_cases

    return blinded_cases(*work, count, seed)


@pytest.fixture
def work(tmp_path):
    prepare(tmp_path, {"NODULE": 12, "NORMAL": 12}, USABLE, real=40)
    with opened(tmp_path) as opened_work:
        yield opened_work


def test_half_is_real_of_the_same_classes_and_the_training_part(work):
    _, split = work
    cases = cases_of(work, 21)
    assert len(cases) == 20
    labels = {truth: sorted(case.label for case in cases if case.truth == truth) for truth in ("real", "synthetic")}
    assert labels["real"] == labels["synthetic"]
    training = set(split.paths("train", "holdout"))
    assert all(case.key.removeprefix("real ") in training for case in cases if case.truth == "real")
    assert len({case.key for case in cases}) == 20


def test_same_seed_same_images_for_the_next_reader(work):
    journal, _ = work
    keys = [case.key for case in cases_of(work, 20)]
    assert keys == [case.key for case in cases_of(work, 20)]
    assert keys != [case.key for case in cases_of(work, 20, seed=1)]
    again = same_again(journal.collection, judged(journal), [*keys, "real gone.png", "synthetic gone"])
    assert [case.key for case in again] == keys
    assert not {case.id for case in again} & {case.id for case in cases_of(work, 20)}


def test_a_real_image_of_the_same_size_is_taken_where_there_is_one(work):
    journal, split = work
    for name in split.paths("train", "holdout")[::2]:
        Image.fromarray(np.zeros((20, 50), np.uint8)).save(journal.collection.root / name)
        journal.collection.images.loc[name, ["width", "height"]] = 50, 20
    sizes = {Image.open(case.path).size for case in cases_of(work, 20)}
    assert sizes == {(32, 32)}


def test_nothing_sent_tells_where_an_image_comes_from(work):
    """Same headers, same length, same fields; a classifier on all that is left does no better than chance."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_predict

    cases = cases_of(work, 48)
    desk = BlindedDesk(work[0], "study", "A", cases)
    browser = client(desk)
    overview = browser.get("/cases").json()["cases"]
    assert {tuple(case) for case in overview} == {("id", "label", "answer")}
    answers = [browser.get(f"/image/{case['id']}") for case in overview]
    assert len({tuple(answer.headers.raw) for answer in answers}) == 1
    assert {len(answer.content) for answer in answers} == {8 + 32 * 32}
    assert {answer.content[:8] for answer in answers} == {b"\x20\0\0\0\x20\0\0\0"}
    assert "content-length" in answers[0].headers
    assert not {"etag", "last-modified", "date", "server"} & answers[0].headers.keys()
    seen = np.array([[int(each["id"][:4], 16), place] for place, each in enumerate(overview)])
    truth = np.array([case.truth == "real" for case in cases])
    guessed = cross_val_predict(RandomForestClassifier(50, random_state=0), seen, truth, cv=4)
    assert (guessed == truth).mean() < 0.85  # by chance 24 of 48; 41 of 48 once in a million runs
    text = browser.get("/").text + browser.get("/page.js").text + str(overview)
    assert not any(case.path.stem in text or case.key in text for case in cases)
    assert browser.get(f"/nearest/{overview[0]['id']}").status_code == 404


def test_images_of_other_sizes_are_brought_to_the_most_common_one():
    sent = alike([np.full((4, 6), 9, np.uint8), np.full((4, 6), 9, np.uint8), np.full((8, 8), 9, np.uint8)])
    assert {len(each) for each in sent} == {8 + 24}
    fitted = np.frombuffer(sent[2][8:], np.uint8).reshape(4, 6)
    assert fitted.tolist() == [[0, 9, 9, 9, 9, 0]] * 4
    wide = alike([np.zeros((10, 4096), np.uint8)])
    assert wide[0][:8] == b"\0\x04\0\0\x02\0\0\0"


def test_readings_are_appended_taken_up_again_and_never_verdicts(work):
    journal, _ = work
    cases = cases_of(work, 20)
    desk = BlindedDesk(journal, "study", "A", cases)
    first, second = (case["id"] for case in desk.overview()[:2])
    browser = client(desk)
    for name, answer in ((first, "real"), (second, "real"), (second, "synthetic")):
        assert browser.post("/answer", json={"id": name, "answer": answer}).status_code == 200
    assert browser.post("/undo", json={}).json() == {"id": second, "label": cases[1].label, "answer": "real"}
    given = [(each.image, each.answer) for each in journal.ledger.readings(journal.collection)]
    one, two = cases[0].key, cases[1].key
    assert given == [(one, "real"), (two, "real"), (two, "synthetic"), (two, "real")]
    assert {verdict.reviewer for _, verdict in judged(journal).values()} == {"nobody"}
    again = BlindedDesk(journal, "study", "A", same_again(journal.collection, judged(journal), [c.key for c in cases]))
    assert [case["answer"] for case in again.overview()[:3]] == ["real", "real", None]
    assert again.answered == 2
    assert BlindedDesk(journal, "study", "B", cases).answered == 0
    with pytest.raises(Refusal, match="nothing to undo"):
        again.undo()


@pytest.mark.parametrize("fields", [{}, {"answer": "accept"}, {"answer": None}, {"decision": "accept"}])
def test_no_answer_but_the_two(work, fields):
    desk = BlindedDesk(work[0], "study", "A", cases_of(work, 4))
    assert client(desk).post("/answer", json={"id": desk.overview()[0]["id"], **fields}).status_code == 400
