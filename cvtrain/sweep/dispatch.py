"""Handing out jobs to whatever trains them, until all have ended."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from cvtrain.process.errors import Interrupted, StorageFailed
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import RunRecord
from cvtrain.sweep.executors.executor import Executor, WorkerLost
from cvtrain.training.job import Job

ATTEMPTS = 3
"""Of a job whose worker is lost every time."""
POLL_SECONDS = 0.2
"""Between two looks at whether a signal came."""

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
    known, lost = set[int](), Counter[int]()
    told = False
    with interruption.deferred():
        while running or (waiting and interruption.requested is None):
            if interruption.requested is not None and not told:
                told = True
                executor.interrupt()
            check()
            while waiting and len(running) < executor.workers and not told:
                number = waiting.popleft()
                if number not in known:
                    known.add(number)
                    begun(number)
                running.add(number)
                executor.start(number, jobs[number])
            check()
            for number, outcome in executor.ended(POLL_SECONDS):
                running.remove(number)
                if isinstance(outcome, StorageFailed):
                    raise outcome
                if isinstance(outcome, Interrupted | WorkerLost):
                    lost[number] += isinstance(outcome, WorkerLost)
                    again = lost[number] < ATTEMPTS
                    if again:
                        waiting.appendleft(number)
                    if again or told:
                        continue
                assert isinstance(outcome, list | Exception)
                ended(number, outcome)
    interruption.check()
