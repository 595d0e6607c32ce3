"""Commands and settings name no place of a machine."""

import re
import shlex
from collections import Counter

import pytest

from analysis.report.data import ReportFolder
from analysis.report.sections.methods import paragraph
from analysis.report.sections.reproducibility import commands, in_words, portable
from analysis.report.verdict_counts import count_verdicts, of_gate
from balancer.filling.verdicts import LabelRecords
from balancer.jobs import Verdict
from tests.support.report_fixtures import facts_with


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
    lines = commands(facts_with(("a b", "c"), None, name="my rays", patients=r"(p\d+)-"))
    assert lines[0] == r"balance scan 'my rays' --patient '(p\d+)-'"
    assert "balance split --seed 0" in lines
    assert [shlex.split(line)[0] for line in lines] == ["balance"] * len(lines)
    assert lines[-1] == "balance report"
    assert not [line for line in lines if line.startswith("balance adapt")]


def test_a_generator_that_was_adapted_here_is_adapted_before_the_fill():
    typed = ("balance adapt --base sd15", "balance fill --target max --mode mix")
    lines = commands(facts_with(("A", "B"), None, balanced=ReportFolder({}, [], {}, {}), typed=typed))
    place = lines.index("balance adapt --base sd15")
    assert lines[place + 1 : place + 3] == ["balance fill --target max --mode mix", "balance verify xrays-balanced"]


def test_a_paper_says_which_images_began_with_real_ones_and_by_what_guidance():
    made = {"model": "sd15", "model_sha256": "ab", "steps": "25", "width": "64", "height": "64"}
    ways = [("text", "", "1.0", 5), ("image", "0.5", "1.0", 4), ("mix", "0.5", "2.0", 3), ("mix", "0.9", "2.0", 2)]
    drawn = [({**made, "mode": m, "strength": s, "guidance_scale": g}, images) for m, s, g, images in ways]
    text = paragraph(facts_with(("A", "B"), None, balanced=ReportFolder({"A": (9, 14)}, drawn, {}, {})))
    assert "14 synthetic images were added" in text
    assert "25 steps, guidance 1.0 or 2.0, 64 x 64 pixels" in text
    assert re.search(r"4 were edited .* the same class and 5 were .* another class, at strength 0\.5 or 0\.9\.", text)
    text = paragraph(facts_with(("A", "B"), None, balanced=ReportFolder({"A": (9, 5)}, drawn[:1], {}, {})))
    assert "edited" not in text


def test_reasons_are_counted_by_gate_and_class_without_file_names():
    near = "copy: nearer to a real image than 95% of other patients' images are (nearest: A/p{}.png)"
    judged = {str(number): (None, Verdict("review", {}, (near.format(number),), "screen 1")) for number in range(3)}
    judged["3"] = (None, Verdict("reject", {}, ("sound: blurred: no detail",), "B. Reader"))
    judged["4"] = (None, Verdict("accept", {}, (), "screen 1"))
    found = count_verdicts(
        {"A": LabelRecords(judged, {**dict.fromkeys("0124", "screen 1"), "3": None}), "B": LabelRecords({}, {})}
    )
    assert found.decisions == {"A": Counter(review=3, reject=1, accept=1)}
    assert found.persons == 1
    assert list(found.reasons.items()) == [
        (("reject", "sound", "blurred: no detail"), Counter(A=1)),
        (("review", "copy", "nearer to a real image than 95% of other patients' images are"), Counter(A=3)),
    ]


def test_a_reason_of_no_gate_is_kept():
    assert of_gate("looks right") == ("other", "looks right")
    assert of_gate("a real image: of the test part, x.png") == ("other", "a real image")
