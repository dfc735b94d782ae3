"""Handing out jobs to whatever trains them, until all have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from cvtrain.process.errors import Interrupted, StorageFailed
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import RunRecord
from cvtrain.sweeps.executors.executor import Executor, WorkerLost
from cvtrain.training.job import Job

ATTEMPTS = 3
"""How often a job is begun before it fails because its worker was lost each time."""
POLL_SECONDS = 0.2
"""Longest time between two checks for a signal."""

Ended = list[RunRecord] | Exception


def dispatch(
    jobs: Sequence[Job],
    executor: Executor,
    begun: Callable[[int], None],
    ended: Callable[[int, Ended], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Have jobs trained, in their order, as many at a time as an executor takes.

    A worker that is lost, or told to make room for others, costs at most what its runs trained
    since their last checkpoint: they are handed out again. Other jobs do not notice.

    Args:
        jobs: what to train.
        executor: between its ``with`` and the end of it.
        begun, ended: called with a job's position in `jobs`; what `ended` raises ends the others
            too, after their current step.
        check: called now and then; likewise.

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
