"""What a fill took and what it lost, from its verdicts."""

from balancer.filling.run import FillReport
from balancer.jobs import Verdict
from balancer.workspace.fill_figures import FillFigures

ACCEPTED = Verdict("accept", {}, (), "screen 1")
WAITING = Verdict("review", {}, ("copy: near",), "screen 1")
BLURRED = Verdict("reject", {}, ("sound: blurred", "sound: no detail", "new: it repeats another"), "screen 1")
LET_IN = Verdict("unscreened", {}, ("copy: not screened",), "no screen")
KEPT_OUT = Verdict("unscreened", {}, ("copy: not screened",), "screen 1")


def figures(verdicts, made, generating=4.0):
    judged = {"A": [(None, each) for each in verdicts[:2]], "B": [(None, each) for each in verdicts[2:]]}
    return FillFigures.of(FillReport({}, made, {}, {}, judged=judged), 5.04, generating, "cpu")


def test_an_image_counts_once_for_each_check_that_rejected_it():
    found = figures([ACCEPTED, BLURRED, WAITING, LET_IN, KEPT_OUT, BLURRED], made=2)
    assert (found.judged, found.rejected, found.review) == (6, 3, 1)
    assert found.checks == {"sound": 2, "new": 2, "copy": 1}
    assert found.share_rejected == 0.5
    assert found.to_json()["images_a_second"] == 0.5
    assert found.seconds == 5.0


def test_where_nothing_was_generated_there_is_no_rate():
    assert figures([ACCEPTED], made=0).images_a_second is None
    assert figures([], made=0).share_rejected is None
