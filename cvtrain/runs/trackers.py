"""Experiment trackers beside TensorBoard and metrics.csv: the same rows under the same tags.

A tracker that fails (because a network is down, or a quota is used up) is given up with a warning;
training and the run directory do not depend on it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, ClassVar, Protocol

from cvtrain.config.schema import Config
from cvtrain.config.sections import MlflowConfig, NoLoggerConfig, WandbConfig
from cvtrain.process.errors import first_line
from cvtrain.process.optional_dependencies import require_package
from cvtrain.runs.tensorboard.writer import hyperparameters

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

DIRECTORY_TAG = "cvtrain.directory"
"""Tag in MLflow by which a continued run is found again."""


_FOR_MLFLOW = str.maketrans({"[": ":", ",": ".", "]": ""})
"""Replaces characters that MLflow does not accept in names: real[0,1] becomes real:0.1."""


class Tracker(Protocol):
    """One run in an experiment tracker."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row of signals."""

    def close(self, succeeded: bool) -> None:
        """Record how the run ended, and send everything that is pending."""


def check_tracker(config: Config) -> None:
    """Check that the package of the configured tracker is installed.

    Raises:
        InputError: it is not; the message has the command that installs it.
    """
    if isinstance(config.logger, WandbConfig):
        require_package("wandb", "wandb", "logger=wandb")
    if isinstance(config.logger, MlflowConfig):
        require_package("mlflow", "mlflow", "logger=mlflow")


class Trackers:
    """The trackers of K runs.

    There are none if the configurations request none, or if a tracker could not be started before
    in this process: waiting for a server that is down takes minutes.

    Args:
        configs: one per run.
        directories: directories of the runs, which give them their names.
    """

    _out_of_reach: ClassVar[set[NoLoggerConfig | WandbConfig | MlflowConfig]] = set()

    def __init__(self, configs: Sequence[Config], directories: Sequence[Path]) -> None:
        self._trackers: list[Tracker | None] = [None] * len(configs)
        for run, (config, directory) in enumerate(zip(configs, directories, strict=True)):
            if config.logger in self._out_of_reach:
                continue
            with _given_up_if_it_fails():
                try:
                    self._trackers[run] = _opened(config, directory)
                except Exception:
                    self._out_of_reach.add(config.logger)
                    raise

    def log(self, run: int, step: int, values: Mapping[str, float]) -> None:
        """Add a row of signals to the run with index `run`."""
        tracker = self._trackers[run] if self._trackers else None
        if tracker is None:
            return
        self._trackers[run] = None
        with _given_up_if_it_fails():
            tracker.log(step, values)
            self._trackers[run] = tracker

    def close(self, succeeded: Sequence[bool]) -> None:
        """Record how each run ended; interrupted runs are continued in the same place."""
        trackers, self._trackers = self._trackers, []
        for tracker, good in zip(trackers, succeeded, strict=False):
            if tracker is not None:
                with _given_up_if_it_fails():
                    tracker.close(good)


@contextmanager
def _given_up_if_it_fails() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of other packages
            yield
    except Exception as error:  # a client or its server may raise anything
        log.warning("the tracker is given up: %s", first_line(error) or type(error).__name__)


def _opened(config: Config, directory: Path) -> Tracker | None:
    if isinstance(config.logger, NoLoggerConfig):
        return None
    if isinstance(config.logger, WandbConfig):
        return _Wandb(config.logger, hyperparameters(config), directory)
    return _Mlflow(config.logger, hyperparameters(config), directory)


class _Wandb:
    """One run among several in a process; its identifier is derived from its directory."""

    def __init__(
        self, config: WandbConfig, shown: Mapping[str, float | str | bool], directory: Path
    ) -> None:
        import wandb

        self._run = wandb.init(
            project=config.project,
            entity=config.entity,
            name=directory.name,
            group=directory.parent.name,
            id=hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16],
            dir=directory,
            mode=config.mode,
            config=dict(shown),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, succeeded: bool) -> None:
        self._run.finish(exit_code=0 if succeeded else 1)


class _Mlflow:
    def __init__(
        self, config: MlflowConfig, shown: Mapping[str, float | str | bool], directory: Path
    ) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client: MlflowClient = MlflowClient(tracking_uri=config.tracking_uri)
        experiment = self._client.get_experiment_by_name(config.experiment)
        number = (
            self._client.create_experiment(config.experiment)
            if experiment is None
            else experiment.experiment_id
        )
        # A quote would end the name in the query to MLflow.
        named = str(directory.resolve()).replace("%", "%25").replace("'", "%27")
        earlier = self._client.search_runs(
            [number], f"tags.`{DIRECTORY_TAG}` = '{named}'", max_results=1
        )
        if earlier:
            self._id = earlier[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            return
        run = self._client.create_run(number, run_name=directory.name, tags={DIRECTORY_TAG: named})
        self._id = run.info.run_id
        parameters = [Param(name, str(value)) for name, value in shown.items()]
        self._client.log_batch(self._id, params=parameters)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        at = int(1000 * time())
        metrics = [
            Metric(tag.translate(_FOR_MLFLOW), value, at, step) for tag, value in values.items()
        ]
        for begin in range(0, len(metrics), 1000):  # limit per request
            self._client.log_batch(self._id, metrics=metrics[begin : begin + 1000])

    def close(self, succeeded: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if succeeded else "FAILED")
