"""cvtrain from Python: the same configurations and runs as from the command line.

A call leaves the process as it found it: `cvtrain.process.process_state`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path

from cvtrain.config.compose import Composer, configuration_folder
from cvtrain.config.overrides import as_typed
from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.experiments import registry
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError
from cvtrain.process.process_state import preserves_process_state
from cvtrain.process.signals import signals_handled
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.sweeps.plan import single_point
from cvtrain.training import train as engine
from cvtrain.training.job import Job
from cvtrain.training.preflight import preflight


@preserves_process_state
def configure(*overrides: str) -> Config:
    """The checked configuration that a command line with these overrides has.

    Args:
        overrides: e.g. ``"+experiment=article"``, ``"optimizer=adam"``, ``"max_steps=100"``.

    Raises:
        InputError: an override that does not fit, or a combination that does not train.
    """
    for text in overrides:
        if not isinstance(text, str):
            raise InputError(f"configure({text!r}): should be texts, such as configure('seed=1')")
    import_from_working_directory()
    version.setbase("1.3")
    registry.register()
    loader = ConfigLoaderImpl(create_config_search_path(configuration_folder()))
    composer = Composer(loader)
    point = single_point(composer, composer.with_added_arguments(list(map(as_typed, overrides))))
    preflight([point])
    return point.config


@preserves_process_state
def train(config: Config, output: str | Path | None = None) -> Path:
    """Train one run.

    Args:
        config: from `configure`.
        output: parent of the new run directory; `config.output`, where None.

    Returns:
        the run directory, which `cvtrain.load` reads.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run's files say so and are complete.
    """
    import_from_working_directory()
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    directory = claim_directory(Path(output or config.output) / name, "output")
    point = Point(0, config.settled(in_sweep=False), (), directory.name)
    with signals_handled(), DirectoryLock(directory):
        engine.train(Job((point,), directory.parent))
    return directory
