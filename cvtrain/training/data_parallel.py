"""Train one run in several processes, each of which computes the gradient of its share of a batch.

`torch.nn.parallel.DistributedDataParallel` averages the gradients; shares are weighted such that
the average is the gradient of the whole batch. The first process records the run; the others have
the same weights at every step and record into temporary directories.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cvtrain.process.errors import InputError
from cvtrain.process.lifetime import exit_with_parent, scratch_directory
from cvtrain.process.signals import children_shielded_from_ctrl_c, interruption

TIMEOUT = timedelta(minutes=10)
"""Time limit of collective operations; the death of a process is noticed at once."""
END_SECONDS = 30.0
"""Seconds that processes may take to end before they are killed."""
STARTED_SECONDS = 0.02
"""Seconds between two looks at whether a process has started; its end is noticed at once."""
FREEING_SECONDS = 0.2
"""Seconds in which a thread of a process group frees its last work."""

Work = Callable[[Path], object]


def devices_wanted(trainer: Mapping[str, Any]) -> int:
    """The number of processes that `trainer.devices` requests.

    Raises:
        InputError: the value is not a number of devices.
    """
    wanted = trainer.get("devices", 1)
    if wanted in ("auto", "1"):
        return 1
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise InputError(f"trainer.devices={wanted}: should be an integer of at least 1")
    return wanted


def check_data_parallel(trainer: Mapping[str, Any], model: nn.Module) -> None:
    """Check that several processes train the network as one process would.

    Raises:
        InputError: there are several devices, and the network has buffers.
    """
    devices = devices_wanted(trainer)
    named = next((name for name, _ in model.named_buffers()), None)
    if devices > 1 and named is not None:
        raise InputError(
            f"trainer.devices={devices}: should be 1, as the network has the buffer {named}, which"
            " every process would update from its share of a batch alone"
        )


@contextmanager
def processes_beside(
    devices: int, cuda: bool, work: Work, root: Path, copied: Path
) -> Iterator[None]:
    """Context with `devices - 1` further processes that do the same work in a common process group.

    Args:
        devices: number of processes, including this one; with 1 none is started.
        cuda: whether process number i uses GPU number i.
        work: function that each further process calls, with its own directory instead of `root`.
        root: directory in which this process works.
        copied: directory below `root` that is copied for the others, if it exists.

    Raises:
        InputError: this build of torch averages complex gradients wrongly.
        RuntimeError: a further process ended before it could join.
    """
    if devices == 1 or dist.is_initialized():
        yield
        return
    threads = torch.get_num_threads()
    share = max(1, threads // devices)
    context = get_context("spawn")
    with scratch_directory() as folder:
        copies = [folder / str(rank) for rank in range(1, devices)]
        for copy in copies:
            if copied.is_dir():
                shutil.copytree(copied, copy / copied.relative_to(root))
        store = folder / "store"
        others = [
            context.Process(
                target=_work_beside, args=(rank, devices, cuda, share, store, work, copy)
            )
            for rank, copy in enumerate(copies, start=1)
        ]
        with children_shielded_from_ctrl_c():
            for other in others:
                other.start()
        torch.set_num_threads(share)
        try:
            _wait_until_started(others, store)
            _join(0, devices, cuda, store)
            yield
        except BaseException:
            for other in others:
                other.kill()
            raise
        finally:
            torch.set_num_threads(threads)
            leave_group()
            for other in others:
                other.join(END_SECONDS)
                other.kill()


def _wait_until_started(others: Sequence[BaseProcess], store: Path) -> None:
    """Wait until all processes are about to join the group: joining waits `TIMEOUT` for a dead one.

    Raises:
        RuntimeError: a process ended before.
    """
    for rank, process in enumerate(others, start=1):
        while not _started(store, rank).exists():
            ended = process.exitcode
            if ended is not None:
                how = f"signal {-ended}" if ended < 0 else f"exit status {ended}"
                raise RuntimeError(
                    f"process {rank + 1} of {len(others) + 1} ended with {how} before training"
                )
            process.join(STARTED_SECONDS)


def _started(store: Path, rank: int) -> Path:
    """The file by which a process reports that it is about to join the group."""
    return store.with_name(f"{store.name}.{rank}")


def leave_group() -> None:
    """Leave the process group, if there is one.

    A thread of gloo takes the GIL to free the work that it did last. Python waits for that thread,
    with the GIL held, when it frees the last object that refers to the group: for ever, if the
    thread has not come that far (seen with torch 2.13).
    """
    if dist.is_initialized():
        time.sleep(FREEING_SECONDS)  # without the GIL
        dist.destroy_process_group()


def _work_beside(
    rank: int, devices: int, cuda: bool, threads: int, store: Path, work: Work, directory: Path
) -> None:
    exit_with_parent()
    torch.set_num_threads(threads)
    # Only the first process reports failures, so that they are not reported twice.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    _started(store, rank).touch()
    _join(rank, devices, cuda, store)
    work(directory)


def _join(rank: int, devices: int, cuda: bool, store: Path) -> None:
    if cuda:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=devices,
        timeout=TIMEOUT,
    )
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    error = averaging_error(device)
    if not error < 1e-5:
        raise InputError(
            f"trainer.devices={devices}: should be 1, as DistributedDataParallel of torch"
            f" {torch.__version__} gives complex gradients with a relative error of {error:.2g}"
            " (their imaginary parts were lost in some versions, pytorch issue 158753)"
        )


def averaging_error(device: torch.device) -> float:
    """Largest difference between the gradients of a complex layer averaged over the process group
    and those of the whole batch, relative to their largest entry."""
    rank, devices = dist.get_rank(), dist.get_world_size()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2, dtype=torch.complex64)
        inputs = torch.randn(2 * devices, 3, dtype=torch.complex64).to(device)
    layer = layer.to(device)

    def gradients(batch: Tensor, network: nn.Module) -> list[Tensor]:
        layer.zero_grad()
        torch.autograd.backward((network(batch) - (1 + 2j)).abs().square().mean())
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in layer.parameters()]

    whole = [gradient.clone() for gradient in gradients(inputs, layer)]
    averaged = gradients(inputs[rank::devices], DistributedDataParallel(layer))
    errors = [
        ((average - exact).abs().max() / exact.abs().max()).item()
        for average, exact in zip(averaged, whole, strict=True)
    ]
    return max(errors)


class Shares:
    """Divides the batches of a network among the processes of the group.

    Args:
        model: the network, on its device.

    Attributes:
        stop: whether a signal asks all processes to end training after this step.
        wants_to_end: whether a callback of this process ended training; set by the caller.
        ends: whether a callback of any process had ended training before this step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._rank, self._devices = dist.get_rank(), dist.get_world_size()
        self._model = DistributedDataParallel(model)
        self.stop = False
        self.wants_to_end = self.ends = False

    def loss(
        self,
        indices: Tensor,
        loss: Callable[[nn.Module, Tensor], Tensor],
        weights: Tensor | None = None,
    ) -> Tensor:
        """The mean loss of a batch. Its value is that of the whole batch. Its gradient is that of
        this process's share, weighted such that the mean over processes is the gradient of the
        batch.

        Args:
            indices: samples of the batch, [batch].
            loss: function that computes the mean loss of a network on samples, with their weights
                if any.
            weights: weights of the samples, [batch]; None: all equal.
        """
        own = indices[self._rank :: self._devices]
        weight: float | Tensor = self._devices * len(own) / len(indices)
        if weights is not None:
            total = weights.sum()
            weight = self._devices * weights[own].sum() / torch.where(total > 0, total, 1)
        # With more processes than samples, some compute a loss that has the weight 0.
        share = weight * loss(self._model, own if len(own) else indices[:1])
        asked = float(self._rank == 0 and interruption.requested is not None)
        wants = torch.tensor([asked, float(self.wants_to_end)], dtype=torch.float64)
        agreed = torch.cat([share.detach().double().reshape(1), wants.to(share.device)])
        dist.all_reduce(agreed)
        self.stop, self.ends = bool(agreed[1] > 0), bool(agreed[2] > 0)
        mean = (agreed[0] / self._devices).to(share.dtype)
        return share + (mean - share.detach())
