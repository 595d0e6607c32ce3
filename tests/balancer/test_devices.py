import pytest
import torch

from balancer import devices
from balancer.devices import choose_device, use_cores


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_networks_have_no_more_threads_than_the_process_has_cores(threads, monkeypatch):
    threads(4)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    assert choose_device("cpu") == "cpu"
    assert torch.get_num_threads() == 3


def test_fewer_threads_that_someone_chose_stay(threads, monkeypatch):
    threads(1)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    use_cores()
    assert torch.get_num_threads() == 1
