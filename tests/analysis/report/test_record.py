"""Commands and settings name no place of a machine."""

import shlex
from collections import Counter

import pytest

from analysis.report.collect import Balanced
from analysis.report.record import commands, in_words, portable
from analysis.report.screened import count_verdicts, of_gate
from balancer.candidates import Known
from balancer.jobs import Verdict
from balancer.remembered import LastFill
from tests.reporting import facts_with


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("/srv/someone/nets/w.safetensors", "w.safetensors"),
        ("weights=/srv/a/b.pt, size 64", "weights=b.pt, size 64"),
        ("--extra more=~/data/more", "--extra more=more"),
        (r"C:\Users\me\w.pt", "w.pt"),
        ("BACTERIAL/VIRAL and/or 3/4", "BACTERIAL/VIRAL and/or 3/4"),
        ("prompt_templates/chest.yaml", "prompt_templates/chest.yaml"),
    ],
)
def test_absolute_paths_lose_their_folders(text, without):
    assert portable(text) == without
    assert portable(in_words([text.replace("\\", "/")])).count("/home") == 0


def test_the_commands_are_those_that_a_shell_takes():
    last = LastFill({"a b": 4, "c": 0}, {}, {"seed": "7"}, (), "x-balanced", False, ("accept",))
    lines = commands(facts_with(("a b", "c"), None, name="my rays", patients=r"(p\d+)-", last_fill=last))
    assert lines[0] == r"balance scan 'my rays' --patient '(p\d+)-'"
    assert "balance split --seed 0" in lines
    assert [shlex.split(line)[0] for line in lines] == ["balance"] * len(lines)
    assert lines[-1] == "balance report"
    assert not [line for line in lines if line.startswith("balance adapt")]


def test_a_generator_that_was_adapted_here_is_adapted_before_the_fill():
    known = facts_with(("A", "B"), None, balanced=Balanced({}, [], {}, {}), adapted="balance adapt --base /srv/x/sd15")
    lines = commands(known)
    assert lines.index("balance adapt --base sd15") + 1 == lines.index("balance fill")


def test_reasons_are_counted_by_gate_and_class_without_file_names():
    near = "copy: nearer to a real image than 95% of other patients' images are (nearest: A/p{}.png)"
    judged = {str(number): (None, Verdict("review", {}, (near.format(number),), "screen 1")) for number in range(3)}
    judged["3"] = (None, Verdict("reject", {}, ("sound: blurred: no detail",), "B. Reader"))
    judged["4"] = (None, Verdict("accept", {}, (), "screen 1"))
    found = count_verdicts({"A": Known(judged, {**dict.fromkeys("0124", "screen 1"), "3": None}), "B": Known({}, {})})
    assert found.decisions == {"A": Counter(review=3, reject=1, accept=1)}
    assert found.persons == 1
    assert list(found.reasons.items()) == [
        (("reject", "sound", "blurred: no detail"), Counter(A=1)),
        (("review", "copy", "nearer to a real image than 95% of other patients' images are"), Counter(A=3)),
    ]


def test_a_reason_of_no_gate_is_kept():
    assert of_gate("looks right") == ("other", "looks right")
    assert of_gate("a real image: of the test part, x.png") == ("other", "a real image")
