"""A run in a process of its own: its errors are those of the function.

What it makes, and that it goes on after it was killed, is tested in tests/analysis/comparison/test_service.py.
"""

import json
from dataclasses import replace

import psutil
import pytest

from balancer.errors import GenerationError, OutOfMemory, PlanError
from balancer.progress import SILENT, Silent
from balancer.workspace.child import _error_of, _report_of, run_in_child
from balancer.workspace.settings import FillSettings

SETTINGS = FillSettings(target="OTHER=4", model="noise:4", no_screen=True)


def test_its_errors_are_raised_here(workspace):
    with pytest.raises(PlanError, match="a class of the collection") as caught:
        run_in_child(workspace, "fill", SETTINGS, SILENT)
    assert "--target" in caught.value.next_step


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device", "x.png"), OSError),
        (RuntimeError("can't allocate memory: you tried to allocate 9 bytes"), MemoryError),
        (OutOfMemory(needed="room", found="none", next_step="--batch-size 1"), OutOfMemory),
    ],
)
def test_what_a_person_can_mend_goes_through_json(error, kind):
    found = _error_of(json.loads(json.dumps(_report_of(error))))
    assert (type(found), str(found)) == (kind, str(error))


def test_one_that_ends_without_a_result_is_told(workspace, capfd):
    with pytest.raises(GenerationError, match="it ended with exit code 1"):
        run_in_child(workspace, "unknown", SETTINGS, SILENT)
    said = capfd.readouterr()
    assert (said.out, "KeyError: 'unknown'" in said.err) == ("", True)  # what went wrong there stands above


def test_whoever_stops_this_process_stops_that_one_too(workspace):
    class Impatient(Silent):
        def message(self, text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_child(workspace, "fill", replace(SETTINGS, target=("max",)), Impatient())
    assert [each for each in psutil.Process().children() if "balancer.workspace.child" in str(each.cmdline())] == []
    with workspace.session(write=True):  # which it has let go
        pass
