"""A job of a launcher in two halves, so that many can begin before the first one ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import (
    JobReturn,
    JobRuntime,
    JobStatus,
    _flush_loggers,
    _save_config,
    configure_log,
)
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from cvtrain.config.overrides import quoted
from cvtrain.config.point import Point


class HydraJob:
    """Does what ``hydra.core.utils.run_job`` does, except for the working directory: it makes the
    run directory with its `.hydra/` and log, calls the callbacks, and makes the job return.

    Args:
        config: configuration of the job, with Hydra's node.
        context: Hydra's context, which has the callbacks.
        task_function: task function that is passed to the callbacks.

    Attributes:
        config: the configuration with the run directory in `hydra.runtime.output_dir`.
        task: the configuration without Hydra's node.
    """

    def __init__(
        self, config: DictConfig, context: HydraContext, task_function: TaskFunction
    ) -> None:
        self.config = config
        self._context, self._task_function = context, task_function
        self._return = JobReturn()
        with configured(self.config):
            # Resolved here, because it may refer to the job's number.
            directory = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))
        with open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(directory.absolute())
        OmegaConf.set_readonly(config.hydra, True)
        self.task = _part(config, [str(key) for key in config if key != "hydra"])
        OmegaConf.set_struct(self.task, True)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that are set while the job runs."""
        return environment(self.config)

    def begin(self) -> None:
        """Make the directory, write `.hydra/`, open the log and call the callbacks."""
        hydra = self.config.hydra
        with configured(self.config):
            overrides: Any = OmegaConf.to_container(hydra.overrides.task)
            hydra_config = _part(self.config, ["hydra"])
            self._return.cfg, self._return.hydra_cfg = self.task, hydra_config
            self._return.overrides = overrides
            self._return.working_dir = str(Path.cwd())
            directory = Path(hydra.runtime.output_dir)
            directory.mkdir(parents=True, exist_ok=True)
            configure_log(hydra.job_logging, hydra.verbose)
            if hydra.output_subdir is not None:
                folder = directory / hydra.output_subdir
                _save_config(self.task, "config.yaml", folder)
                _save_config(hydra_config, "hydra.yaml", folder)
                _save_config(hydra.overrides.task, "overrides.yaml", folder)
            self._context.callbacks.on_job_start(
                config=self.config, task_function=self._task_function
            )

    def end(self, outcome: float | Exception) -> JobReturn:
        """Call the callbacks with the outcome; return the job return for the sweeper."""
        returned(outcome, self._return)
        with configured(self.config):
            _flush_loggers()
            self._context.callbacks.on_job_end(config=self.config, job_return=self._return)
        return self._return


@contextmanager
def configured(config: DictConfig) -> Iterator[None]:
    """Context in which ``HydraConfig`` is that of `config`."""
    outer = HydraConfig.instance().cfg
    # `set_config` would copy Hydra's node alone, whose parent is the whole configuration.
    HydraConfig.instance().cfg = config  # type: ignore[assignment]  # typed as Hydra's dataclass
    try:
        yield
    finally:
        HydraConfig.instance().cfg = outer


def environment(config: DictConfig) -> dict[str, str]:
    """Environment variables that are set while a job of this configuration runs."""
    return {str(key): str(value) for key, value in config.hydra.job.env_set.items()}


def returned(outcome: float | Exception, job: JobReturn | None = None) -> JobReturn:
    """The job return for a run: `job` completed by the outcome, or the outcome alone if an earlier
    call trained the run."""
    job = JobReturn() if job is None else job
    job.return_value = outcome
    job.status = JobStatus.FAILED if isinstance(outcome, Exception) else JobStatus.COMPLETED
    job.task_name = JobRuntime.instance().get("name")
    return job


def job_overrides(point: Point, root: Path) -> list[str]:
    """The overrides from which a launcher composes this point, including those of its directory."""
    return [*point.overrides, *places(point, root)]


def places(point: Point, root: Path) -> list[str]:
    """The overrides that set the directory of a point."""
    return [
        f"hydra.sweep.dir={quoted(str(root))}",
        f"hydra.sweep.subdir={quoted(point.directory)}",
    ]


def _part(config: DictConfig, keys: list[str]) -> DictConfig:
    part = OmegaConf.masked_copy(config, keys)
    OmegaConf.copy_cache(from_config=config, to_config=part)
    return part
