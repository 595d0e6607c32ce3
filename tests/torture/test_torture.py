"""A taste of each attack; `make torture` runs them at length."""

import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from balancer.errors import OutOfMemory
from balancer.filling.runner import Batch, LocalRunner
from balancer.generators.plugins import _Checked
from tests.support.balanced_fixtures import make_job
from tests.torture.fault_messages import FAULTS
from tests.torture.forked import Ended
from tests.torture.kills import _require_stopped
from tests.torture.noise_generator import Free

ROOT = Path(__file__).parents[2]


def attack(module, *arguments):
    command = [sys.executable, "-m", f"tests.torture.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kills", "names"),
    [
        ("1", ("fill-more", "unmerge")),
        pytest.param("3", ("scan", "split", "fill-more", "merge", "unmerge"), marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments_all_end_as_undisturbed(kills, names):
    assert attack("kills", kills, *names).count("nothing lost") == len(names)


@pytest.mark.slow
def test_killed_while_learning_it_ends_with_the_same_weights():
    assert "nothing lost" in attack("kills", "1", "adapt-base")


@pytest.mark.slow
def test_stopped_by_a_signal_they_say_how_to_go_on():
    assert attack("kills", "--signals", "1", "fill").count("nothing lost") == 2


@pytest.mark.skipif(not shutil.which("cc"), reason="takes a C compiler")
@pytest.mark.parametrize(
    ("stride", "names"), [("397", ("unmerge",)), pytest.param("97", ("fill", "unmerge"), marks=pytest.mark.slow)]
)
def test_a_disk_that_fails_at_any_call_is_a_message_and_nothing_is_lost(stride, names):
    for told in attack("failing", stride, *names).splitlines():
        assert "refused, and completed" in told


def test_a_cut_ledger_is_made_anew_from_what_is_certain():
    assert attack("damaged", "0", "cut at 60%").count("set aside and made anew") == 1


@pytest.mark.slow
def test_a_damaged_ledger_is_made_anew_from_what_is_certain():
    told = attack("damaged", "1", "emptied", "cut at 60%", "without verdicts", "another job", "page 0 of noise")
    assert told.count("set aside and made anew") == 5
    assert "pages: {'found': " in attack("damaged", "--found", "200")


@pytest.mark.slow
def test_every_fault_is_a_message_of_three_parts_with_its_exit_code():
    told = attack("fault_messages")
    assert told.count("next:   ") == told.count("exit 2") == len(FAULTS) - 2
    assert told.count("exit 130") == 2


@pytest.mark.slow
def test_a_small_disk_is_refused_and_never_half_filled():
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small disk here")
    assert attack("disks").count("refused") == 4


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'xray-balancer[ray]'")
def test_workers_and_drivers_of_a_cluster_that_are_killed_lose_nothing():
    assert "2 workers and 1 drivers killed in" in attack("engine_kills", "2", "1")


def test_a_stop_without_advice_is_no_stop():
    with pytest.raises(AssertionError):
        _require_stopped(Ended(130, "Stopped", 0.1), signal.SIGINT)
    with pytest.raises(AssertionError):
        _require_stopped(Ended(1, "run again: balance fill", 0.1), signal.SIGTERM)


def test_a_batch_that_does_not_fit_on_the_device_is_halved_and_its_images_are_the_same():
    jobs = [make_job("NODULE", index) for index in range(8)]
    whole, halved = (
        next(LocalRunner()(lambda fit=fit: _Checked("free", Free(fit, "cpu", ROOT)), [Batch(jobs)]))
        for fit in ("8", "3")
    )
    assert halved.images.tobytes() == whole.images.tobytes()
    with pytest.raises(OutOfMemory, match="--device cpu"):
        next(LocalRunner()(lambda: _Checked("free", Free("0", "cpu", ROOT)), [Batch(jobs)]))
