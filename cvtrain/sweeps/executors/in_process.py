"""Training in this process, one job after another."""

from __future__ import annotations

from contextlib import chdir, nullcontext

from cvtrain.process.errors import Interrupted
from cvtrain.sweeps.executors.executor import Executor, Outcome
from cvtrain.training.job import Job
from cvtrain.training.train import train


class InProcess(Executor):
    """Trains a job as soon as it is started.

    Args:
        chdir: whether a run has its run directory for a working directory; jobs are of one run.
    """

    here = True

    def __init__(self, chdir: bool = False) -> None:
        self._chdir = chdir
        self._ended: list[tuple[int, Outcome]] = []

    def open(self) -> None:
        """Nothing is to be made ready."""

    def close(self) -> None:
        """Nothing is trained between two calls."""
        self._ended.clear()

    def start(self, number: int, job: Job) -> None:
        """Train it.

        Raises:
            StorageFailed: its directories cannot be written any more.
        """
        place = chdir(job.root / job.points[0].directory) if self._chdir else nullcontext()
        outcome: Outcome
        try:
            with place:
                outcome = train(job)
        except (Exception, Interrupted) as error:
            outcome = error
        self._ended.append((number, outcome))

    def ended(self, seconds: float) -> list[tuple[int, Outcome]]:
        """The job that was started last."""
        ended, self._ended = self._ended, []
        return ended

    def interrupt(self) -> None:
        """Nothing trains between two calls; in one, the training loop sees the signal itself."""
