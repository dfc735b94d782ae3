"""An Optuna study whose choices do not depend on where it was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from cvtrain.process.errors import InputError, first_line

FILE_NAME = "study.db"
NAME = "cvtrain"
AGAIN = "begun again"
"""Marks a trial that was running when its search ended; another trial has its choices."""


class OptunaStudy:
    """Asks an Optuna study for trials and reports their results to it.

    Each choice has its own generator, seeded by the number of earlier choices: it depends only on
    the reported results. Unfinished trials of an earlier call are returned first.

    Args:
        directory: folder of the study, an SQLite file; None: the study is kept in memory.
        space: search space.
        minimize: whether smaller values are better.
        seed: seed of the choices.
        batch: number of trials that run at a time; pruning begins after as many have ended.

    Attributes:
        optuna: the study itself.

    Raises:
        InputError: an existing study cannot be read.
    """

    def __init__(
        self,
        directory: Path | None,
        space: Mapping[str, BaseDistribution],
        minimize: bool,
        seed: int,
        batch: int,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._seed, self._batch = dict(space), seed, batch
        self._failed = 0
        self._label = "the study" if directory is None else str(directory / FILE_NAME)
        try:
            self.optuna: Study = optuna.create_study(
                storage=None if directory is None else _address(directory / FILE_NAME),
                study_name=NAME,
                direction="minimize" if minimize else "maximize",
                pruner=MedianPruner(n_startup_trials=batch),
                load_if_exists=True,
            )
        except Exception as error:  # an untrusted file may hold anything
            reason = first_line(error) or type(error).__name__
            raise InputError(f"{self._label}: cannot be read as a study: {reason}") from None
        for unfinished in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            trial = Trial(self.optuna, unfinished._trial_id)
            trial.set_user_attr(AGAIN, True)
            self.optuna.tell(trial, state=TrialState.FAIL)
            self.optuna.enqueue_trial(unfinished.params)

    @property
    def ended_trials(self) -> int:
        """Number of trials that have ended, including those that failed in this call."""
        counted = (TrialState.COMPLETE, TrialState.PRUNED)
        return self._failed + len(self.optuna.get_trials(deepcopy=False, states=counted))

    def ask(self, most: int) -> list[Trial]:
        """The trials of the next batch, which may be smaller if fewer are left.

        Raises:
            InputError: the study was made with another space.
        """
        ended = self.ended_trials
        trials = []
        for number in range(ended, min(ended - ended % self._batch + self._batch, most)):
            self.optuna.sampler = TPESampler(
                # Multiplied by a prime, so that the seeds of two searches share no trials.
                seed=(self._seed * 1_000_003 + number) % 2**32,
                n_startup_trials=self._batch,
                multivariate=True,
                constant_liar=True,
            )
            try:
                trials.append(self.optuna.ask(self._space))
            except ValueError as error:
                raise InputError(
                    f"{self._label}: is of a search with another space ({first_line(error)})"
                ) from None
        return trials

    def prunes(self, trial: Trial, step: int, value: float) -> bool:
        """Whether a trial with `value` at `step` is worse there than the median of the others."""
        trial.report(value, step)
        return trial.should_prune()

    def tell(self, trial: Trial, value: float | None, pruned: bool) -> None:
        """Record how a trial ended; a trial without a value failed and is left for the next
        call."""
        if pruned:
            self.optuna.tell(trial, state=TrialState.PRUNED)
        elif value is None:
            self._failed += 1
        else:
            self.optuna.tell(trial, value)


def _address(path: Path) -> str:
    """The address of an SQLite file, with special characters of its path escaped."""
    return f"sqlite:///file:{quote(str(path))}?uri=true"
