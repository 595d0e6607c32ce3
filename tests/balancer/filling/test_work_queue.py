"""The rules of batches that fail, without any engine."""

import numpy as np

from balancer.filling.runner import Batch, Made, SetAside
from balancer.filling.work_queue import FAILURES, LOSSES, WorkQueue
from tests.support.balanced_fixtures import make_job

BATCHES = [Batch([make_job("NODULE", index)]) for index in range(8)]


def made(batch):
    return Made(batch, np.zeros((1, 2, 2), np.uint8), "a device", {}, 1.0)


def queue(window=8, count=8):
    return WorkQueue(iter(BATCHES[:count]), window)


def order(found):
    return [each.batch.jobs[0].index for each in found]


def test_batches_come_back_in_order_whoever_is_first():
    work = queue(count=3)
    one, two, three = (work.take(worker) for worker in "abc")
    work.done("c", made(three))
    work.done("b", made(two))
    assert list(work.ready()) == []
    work.done("a", made(one))
    assert order(work.ready()) == [0, 1, 2]
    assert work.take("a") is None
    assert work.is_over


def test_no_more_are_on_their_way_than_the_window():
    work = queue(window=2)
    one, two = work.take("a"), work.take("a")
    assert work.in_hand("a") == 2
    work.done("a", made(two))
    assert work.take("b") is None
    assert not work.is_over
    work.done("a", made(one))
    assert order(work.ready()) == [0, 1]
    assert work.take("b").jobs[0].index == 2


def test_three_strikes_on_different_workers_set_a_batch_aside_by_name():
    work = queue(count=2)
    for worker in "abc":
        batch = work.take(worker, "abc")
        assert batch is BATCHES[0]
        work.failed(worker, batch, f"wrong on {worker}")
    (aside,) = work.ready()
    assert isinstance(aside, SetAside)
    assert (aside.batch.name, aside.reason) == ("NODULE, images 0 to 0", "wrong on c")
    assert work.take("a") is BATCHES[1]


def test_a_batch_that_failed_goes_to_another_worker_while_there_is_one():
    work = queue(count=2)
    work.failed("a", work.take("a", "ab"), "wrong")
    assert work.take("a", "ab") is BATCHES[1]
    assert work.take("b", "ab") is BATCHES[0]
    work.failed("b", BATCHES[0], "wrong")
    assert work.take("a", "ab") is BATCHES[0]  # both were struck


def test_one_worker_alone_is_not_asked_for_ever():
    work = queue(count=1)
    for _ in range(FAILURES):
        work.failed("a", work.take("a", "a"), "wrong")
    assert isinstance(next(work.ready()), SetAside)
    assert work.repeated == FAILURES - 1


def test_a_lost_worker_burns_no_strikes_and_its_batches_keep_their_order():
    work = queue(count=3)
    for worker in "abcabc":
        assert [work.take(worker), work.take(worker)] == BATCHES[:2]
        assert work.lost(worker, "killed") == 2
    assert list(work.ready()) == []
    assert [work.take("d") for _ in range(3)] == BATCHES[:3]


def test_a_batch_that_ends_every_worker_is_set_aside_and_those_behind_it_are_not():
    work = queue(count=2)
    for _ in range(LOSSES):
        assert [work.take("a"), work.take("a")] == BATCHES[:2]
        work.lost("a", "killed")
    assert isinstance(next(work.ready()), SetAside)
    assert work.take("a") is BATCHES[1]
    work.done("a", made(BATCHES[1]))
    assert order(work.ready()) == [1]
    assert work.take("a") is None
    assert work.is_over
