"""Train in this process, one job after another."""

from __future__ import annotations

from contextlib import chdir, nullcontext

from cvtrain.process.errors import Interrupted
from cvtrain.sweeps.executors.executor import Executor, Outcome
from cvtrain.training.job import Job
from cvtrain.training.train import train


class InProcess(Executor):
    """Executor that trains a job as soon as it is started.

    Args:
        chdir: whether to make the run directory the working directory; every job then has one run.
    """

    here = True

    def __init__(self, chdir: bool = False) -> None:
        self._chdir = chdir
        self._ended: list[tuple[int, Outcome]] = []

    def open(self) -> None:
        """Do nothing: no preparation is needed."""

    def close(self) -> None:
        """Discard outcomes; no job trains between two calls."""
        self._ended.clear()

    def start(self, number: int, job: Job) -> None:
        """Train the job to its end.

        Raises:
            StorageFailed: its directories cannot be written any more.
        """
        working_directory = (
            chdir(job.root / job.points[0].directory) if self._chdir else nullcontext()
        )
        outcome: Outcome
        try:
            with working_directory:
                outcome = train(job)
        except (Exception, Interrupted) as error:
            outcome = error
        self._ended.append((number, outcome))

    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """The outcome of the job that was started last."""
        ended, self._ended = self._ended, []
        return ended

    def interrupt(self) -> None:
        """Do nothing: no job trains between two calls, and within a call the training loop sees the
        signal itself."""
