"""`balance review` as it is typed: what it says at its end, its figures, and its mistakes."""

import json
import signal
import socket
import urllib.request

import pytest

from balancer.dataset.merge import merge
from balancer.filling.acceptance import NO_SCREEN
from balancer.jobs import BlindedAnswer, Verdict
from tests.support import cli_process
from tests.support.balanced_fixtures import FACTS
from tests.support.cli_process import PATIENCE, apart, balance
from tests.support.review_fixtures import HELD, judged, opened, prepare

USABLE = Verdict("accept", {}, ("looks right",), "nobody")


def run(folder, *arguments):
    return cli_process.run(folder, "review", *arguments)


class Served:
    """A running review, asked as its page asks."""

    def __init__(self, folder, *options):
        self.process = balance(folder, "review", "--reader", "A. Reader", *options)
        self.said = ""
        for line in self.process.stdout:
            if line.startswith("http"):
                break
            self.said += line
        self.base, _, self.token = line.strip().partition("?token=")

    def ask(self, path, fields=None):
        headers = {"x-balance-token": self.token, "content-type": "application/json"}
        data = None if fields is None else json.dumps(fields).encode()
        with urllib.request.urlopen(
            urllib.request.Request(self.base + path, data, headers), timeout=PATIENCE
        ) as answer:
            return json.loads(answer.read())

    def end(self, code):
        output, _ = self.process.communicate()
        assert self.process.returncode == code, output
        return output


def test_at_the_end_it_says_what_to_run_and_what_is_merged_though_rejected(tmp_path):
    prepare(tmp_path, {"NODULE": 3, "NORMAL": 1}, USABLE)
    with opened(tmp_path) as (journal, split):
        merge(journal.collection, split, list(judged(journal).values()), tmp_path / "xrays-balanced", facts=FACTS)
    served = Served(tmp_path, "--audit", "50", "--label", "NODULE")
    for case in served.ask("cases")["cases"]:
        assert case["reasons"] == []  # what the gates said would sway the reader of a sample
        served.ask("answer", {"id": case["id"], "decision": "reject"})
    sentences = served.ask("finish", {})["sentences"]
    assert sentences[0] == "A. Reader: 0 accepted, 3 rejected, 0 unsure; 0 of 3 not judged."
    assert sentences[1].startswith("Next: balance fill")
    assert sentences[2] == (
        "xrays-balanced still contains 3 images that are no longer accepted; balance fill removes them."
    )
    assert sentences[2] in served.end(0)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_keeps_the_answers_and_says_so(tmp_path, sign):
    prepare(tmp_path, {"NODULE": 3, "NORMAL": 1})
    served = Served(tmp_path)
    served.ask("answer", {"id": served.ask("cases")["cases"][0]["id"], "decision": "accept"})
    served.process.send_signal(sign)
    output = served.end(130)
    assert "1 accepted, 0 rejected, 0 unsure; 3 of 4 not judged." in output
    assert "balance review" in output
    again = Served(tmp_path)
    assert len(again.ask("cases")["cases"]) == 3
    again.ask("finish", {})
    again.end(0)


def test_two_pages_at_once_do_not_block_each_other(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 2})
    one, two = Served(tmp_path, "--label", "NODULE"), Served(tmp_path, "--label", "NORMAL")
    for served in (one, two):
        served.ask("answer", {"id": served.ask("cases")["cases"][0]["id"], "decision": "accept"})
    for served in (one, two):
        served.ask("finish", {})
        assert "1 accepted" in served.end(0)


def test_nothing_in_review_is_a_message(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 2}, USABLE)
    code, output = run(tmp_path, "--reader", "A")
    assert code == 2
    assert "none among 4 candidates" in output
    assert "--audit 50" in output


def test_images_that_are_gone_are_left_out_and_named(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 2})
    files = sorted((tmp_path / ".balance" / "candidates").iterdir())
    files[0].unlink()
    files[1].write_bytes(b"changed")
    served = Served(tmp_path)
    assert "Left out: 2 images" in served.said
    assert len(served.ask("cases")["cases"]) == 2
    served.ask("finish", {})
    served.end(0)
    for file in files[2:]:
        file.unlink()
    code, output = run(tmp_path, "--reader", "A")
    assert code == 2
    assert "is missing or changed" in output


