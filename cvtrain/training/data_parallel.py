"""One run in several processes: each computes the gradient of its share of every batch.

`torch.nn.parallel.DistributedDataParallel` averages the gradients; shares are weighted so that the
average is the gradient of the whole batch. The first process records; the others have the same
weights at every step, and record into a directory that is thrown away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cvtrain.process.errors import InputError
from cvtrain.process.lifetime import exit_with_parent
from cvtrain.process.scratch import scratch_directory
from cvtrain.process.signals import ctrl_c_kept_from_children, interruption

TIMEOUT = timedelta(minutes=10)
"""Of what the processes do together; a process that dies is noticed at once."""
END_SECONDS = 30.0

Work = Callable[[Path], object]


def devices_wanted(trainer: Mapping[str, Any]) -> int:
    """How many processes `trainer.devices` asks for.

    Raises:
        InputError: it is no number of devices.
    """
    wanted = trainer.get("devices", 1)
    if wanted in ("auto", "1"):
        return 1
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise InputError(f"trainer.devices={wanted}: should be an integer of at least 1")
    return wanted


def check_data_parallel(trainer: Mapping[str, Any], model: nn.Module) -> None:
    """Refuse what several processes would train differently from one.

    Raises:
        InputError: the network has buffers.
    """
    devices = devices_wanted(trainer)
    named = next((name for name, _ in model.named_buffers()), None)
    if devices > 1 and named is not None:
        raise InputError(
            f"trainer.devices={devices}: the network keeps {named}, which every process would fill"
            " from its share of a batch alone; train it with trainer.devices=1"
        )


@contextmanager
def processes_beside(
    devices: int, cuda: bool, work: Work, root: Path, kept: Path
) -> Iterator[None]:
    """Let `devices - 1` more processes do the same work, in a process group with this one.

    Args:
        devices: in all; with one there is nothing beside this process.
        cuda: whether each has a GPU, in the order of their numbers.
        work: of each other process, called with a directory of its own in the place of `root`.
        root: where this process works.
        kept: a directory below `root` that the others get a copy of, if it exists.

    Raises:
        InputError: this build of torch does not average complex gradients rightly.
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
            if kept.is_dir():
                shutil.copytree(kept, copy / kept.relative_to(root))
        store = folder / "store"
        others = [
            context.Process(
                target=_work_beside, args=(rank, devices, cuda, share, store, work, copy)
            )
            for rank, copy in enumerate(copies, start=1)
        ]
        with ctrl_c_kept_from_children():
            for other in others:
                other.start()
        torch.set_num_threads(share)
        try:
            _join(0, devices, cuda, store)
            yield
        except BaseException:
            for other in others:
                other.kill()
            raise
        finally:
            torch.set_num_threads(threads)
            if dist.is_initialized():
                dist.destroy_process_group()
            for other in others:
                other.join(END_SECONDS)
                other.kill()


def _work_beside(
    rank: int, devices: int, cuda: bool, threads: int, store: Path, work: Work, directory: Path
) -> None:
    exit_with_parent()
    torch.set_num_threads(threads)
    # The first process tells; two accounts of one failure would be one too many.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
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
            f"trainer.devices={devices}: DistributedDataParallel of torch {torch.__version__} gives"
            f" complex gradients that are {error:.2g} of their size off (their imaginary parts were"
            " lost by some versions, pytorch issue 158753); use trainer.devices=1"
        )


def averaging_error(device: torch.device) -> float:
    """How far gradients of a complex layer, averaged over the process group, are from those of
    the whole batch, relative to their largest entry; infinite where there are none."""
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
        ((mine - right).abs().max() / right.abs().max()).item()
        for mine, right in zip(averaged, whole, strict=True)
    ]
    return max(errors)


class Shares:
    """A network whose batches are shared out in the process group.

    Args:
        model: on its device.

    Attributes:
        stop: whether a signal asks all processes to leave after this step.
        wants_to_end: whether a callback of this process ended training.
        ends: whether a callback of any process had done so before this step; all end together.
    """

    def __init__(self, model: nn.Module) -> None:
        self._rank, self._devices = dist.get_rank(), dist.get_world_size()
        self._model = DistributedDataParallel(model)
        self.stop = False
        self.wants_to_end = self.ends = False

    def loss(self, indices: Tensor, loss: Callable[[nn.Module, Tensor], Tensor]) -> Tensor:
        """The mean loss of a batch: its value is that of the whole batch, its gradient that of
        this process's share, weighted so that the mean over processes is that of the batch.

        Args:
            indices: samples of the batch, [batch].
            loss: mean loss of some samples, by a network.
        """
        mine = indices[self._rank :: self._devices]
        weight = self._devices * len(mine) / len(indices)
        # With more processes than samples some compute a loss that does not count.
        share = weight * loss(self._model, mine if len(mine) else indices[:1])
        asked = float(self._rank == 0 and interruption.requested is not None)
        wants = torch.tensor([asked, float(self.wants_to_end)], dtype=torch.float64)
        agreed = torch.cat([share.detach().double().reshape(1), wants.to(share.device)])
        dist.all_reduce(agreed)
        self.stop, self.ends = bool(agreed[1] > 0), bool(agreed[2] > 0)
        mean = (agreed[0] / self._devices).to(share.dtype)
        return share + (mean - share.detach())
