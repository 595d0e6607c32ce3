"""What is decided before Ray is started; what Ray does itself is in test_ray_runner.py, which is slow."""

import builtins
import socket
import sys
import time
import types

import pytest

from balancer.errors import GenerationError, SettingsError
from balancer.filling.ray_cluster import RayCluster, address_of, ray_cluster, silence
from balancer.filling.ray_runner import RayRunner


def test_no_cluster_is_joined_that_the_user_did_not_name():
    assert address_of({}) is None
    assert address_of({"RAY_ADDRESS": "local"}) is None
    assert address_of({"RAY_ADDRESS": "10.0.0.1:6379"}) == "10.0.0.1:6379"
    with pytest.raises(SettingsError, match="joins any cluster"):
        address_of({"RAY_ADDRESS": "auto"})
    with pytest.raises(SettingsError, match="token authentication"):
        address_of({"RAY_ADDRESS": "10.0.0.1:6379", "RAY_AUTH_MODE": "disabled"})


def test_a_token_of_our_own_is_for_this_machine_alone():
    settings = {"RAY_USAGE_STATS_ENABLED": "1", "RAY_AUTH_MODE": "disabled"}
    silence(settings, joined=True)
    assert (settings["RAY_USAGE_STATS_ENABLED"], settings["RAY_AUTH_MODE"]) == ("0", "token")
    assert "RAY_AUTH_TOKEN" not in settings
    tokens = [{}, {}]
    for each in tokens:
        silence(each, joined=False)
    assert tokens[0]["RAY_AUTH_TOKEN"] != tokens[1]["RAY_AUTH_TOKEN"]


@pytest.fixture
def environment(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")
    return monkeypatch


def test_without_ray_a_message_says_how_to_get_it(environment):
    usual = builtins.__import__

    def refuse(name, *more, **options):
        if name == "ray":
            raise ImportError(name)
        return usual(name, *more, **options)

    environment.setattr(builtins, "__import__", refuse)
    with pytest.raises(SettingsError, match="not installed") as found, ray_cluster(1, "cpu"):
        pass
    assert "pip install 'xray-balancer[ray]'" in found.value.next_step


def test_an_old_ray_is_refused(environment):
    environment.setitem(sys.modules, "ray", types.SimpleNamespace(__version__="2.9.3"))
    with pytest.raises(SettingsError, match=r"Ray 2\.9\.3"), ray_cluster(1, "cpu"):
        pass


class FullError(Exception):
    pass


class FullDiskError(Exception):
    pass


def stand_in(says=None, **resources):
    """A package that starts nothing: what its `init` says is what Ray says."""

    def init(**settings):
        if says is not None:
            raise RuntimeError(says)

    errors = types.SimpleNamespace(RayError=OSError, ObjectStoreFullError=FullError, OutOfDiskError=FullDiskError)
    found = {"init": init, "shutdown": lambda: None, "cluster_resources": lambda: resources}
    return types.SimpleNamespace(__version__="2.60.0", exceptions=errors, **found)


@pytest.fixture
def address():
    """Where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "{}:{}".format(*server.getsockname())


def test_an_address_where_nobody_answers_is_said_at_once(environment, address):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = "{}:{}".format(*server.getsockname())
    environment.setenv("RAY_ADDRESS", closed)
    environment.setitem(sys.modules, "ray", stand_in(CPU=4.0))
    with pytest.raises(GenerationError, match=f"no answer from {closed}") as found, ray_cluster(1, "cpu"):
        pass
    assert "check RAY_ADDRESS" in found.value.next_step
    environment.setenv("RAY_ADDRESS", address)
    with ray_cluster(1, "cpu") as cluster:
        assert cluster.joined


@pytest.mark.parametrize(
    ("says", "device", "words", "step"),
    [
        (
            "Version mismatch: The cluster was started with:\n Ray: 2.50.0",
            "cpu",
            "Ray: 2.50.0",
            "pip install ray==2.60.0",
        ),
        ("could not reach it", "cpu", "could not reach it", "check RAY_ADDRESS"),
        (None, "cuda", "no GPU", "balance compare --engine ray --device cpu"),
    ],
)
def test_a_cluster_that_will_not_do_is_a_message(environment, address, says, device, words, step):
    environment.setenv("RAY_ADDRESS", address)
    environment.setitem(sys.modules, "ray", stand_in(says, CPU=4.0))
    with pytest.raises(GenerationError) as found, ray_cluster(1, device, "balance compare"):
        pass
    assert words in found.value.found
    assert step in found.value.next_step


@pytest.mark.parametrize("error", [FullError, FullDiskError])
def test_a_full_object_store_is_a_message(error):
    with (
        pytest.raises(GenerationError, match="object store") as found,
        RayCluster(stand_in(), True).room("balance fill"),
    ):
        raise error("no room")
    assert "balance fill --engine ray --workers 1" in found.value.next_step


def test_a_fill_that_waits_for_a_worker_says_so_once_and_then_stops():
    said = []
    runner = RayRunner("cpu", 1, said.append)
    runner._last_seen = time.monotonic() - 61
    runner._require_a_worker()
    runner._require_a_worker()
    assert len(said) == 1
    assert "No worker is there yet" in said[0]
    runner._last_seen -= 1800
    with pytest.raises(GenerationError, match="none within 30 minutes"):
        runner._require_a_worker()
