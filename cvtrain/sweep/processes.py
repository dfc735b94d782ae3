"""Stacks trained side by side, each in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process

import torch

from cvtrain.engine.train import StackJob, train
from cvtrain.errors import Interrupted, first_line
from cvtrain.interruption import interruption
from cvtrain.record.run_file import RunRecord

Outcome = list[RunRecord] | Exception
ATTEMPTS = 3
"""Of a job whose worker is lost every time."""
POLL_SECONDS = 0.2
"""Between two looks at whether a signal came."""


class WorkerLost(Exception):
    """The process that trained was killed, or died."""


def train_side_by_side(
    jobs: Sequence[StackJob],
    workers: int,
    begun: Callable[[int], None],
    ended: Callable[[int, Outcome], None],
) -> None:
    """Train jobs in as many processes at a time; cores and GPUs are shared out among them.

    A worker that is lost costs what its runs trained since their last checkpoint: another one goes
    on with them. The others do not notice.

    Args:
        jobs: what to train.
        workers: processes.
        begun, ended: called, in this process, with a job's position in `jobs`; what `ended` raises
            ends the others too, after their current step.

    Raises:
        Interrupted: SIGINT or SIGTERM came; every worker has finished its step and saved it.
        StorageFailed: a worker's directories cannot be written any more.
    """
    waiting, lost = deque(range(len(jobs))), Counter[int]()
    every = [_Worker(place, workers) for place in range(min(workers, len(jobs)))]
    free, running = list(every), dict[Future[Outcome], tuple[int, _Worker]]()
    told = False
    with interruption.deferred():
        try:
            while running or (waiting and not told):
                while waiting and free and not told:
                    number, worker = waiting.popleft(), free.pop()
                    if not lost[number]:
                        begun(number)
                    running[worker.submit(jobs[number])] = number, worker
                if interruption.requested is not None and not told:
                    told = True
                    for _, worker in running.values():
                        worker.interrupt()
                done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    number, worker = running.pop(future)
                    free.append(worker)
                    outcome = _outcome(future)
                    if isinstance(outcome, WorkerLost) and not told:
                        lost[number] += 1
                        worker.start()
                        if lost[number] < ATTEMPTS:
                            waiting.appendleft(number)
                            continue
                    if outcome is not None and not (told and isinstance(outcome, WorkerLost)):
                        ended(number, outcome)
        finally:
            for worker in every:
                worker.stop(worker in (busy for _, busy in running.values()))
    interruption.check()


def _outcome(future: Future[Outcome]) -> Outcome | None:
    """What a worker returned; None where it was interrupted.

    Raises:
        BaseException: what ends the sweep.
    """
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool):
        return WorkerLost("the process that trained was lost (killed, or out of memory)")
    if isinstance(error, Interrupted):
        return None
    raise error


class _Worker:
    """One process, and one more in its place where it is lost.

    A pool of one: what breaks it breaks no other.
    """

    def __init__(self, place: int, workers: int) -> None:
        self._place, self._workers = place, workers
        self.start()

    def start(self) -> None:
        # Not a fork: threads of this process may hold locks, and CUDA would not survive it.
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), _prepare_worker, (self._place, self._workers)
        )
        self._pid = self._pool.submit(os.getpid)

    def submit(self, job: StackJob) -> Future[Outcome]:
        return self._pool.submit(_train, job)

    def interrupt(self) -> None:
        """Ask it to finish its step, save it and leave."""
        with suppress(ProcessLookupError, BrokenProcessPool):
            os.kill(self._pid.result(), signal.SIGTERM)

    def stop(self, busy: bool) -> None:
        if busy:
            self.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker(place: int, workers: int) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    known = devices.split(",") if devices else [str(i) for i in range(torch.cuda.device_count())]
    if known:
        os.environ["CUDA_VISIBLE_DEVICES"] = known[place % len(known)]
    # Ctrl-C reaches all processes of a terminal; the first one tells the others, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interruption.note)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A worker without its sweep would write where another may go on."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _train(job: StackJob) -> Outcome:
    interruption.check()
    try:
        return train(job)
    except Exception as error:  # the traceback is in the run directories; it may not be sent
        return RuntimeError(f"{type(error).__name__}: {first_line(error)}")
