"""Hydra's task function: trains one point, for any launcher."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cvtrain.config.point import Point
from cvtrain.config.schema import Config, check_config
from cvtrain.experiments import registry
from cvtrain.process.errors import SweepStopped
from cvtrain.runs.journal import RESULT

if TYPE_CHECKING:
    from cvtrain.runs.run_json import RunRecord
    from cvtrain.training.task import Task, Tasks

registry.register()
log = logging.getLogger(__name__)


def run_point(composed: DictConfig, tasks: Tasks | None = None) -> float:
    """Train the composed point into the directory that Hydra made for it.

    Args:
        composed: configuration without Hydra's node.
        tasks: tasks from the check of the points; None: made here.

    Returns:
        the final validation loss, for sweepers that search.
    """
    from cvtrain.runs.journal import Journal
    from cvtrain.training.job import Job
    from cvtrain.training.task import Tasks
    from cvtrain.training.train import train

    hydra = HydraConfig.get()
    point = composed_point(composed)
    directory = Path(hydra.runtime.output_dir)
    root = directory.parents[len(Path(point.directory).parts) - 1]
    job = Job((point,), root, task=(tasks or Tasks()).of(point.config))
    log_task(job.task, point.config)
    if hydra.mode != RunMode.MULTIRUN:
        from cvtrain.sweeps.single_run import train_and_show

        return train_and_show(job)
    ended = Journal(job.root).ended(point)
    if ended is not None:  # trained by an earlier call; other launchers do not check that
        return recorded_result(ended)
    try:
        (record,) = train(job)
    except Exception as error:
        if point.config.on_error == "stop":
            raise SweepStopped(point.directory) from error
        raise
    return result(record)


def composed_point(composed: DictConfig) -> Point:
    """The point that Hydra composed and gave a directory (from Hydra's own configuration).

    Args:
        composed: configuration without Hydra's node.

    Raises:
        InputError: the configuration does not fit the schema.
    """
    hydra = HydraConfig.get()
    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    config = check_config({str(key): value for key, value in content.items()})
    in_sweep = hydra.mode == RunMode.MULTIRUN
    directory = Path(hydra.runtime.output_dir)
    root = Path(hydra.sweep.dir).absolute() if in_sweep else directory.parent
    return Point(
        int(hydra.job.num) if in_sweep else 0,
        # The sweep to resume belongs to the command, not to the configuration of its runs.
        config.settled(in_sweep=in_sweep).model_copy(update={"resume": None}),
        tuple(hydra.overrides.task),
        str(directory.relative_to(root)),
    )


def log_task(task: Task, config: Config) -> None:
    """Write what a run trains into its log."""
    if log.isEnabledFor(logging.INFO):
        for line in task.describe(config):
            log.info(line)


def result(record: RunRecord) -> float:
    """The last validation loss of a run: the value that a search minimises."""
    return record.final["val/loss"]


def result_or_error(record: RunRecord) -> float | Exception:
    """The last validation loss of a run, or its error if it failed in a stack in which others did
    not."""
    return RuntimeError(record.error) if record.status == "failed" else result(record)


def recorded_result(content: Mapping[str, Any]) -> float:
    """The last validation loss in the run.json of a run that has ended."""
    return float(content["final"][RESULT])