def test_a_taken_port_is_a_message(tmp_path):
    prepare(tmp_path, {"NODULE": 1, "NORMAL": 1})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        code, output = run(tmp_path, "--reader", "A", "--port", str(other.getsockname()[1]))
    assert code == 2
    assert "leave --port out" in output


def test_nothing_accepted_cannot_be_blinded(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 2}, HELD)
    code, output = run(tmp_path, "--reader", "A", "--blinded")
    assert code == 2
    assert "0 such synthetic images" in output


@pytest.mark.parametrize("options", [("--json",), ("--audit", "0"), ("--limit", "x")])
def test_wrong_options_are_told_by_the_parser(tmp_path, options):
    code, output = run(tmp_path, "--reader", "A", *options)
    assert code == 2
    assert "Usage: " in output


@pytest.mark.parametrize(
    ("options", "advice"), [(("--blinded", "--audit", "5"), "--limit 50"), (("--port", "70000"), "--port")]
)
def test_options_that_do_not_fit_are_one_message(tmp_path, options, advice):
    code, output = run(tmp_path, "--reader", "A", *options)
    assert (code, advice in output) == (2, True)


def test_the_next_reader_of_a_study_sees_the_same_images(tmp_path):
    prepare(tmp_path, {"NODULE": 6, "NORMAL": 6}, USABLE, real=20)
    first = Served(tmp_path, "--blinded", "--limit", "8")
    for case in first.ask("cases")["cases"]:
        first.ask("answer", {"id": case["id"], "answer": "real"})
    first.ask("finish", {})
    assert "right on 4 of 8 images, 50%" in first.end(0)
    second = Served(tmp_path, "--blinded", "--limit", "8", "--reader", "B. Reader")
    assert "The same images as for" in second.said
    for place, case in enumerate(second.ask("cases")["cases"]):
        second.ask("answer", {"id": case["id"], "answer": "real" if place % 2 else "synthetic"})
    assert any("kappa 0.00" in sentence for sentence in second.ask("finish", {})["sentences"])
    second.end(0)


def test_images_that_an_override_lets_in_unscreened_can_be_studied(tmp_path):
    prepare(tmp_path, {"NODULE": 6, "NORMAL": 6}, Verdict("unscreened", {}, (), NO_SCREEN), real=20)
    served = Served(tmp_path, "--blinded", "--limit", "8")
    assert len(served.ask("cases")["cases"]) == 8
    served.ask("finish", {})
    served.end(0)


def test_the_figures_of_all_answers(tmp_path):
    prepare(tmp_path, {"NODULE": 2, "NORMAL": 1})
    with opened(tmp_path) as (journal, _):
        key = next(iter(judged(journal)))
        mine = Verdict("accept", {"realistic": 1.0}, ("accepted by a reader",), "A")
        journal.ledger.add_verdict(journal.collection, key, mine)
        for reader, wrong in (("A", 10), ("B", 12)):
            for image in range(40):
                truth = "real" if image % 2 else "synthetic"
                answer = "real" if (truth == "real") != (image < wrong) else "synthetic"
                reading = BlindedAnswer("seed 0", reader, str(image), truth, answer)
                journal.ledger.add_reading(journal.collection, reading, "ab" * 32)
    code, output = run(tmp_path, "--results")
    assert code == 0
    assert "75% (60% to 86%)" in output
    assert "A and B: Cohen's kappa 0.90 (" in output
    assert "can distinguish" in output
    found = json.loads(apart(tmp_path, "review", "--results", "--json").stdout)
    (study,) = found["studies"]
    assert [(each["reader"], each["all"]["hits"], each["all"]["total"]) for each in study["readers"]] == [
        ("A", 30, 40),
        ("B", 28, 40),
    ]
    assert study["agreement"][0]["kappa"] == pytest.approx(0.9)
    assert found["verdicts"]["A"] == {
        **{"accept": 1, "reject": 0, "review": 0, "realistic_yes": 1, "realistic_no": 0},
        **{"shows_label_yes": 0, "shows_label_no": 0},
    }
