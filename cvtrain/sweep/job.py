"""Hydra's task function: one point, under whichever launcher."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cvtrain.composition import register_resolvers
from cvtrain.config import check_config
from cvtrain.errors import SweepStopped
from cvtrain.point import Point

register_resolvers()


def run_point(composed: DictConfig) -> float:
    """Train the composed point into the directory that Hydra made for it.

    Returns:
        the validation loss at the end, for sweepers that search.
    """
    from cvtrain.engine.train import StackJob, train

    content = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(content, dict)
    config = check_config({str(key): value for key, value in content.items()})
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    directory = Path(hydra.runtime.output_dir)
    number = hydra.job.num if in_sweep else 0
    point = Point(
        number, config.settled(in_sweep=in_sweep), tuple(hydra.overrides.task), directory.name
    )
    job = StackJob((point,), directory.parent)
    if not in_sweep:
        from cvtrain.sweep.single_run import train_and_show

        return train_and_show(job)
    try:
        (record,) = train(job)
    except Exception as error:
        if config.on_error == "stop":
            raise SweepStopped(point.directory) from error
        raise
    return record.final["val/loss"]
