"""The training command: Hydra's command with clear errors.

For many mistakes `hydra.main` prints a traceback or a wrong reason, exits with 1 for all of them,
and makes directories before a point is checked. Here every point is checked first; an error takes a
line or two and exits with status 2.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal import hydra as hydra_module
from hydra._internal.callbacks import Callbacks
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cvtrain.cli.hydra_application import parse_arguments, start_hydra
from cvtrain.cli.inform import inform
from cvtrain.cli.main import COMMANDS
from cvtrain.config.compose import CONFIG_NAME, Composer
from cvtrain.config.hydra_settings import check_hydra_settings
from cvtrain.config.overrides import (
    as_typed,
    check_spaces,
    composition_errors_explained,
    explain,
    parse_override,
    quoted,
)
from cvtrain.config.sweep_size import check_points_wanted, product_size
from cvtrain.experiments import registry
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.exit_status import (
    FULL_ERROR,
    STOPPED_AND_KEPT,
    run_command,
    signal_behind,
)
from cvtrain.process.forkable import begin_command
from cvtrain.process.imports import without_collections
from cvtrain.process.signals import interruption

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

    from cvtrain.config.sections import AnyLoggerConfig
    from cvtrain.training.task import Tasks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (None: the process's own).

    Returns:
        the exit status: 0, 1 (a run failed), 2 (bad input), 130 or 143 (Ctrl-C, SIGTERM), 141
            (nobody reads the output any more).
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    return run_command("cvtrain", lambda: run(typed), STOPPED_AND_KEPT)


def run(arguments: list[str]) -> int:
    """Run a command line, as `main` does, but raise errors instead of printing them.

    Raises:
        InputError: bad input; nothing has been trained.
        RunFailed: a run failed, or a claim of an experiment does not hold.
        Interrupted: a signal came.
    """
    begin_command()
    train_in(arguments)
    return 0


def train_in(arguments: list[str]) -> Path | None:
    """Run a command line, as `run` does.

    Returns:
        the directory of the sweep or run; None if nothing was to be trained.
    """
    interruption.check()
    import_from_working_directory()
    registry.register()
    args = parse_arguments(list(map(as_typed, arguments)))
    _check_words(args.overrides)
    _remember_debug(args.overrides)
    if args.experimental_rerun is not None:
        # Hydra would unpickle the file, and thereby execute its content.
        raise InputError(
            f"--experimental-rerun {args.experimental_rerun}: is refused, since it executes the"
            " content of the file; resume=… resumes a sweep or a run"
        )
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        inform(args)
        return None
    from cvtrain.process.lifetime import temporary_files_in_scratch

    try:
        with temporary_files_in_scratch(), composition_errors_explained():
            return _train(args)
    except BaseException as error:
        if signal_behind(error) == signal.SIGPIPE:
            print("cvtrain: its output was closed; what was trained is kept", file=sys.stderr)
        raise


def _train(args: Namespace) -> Path | None:
    # Not at the top: what only informs on configurations need not wait for pydantic.
    from cvtrain.sweeps.resume import repeats_recorded_command, resumed_run

    resumed = resumed_run(args.overrides)
    if resumed is not None:
        from cvtrain.sweeps.single_run import go_on_and_show

        go_on_and_show(resumed.directory, resumed.trusted, _logger(args, resumed.logger))
        return resumed.directory
    if repeats_recorded_command(args.overrides):
        from cvtrain.data.idx_download import downloads_refused

        with downloads_refused():
            return _compose_and_train(args)
    return _compose_and_train(args)


def _logger(args: Namespace, overrides: Sequence[str]) -> AnyLoggerConfig | None:
    """The logger that these overrides choose; None if there are none."""
    if not overrides:
        return None
    from cvtrain.config.schema import check_config

    composer = Composer(start_hydra(args).config_loader, args.config_name or CONFIG_NAME)
    return check_config(composer.compose(overrides)).logger


def _compose_and_train(args: Namespace) -> Path | None:
    from cvtrain.sweeps.resume import resumed_command

    hydra = start_hydra(args)
    composer = Composer(hydra.config_loader, args.config_name or CONFIG_NAME)
    overrides = composer.with_added_arguments(resumed_command(args.overrides))
    overrides += ["hydra.mode=MULTIRUN"] if args.multirun else []
    config = _compose_leniently(hydra, composer, overrides)
    check_hydra_settings(config)
    interruption.check()
    if config.hydra.mode == RunMode.MULTIRUN:
        return _sweep(hydra, composer, config, overrides)
    return _run(hydra, composer, config, overrides)


def _check_words(words: Sequence[str]) -> None:
    """Check that the words are overrides.

    Raises:
        InputError: a word is not; the message has what was probably meant.
    """
    check_spaces(words)
    known = {"help": "--help", "version": "--version", **{name: name for name in COMMANDS}}
    for word in words:
        near = get_close_matches(word.lower(), known, n=1, cutoff=0.75)
        if near and "=" not in word:
            raise InputError(
                f"{word}: should be key=value, or first a command; did you mean {known[near[0]]}?"
            )


def _remember_debug(words: Sequence[str]) -> None:
    """Let errors be shown with their whole traceback if the command line has debug=true."""
    for override in map(parse_override, words):
        if override.key_or_group == "debug" and override.value() is True:
            os.environ[FULL_ERROR] = "1"


def _run(hydra: Hydra, composer: Composer, config: DictConfig, overrides: list[str]) -> Path | None:
    from cvtrain.sweeps.plan import single_point

    point = single_point(composer, overrides)
    with without_collections():
        from cvtrain.training.preflight import preflight
    tasks = preflight([point])
    interruption.check()
    if point.config.plan:
        from cvtrain.sweeps.estimate import show_plan

        show_plan([point], 1, tasks)
        return None
    from cvtrain.runs.directory_lock import claim_directory
    from cvtrain.runs.storage_errors import translate_storage_errors

    callbacks = Callbacks(config)
    directory = claim_directory(Path(str(config.hydra.run.dir)), "hydra.run.dir")
    name = composer.config_name
    with translate_storage_errors(directory):
        config.hydra.run.dir = str(directory)
        config.hydra.overrides.hydra.append(f"hydra.run.dir={quoted(str(directory))}")
        _configure_logging(hydra, config, overrides)
        callbacks.on_run_start(config=config, config_name=name)
        ended = run_job(
            lambda task: _task(task, tasks),
            config,
            job_dir_key="hydra.run.dir",
            job_subdir_key=None,
            hydra_context=HydraContext(hydra.config_loader, callbacks),
        )
        callbacks.on_run_end(config=config, config_name=name, job_return=ended)
        _ = ended.return_value  # raises what the job raised
    return directory


def _sweep(
    hydra: Hydra, composer: Composer, config: DictConfig, overrides: list[str]
) -> Path | None:
    """Do what `Hydra.multirun` does, but distinguish what Hydra cannot build from what fails."""
    name = composer.config_name
    _configure_logging(hydra, config, overrides)
    callbacks = Callbacks(config)
    callbacks.on_multirun_start(config=config, config_name=name)
    context = HydraContext(hydra.config_loader, callbacks)
    try:
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=_task
        )
    except HydraException:
        raise
    except Exception as error:  # a `_target_` that is not a plugin, or cannot be imported
        raise InputError(f"hydra.sweeper, hydra.launcher: {describe_error(error)}") from error
    # Not resolved: ${seed} in an override is the seed of each point.
    typed: list[str] = OmegaConf.to_container(config.hydra.overrides.task)  # type: ignore[assignment]  # a list node
    sweeper.sweep(arguments=typed)
    callbacks.on_multirun_end(config=config, config_name=name)
    # The sweeper has stored the directory that it made there.
    return None if config.plan is True else Path(str(config.hydra.sweep.dir))


def _configure_logging(hydra: Hydra, config: DictConfig, overrides: list[str]) -> None:
    """Configure logging as Hydra does when it composes, without composing once more."""
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    hydra_module.log = logging.getLogger(hydra_module.__name__)
    hydra._print_debug_info(config.hydra.job.config_name, overrides, config.hydra.mode)


def _task(composed: DictConfig, tasks: Tasks | None = None) -> float:
    from cvtrain.sweeps.task_function import run_point

    return run_point(composed, tasks)


def _sweeps(text: str) -> bool:
    return parse_override(text).is_sweep_override()


def _compose_leniently(hydra: Hydra, composer: Composer, overrides: list[str]) -> DictConfig:
    """Hydra's configuration of the command before its sweeps are expanded; it determines the mode,
    and is sufficient to start a single run or a sweeper."""
    for text in overrides:
        override = parse_override(text)
        composer.check(override)
        if override.is_sweep_override() and override.is_hydra_override():
            raise InputError(f"{text}: should have one value: keys of Hydra cannot be swept")
    swept = [text for text in overrides if _sweeps(text)]
    check_points_wanted(product_size(map(parse_override, swept)), " ".join(swept))
    try:
        return hydra.compose_config(
            config_name=composer.config_name,
            overrides=overrides,
            run_mode=RunMode.MULTIRUN,
            validate_sweep_overrides=False,
        )
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        plain = [text for text in overrides if not _sweeps(text)]
        composer.assemble(plain)  # its error explains a wrong key of the task better
        raise InputError(explain(error)) from None
    except KeyError as error:  # only the environment variable is looked up here
        raise InputError(
            f"hydra.job.env_copy: {error.args[0]} should be an environment variable that is set"
        ) from None
    except TypeError:  # nothing else is iterated here; an interpolation can make it any value
        raise InputError(
            "hydra.job.env_copy: should be a list of environment variables, e.g. [HOME]"
        ) from None
