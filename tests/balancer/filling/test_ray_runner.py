"""Real workers of Ray: the tree is that of one process, whatever happens to them. Slow: Ray takes seconds to start."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from balancer import FillSettings, NoScreen, ScanSettings, Workspace, fill, scan
from balancer.errors import GenerationError, ModelError
from balancer.filling.ray_runner import RayRunner
from balancer.filling.runner import Batch, SetAside
from conftest import make_collection
from tests.support.all_commands import can_be_apart
from tests.support.balanced_fixtures import make_job
from tests.support.cli_process import environment, tree_hash
from tests.torture import noise_generator

pytestmark = pytest.mark.slow
BATCHES = [Batch([make_job("NODULE", 2 * index), make_job("NODULE", 2 * index + 1)]) for index in range(8)]


@pytest.fixture(autouse=True)
def _needs_ray(monkeypatch):
    if find_spec("ray") is None:  # to import it here would be before its settings are made
        pytest.skip("needs Ray: pip install 'xray-balancer[ray]'")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@dataclass
class Painter:
    """Paints a job's index. `wrong` are indices that fail on each worker; `deadly` kill the first worker that comes."""

    wrong: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    place: str = ""
    ours: bool = False
    made: list = field(default_factory=list)

    def __call__(self):
        return self

    def generate(self, jobs):
        for job in jobs:
            if job.index in self.wrong:
                if self.ours:
                    raise GenerationError(needed="another seed", found="seed 2", next_step="balance fill --seed 1")
                raise RuntimeError(f"no luck with {job.index}")
            if job.index in self.deadly:
                try:
                    Path(self.place, str(job.index)).touch(exist_ok=False)
                    os.kill(os.getpid(), signal.SIGKILL)
                except FileExistsError:
                    pass
        return [np.full((4, 4), job.index, np.uint8) for job in jobs]


def run(painter, workers=2):
    with RayRunner("cpu", workers) as runner:
        return list(runner(painter, iter(BATCHES)))


def indices(found):
    return [each.images[:, 0, 0].tolist() if not isinstance(each, SetAside) else each.batch.name for each in found]


WHOLE = [[2 * index, 2 * index + 1] for index in range(8)]


def test_a_fill_by_workers_has_the_tree_of_one_in_this_process(tmp_path):
    for name, more in (("one", {}), ("many", {"engine": "ray", "workers": 2})):
        (tmp_path / name).mkdir()
        make_collection(tmp_path / name / "xrays", {"normal": 9, "nodule": 5})
        scan(Workspace.open(tmp_path / name), ScanSettings(tmp_path / name / "xrays"))
        settings = FillSettings(target="12", model="noise:4", batch_size="4", **more)
        fill(Workspace.open(tmp_path / name), settings, screen=NoScreen("test"))
    for place in ("xrays-balanced", ".balance/candidates"):
        assert tree_hash(tmp_path / "one" / place) == tree_hash(tmp_path / "many" / place)


def test_workers_that_are_killed_lose_nothing(tmp_path):
    assert indices(run(Painter(deadly=(2, 9), place=str(tmp_path)))) == WHOLE


def test_a_batch_that_fails_everywhere_is_set_aside_by_name():
    found = run(Painter(wrong=(5,)), workers=3)
    assert indices(found) == [*WHOLE[:2], "NODULE, images 4 to 5", *WHOLE[3:]]
    assert "no luck with 5" in found[2].reason


def test_an_error_of_our_own_stops_at_once_with_its_message():
    with pytest.raises(GenerationError) as found:
        run(Painter(wrong=(2,), ours=True))
    assert (found.value.found, found.value.next_step) == ("seed 2", "balance fill --seed 1")


def of_a_plug_in():
    raise ModuleNotFoundError("No module named 'their_plug_in'")


class PlugIn:
    """Comes from a package that is here and not there."""

    def __reduce__(self):
        return of_a_plug_in, ()


def test_a_plug_in_that_workers_lack_is_a_message():
    with pytest.raises(GenerationError, match="same packages and plug-ins") as found:
        run(PlugIn())
    assert "No module named 'their_plug_in'" in found.value.found


def test_other_weights_on_a_worker_are_refused(tmp_path, checkpoint):
    from balancer.generators.blueprint import StableDiffusionBlueprint
    from balancer.generators.models.checkpoint import find_checkpoint
    from balancer.generators.sampling import SamplingOptions, resolve_config
    from tests.support.tiny_models import write_pipeline

    other = find_checkpoint(str(write_pipeline(tmp_path / "m")))
    config = resolve_config(other, None, SamplingOptions(steps=2, device="cpu"))
    blueprint = StableDiffusionBlueprint(other, None, config, "cpu")
    file = next((tmp_path / "m" / "unet").glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="the same weights of m"):
        run(blueprint, workers=1)


def test_nothing_is_left_running():
    before = {each.pid for each in psutil.process_iter()}
    run(Painter(), workers=1)
    left = [each for each in psutil.Process().children(recursive=True) if each.pid not in before]
    assert [each for each in left if "ray" in " ".join(each.cmdline())] == []


FILL = """
import sys
from balancer import FillSettings, NoScreen, Workspace, fill
sys.path.insert(0, sys.argv[2])
settings = FillSettings(target="12", model="traced:4", batch_size="4", engine="ray", workers=1)
fill(Workspace.open(sys.argv[1]), settings, screen=NoScreen("test"))
"""


def test_no_connection_leaves_this_machine(tmp_path):
    if not can_be_apart():
        pytest.skip("needs unshare, strace, ip and the permission to use them")
    make_collection(tmp_path / "xrays", {"normal": 9, "nodule": 5})
    scan(Workspace.open(tmp_path), ScanSettings(tmp_path / "xrays"))
    noise_generator.install(tmp_path / "site", "traced")
    log = tmp_path / "calls"
    apart = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    traced = ["strace", "-f", "-qq", "-e", "trace=connect", "-e", "signal=none", "-o", str(log)]
    program = [sys.executable, "-c", FILL, str(tmp_path), str(tmp_path / "site")]
    left_out = ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE")
    own = {name: value for name, value in environment().items() if name not in left_out}
    subprocess.run([*apart, *traced, *program], env=own, check=True, capture_output=True)
    tried = [line for line in log.read_text("utf-8", "replace").splitlines() if "sa_family=AF_INET" in line]
    assert tried
    assert [line for line in tried if "127.0.0.1" not in line] == []
