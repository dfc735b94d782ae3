"""Give jobs to an executor until all have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from cvtrain.process.errors import Interrupted, StorageFailed
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import RunRecord
from cvtrain.sweeps.executors.executor import Executor, WorkerLost
from cvtrain.training.job import Job

ATTEMPTS = 3
"""Number of attempts at a job, after which it fails if its worker was lost each time."""
POLL_SECONDS = 0.2
"""Longest time between two checks for a signal, in seconds."""

Ended = list[RunRecord] | Exception


def dispatch(
    jobs: Sequence[Job],
    executor: Executor,
    begun: Callable[[int], None],
    ended: Callable[[int, Ended], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Train jobs in their order, as many at a time as an executor takes.

    If a worker is lost, or has to make room for others, its job is started again: only the training
    since the last checkpoint of its runs is lost. Other jobs are not affected.

    Args:
        jobs: jobs to train.
        executor: executor, within its ``with`` block.
        begun, ended: functions that are called with a job's position in `jobs`; an exception from
            `ended` ends the other jobs too, after their current step.
        check: function that is called regularly; its exceptions have the same effect.

    Raises:
        Interrupted: SIGINT or SIGTERM came; every job has finished its step and saved it.
        StorageFailed: directories cannot be written any more.
    """
    waiting, running = deque(range(len(jobs))), set[int]()
    begun_jobs, losses = set[int](), Counter[int]()
    interrupt_sent = False
    with interruption.deferred():
        while running or (waiting and interruption.requested is None):
            if interruption.requested is not None and not interrupt_sent:
                interrupt_sent = True
                executor.interrupt()
            check()
            while waiting and len(running) < executor.workers and not interrupt_sent:
                number = waiting.popleft()
                if number not in begun_jobs:
                    begun_jobs.add(number)
                    begun(number)
                running.add(number)
                executor.start(number, jobs[number])
            check()
            for number, outcome in executor.ended(POLL_SECONDS):
                running.remove(number)
                if isinstance(outcome, StorageFailed):
                    raise outcome
                if isinstance(outcome, Interrupted | WorkerLost):
                    losses[number] += isinstance(outcome, WorkerLost)
                    again = losses[number] < ATTEMPTS
                    if again:
                        waiting.appendleft(number)
                    if again or interrupt_sent:
                        continue
                assert isinstance(outcome, list | Exception)
                ended(number, outcome)
    interruption.check()
