"""Train in processes side by side that share cores, memory and GPUs."""

from __future__ import annotations

import os
import signal
import tempfile
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context

import torch

from cvtrain.process.forkable import usable_threads
from cvtrain.process.lifetime import exit_with_parent
from cvtrain.process.limits import check_process_count
from cvtrain.process.signals import children_shielded_from_ctrl_c, interruption
from cvtrain.sweeps.executors.executor import Executor, Outcome, WorkerLost, check_count
from cvtrain.sweeps.executors.worker import train_in_worker
from cvtrain.training.job import Job


class Processes(Executor):
    """Executor with worker processes on this machine.

    Args:
        workers: number of processes; each has its share of the cores, and one GPU if there are any.
        forked: whether the processes are forks of this one (`cvtrain.process.forkable`), which
            start when the executor is opened; otherwise a new process starts with its first job.

    Raises:
        InputError: the number of processes is not valid.
    """

    def __init__(self, workers: int, forked: bool = False) -> None:
        check_count("hydra.launcher.workers", workers)
        check_process_count("hydra.launcher.workers", workers)
        self.workers = self.sharing = workers
        self.forked = forked
        self.threads = self._each = max(1, usable_threads() // workers)
        self._free: list[_Worker] = []
        self._busy: dict[Future[Outcome], tuple[int, _Worker]] = {}

    def open(self) -> None:
        """Create the workers, and start those that are forks, unless this was done before."""
        if self._free:
            return
        self._free = [_Worker(number, self._each) for number in range(self.workers)]
        for worker in self._free if self.forked else ():
            worker.begin("fork")

    def close(self) -> None:
        """Let the processes end their step, and end them."""
        self.interrupt()
        for worker in (*self._free, *(worker for _, worker in self._busy.values())):
            worker.stop()
        self._free, self._busy = [], {}

    def start(self, number: int, job: Job) -> None:
        """Give a free process the job."""
        worker = self._free.pop()
        self._busy[worker.submit(job)] = number, worker

    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """Outcomes of jobs that have ended; a lost process is replaced by a new one."""
        done, _ = wait(self._busy, timeout=seconds, return_when=FIRST_COMPLETED)
        ended = []
        for future in done:
            number, worker = self._busy.pop(future)
            outcome = _outcome(future)
            if isinstance(outcome, WorkerLost):
                worker.replace()
            self._free.append(worker)
            ended.append((number, outcome))
        return ended

    def interrupt(self) -> None:
        """Send SIGTERM to the processes that train."""
        for _, worker in self._busy.values():
            worker.interrupt()


def _outcome(future: Future[Outcome]) -> Outcome:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        return WorkerLost("the process that trained was lost (killed, or out of memory)")
    return error or future.result()


class _Worker:
    """A worker process that is replaced by a new one if it dies.

    It is a pool of one process, so that a broken pool affects no other worker.
    """

    def __init__(self, number: int, threads: int) -> None:
        self._number, self._threads = number, threads
        self._pool: ProcessPoolExecutor | None = None
        self._pid: Future[int] | None = None

    def begin(self, method: str) -> None:
        """Start the process, by one of the methods of `multiprocessing`."""
        prepared = self._number, self._threads, tempfile.gettempdir()
        self._pool = ProcessPoolExecutor(1, get_context(method), _prepare_worker, prepared)
        with children_shielded_from_ctrl_c():
            self._pid = self._pool.submit(os.getpid)

    def submit(self, job: Job) -> Future[Outcome]:
        if self._pool is None:
            # No fork: threads of this process may hold locks by now, and CUDA would not survive.
            self.begin("spawn")
        assert self._pool is not None
        return self._pool.submit(train_in_worker, job)

    def interrupt(self) -> None:
        with suppress(ProcessLookupError, BrokenProcessPool):
            if self._pid is not None:
                os.kill(self._pid.result(), signal.SIGTERM)

    def replace(self) -> None:
        self.stop()
        self._pool = self._pid = None

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(number: int, threads: int, temporary: str) -> None:
    tempfile.tempdir = temporary
    torch.set_num_threads(threads)
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if devices is None:
        known = [str(index) for index in range(torch.cuda.device_count())]
    else:
        known = [name for name in devices.split(",") if name]
    if known:
        os.environ["CUDA_VISIBLE_DEVICES"] = known[number % len(known)]
    exit_with_parent()
    signal.signal(signal.SIGTERM, interruption.note)
