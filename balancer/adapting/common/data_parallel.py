"""Several processes that learn together, each on a device of its own (data parallel), by accelerate.

The first process keeps all that there is to keep: weights, optimiser, checkpoints, looks. In each step it hands its
weights and the batch to the others; each computes the gradients of its part, and they are summed. So the batch is that
of one process, and nothing but the order of sums hangs on how many there are. The others know no folder and no
collection, and end with the first one. Nothing is sent beyond this machine.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from balancer.adapting.common.device import TrainingDevice
from balancer.adapting.common.train_loop import Batch, Trainer
from balancer.devices import visible_gpus
from balancer.errors import ModelError
from balancer.offline import quieten_libraries, stay_offline
from balancer.parallel import deaf_children

_FOREVER = timedelta(days=30)  # a look at samples may take long; a process that is gone is seen at once
_PATIENCE = 10.0  # seconds in which a process that is gone is seen to be
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
Make = Callable[[TrainingDevice], Trainer]
"""Builds what learns in another process, on its device; it is sent there."""


def devices_of(machine: TrainingDevice, asked: str, workers: int, smallest_batch: int) -> list[TrainingDevice]:
    """The device of each process: one GPU each; or, where `asked` says so, the processor for all of them.

    Raises:
        ModelError: there are not so many GPUs, or fewer images in a batch than processes.
    """
    if workers == 1:
        return [machine]
    found = len(visible_gpus())
    if machine.device.type != "cuda" and asked != "cpu":
        raise _refused(
            f"{workers} GPUs", f"{machine.device.type}, and no GPU", "--workers 1; or, slowly, with --device cpu"
        )
    if machine.device.type == "cuda" and (found < workers or machine.device.index is not None):
        told = f"--device {asked}" if machine.device.index is not None else f"{found}"
        raise _refused(f"{workers} GPUs of this machine", told, f"--workers {max(1, found)} --device cuda")
    if smallest_batch < workers:
        raise _refused(f"a batch of at least {workers} images", str(smallest_batch), f"--workers {smallest_batch}")
    names = [f"cuda:{rank}" if machine.device.type == "cuda" else "cpu" for rank in range(workers)]
    return [TrainingDevice(torch.device(name), machine.bfloat16) for name in names]


def processes(workers: int, batch_size: int) -> dict[str, Any]:
    """What a card says of several processes; nothing of one.

    >>> processes(2, 8)
    {'processes': {'count': 2, 'images_in_a_step': 8, 'images_of_each': 4.0}}
    """
    if workers == 1:
        return {}
    told = {"count": workers, "images_in_a_step": batch_size, "images_of_each": batch_size / workers}
    return {"processes": told}


def _refused(needed: str, found: str, options: str) -> ModelError:
    return ModelError(
        needed=f"{needed}, for --workers", found=found, next_step=f"run the same balance adapt with {options}"
    )


@dataclass(frozen=True, slots=True)
class Team:
    """The other processes, by the ends of pipes on which they hear their parts and say what went wrong."""

    others: tuple[tuple[Connection, BaseProcess], ...]

    def gradients(self, learner: Trainer, batch: Batch) -> Tensor:
        """Leave the gradients of a whole batch in the learner's networks; gives its loss.

        Raises:
            ModelError: another process is gone.
            Exception: what another process raised.
        """
        try:
            first, *others = zip(*(tensor.tensor_split(len(self.others) + 1) for tensor in batch), strict=True)
            for (end, _), part in zip(self.others, others, strict=True):
                end.send_bytes(pickle.dumps((tuple(tensor.cpu().clone() for tensor in part), len(batch[0]))))
            found = _step(learner, first, len(batch[0]))
        except (RuntimeError, OSError) as error:
            if isinstance(error, torch.cuda.OutOfMemoryError) or not self._gone():
                raise
            raise self._lost() from error
        if found[-1]:
            raise next(end.recv() for end, _ in self.others if end.poll(1.0))
        return found[-2]

    def _gone(self) -> list[BaseProcess]:
        ended = wait([process.sentinel for _, process in self.others], timeout=_PATIENCE)
        gone = [process for _, process in self.others if process.sentinel in ended]
        for process in gone:
            process.join(_PATIENCE)  # its exit code comes a moment later
        return gone

    def _lost(self) -> ModelError:
        codes = ", ".join(str(process.exitcode) for process in self._gone())
        return ModelError(
            needed=f"{len(self.others) + 1} processes that live until the training ends",
            found=f"one that ended (exit code {codes})",
            next_step="run the same balance adapt again: it continues from the last checkpoint; if memory ran out, "
            "with a smaller --batch-size or fewer --workers, and another --name",
        )


@contextmanager
def team_of(devices: Sequence[TrainingDevice], make: Make) -> Iterator[Team | None]:
    """Processes for all devices but the first, which is that of this process; `None` where there is no other.

    Raises:
        ModelError: one of them ended before it began.
        Exception: what one of them raised.
    """
    if len(devices) < 2:
        yield None
        return
    context, threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
    shared = max(1, threads // len(devices)) if devices[0].device.type == "cpu" else threads
    others: list[tuple[Connection, BaseProcess]] = []
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/meeting"
        try:
            for rank, device in list(enumerate(devices))[1:]:
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_help, args=(theirs, rank, len(devices), meeting, shared, make, device), daemon=True
                )
                with deaf_children():  # Ctrl-C reaches this process, and it ends them
                    process.start()
                    others.append((ours, process))
                theirs.close()
            team = Team(tuple(others))
            _require_ready(team)
            with _joined(0, len(devices), meeting, shared):
                try:
                    yield team
                finally:  # before the connection ends, which they would take for an error
                    _end(others)
        finally:
            torch.set_num_threads(threads)
            _end(others)


def _end(others: list[tuple[Connection, BaseProcess]]) -> None:
    for end, process in others:
        process.terminate()
        process.join()
        end.close()
    others.clear()


def _require_ready(team: Team) -> None:
    for end, _ in team.others:
        try:
            error = end.recv()
        except (EOFError, ConnectionResetError) as gone:
            raise team._lost() from gone
        if error is not None:
            raise error


@contextmanager
def _joined(rank: int, count: int, meeting: str, threads: int) -> Iterator[None]:
    """In the block this process is one of `count`; they meet by a file, and talk over the loopback interface alone."""
    from accelerate import PartialState

    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": 1}
    changed = {name: str(value) for name, value in told.items()}
    changed |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": _LOOPBACK, "OMP_NUM_THREADS": str(threads)}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        torch.set_num_threads(threads)
        PartialState._reset_state()  # a library may have asked for it before, alone
        PartialState(cpu=True, backend="gloo", init_method=meeting, timeout=_FOREVER)
        yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        PartialState._reset_state()
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _help(
    end: Connection, rank: int, count: int, meeting: str, threads: int, make: Make, device: TrainingDevice
) -> None:
    """What another process does: its part of every batch, until the first process ends."""
    Thread(target=_end_with_parent, daemon=True).start()
    stay_offline()
    quieten_libraries()
    try:
        torch.set_num_threads(threads)
        if device.device.type == "cuda":
            torch.cuda.set_device(device.device)
        learner = make(device)
    except Exception as error:
        end.send(error)
        return
    end.send(None)
    with _joined(rank, count, meeting, threads):
        while True:
            part, whole = pickle.loads(end.recv_bytes())  # from the process that started this one
            _step(learner, tuple(tensor.to(device.device) for tensor in part), whole, end)
            learner.optimizer.zero_grad(set_to_none=True)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(0)


def _step(learner: Trainer, part: Batch, whole: int, end: Connection | None = None) -> Tensor:
    """One step of one process: gives the summed loss, and how many processes failed.

    The weights are those of the first process; the gradients of the whole batch are left in every process. The others
    say at their `end` what went wrong.
    """
    from accelerate.utils import broadcast, reduce

    weights = list(learner.networks.parameters())
    _spread(broadcast(_flat(weights)), weights)
    loss, failed = torch.zeros(()), 0.0
    try:
        loss = learner.gradients(part, whole)
    except Exception as error:
        if end is None:
            raise
        end.send(error)
        failed = 1.0
    gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
    found: Tensor = reduce(torch.cat([_flat(gradients), torch.tensor([float(loss), failed])]), "sum")
    for each, gradient in zip(weights, gradients, strict=True):
        each.grad = gradient
    _spread(found[:-2], gradients)
    return found[-2:]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """All numbers in one row, in float32, in main memory."""
    return torch.cat([tensor.detach().reshape(-1).float().cpu() for tensor in tensors])


@torch.no_grad()
def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Back to where `_flat` took them."""
    first = 0
    for tensor in tensors:
        tensor.copy_(flat[first : first + tensor.numel()].view(tensor.shape))
        first += tensor.numel()
