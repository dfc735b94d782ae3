"""The training command: Hydra's own, with its errors replaced by ours.

`hydra.main` prints a traceback or a wrong reason for many mistakes, exits with 1 for all of them,
and makes directories before a point is checked. Here every point is checked first; what is wrong
takes a line or two and exits with status 2.
"""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hydra import main as hydra_main
from hydra import version as hydra_version
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from cvtrain.config.compose import CONFIG_NAME, Composer, configuration_folder
from cvtrain.config.overrides import as_typed, explain, parse_override, quoted
from cvtrain.config.schema import check_config
from cvtrain.config.sweep_size import check_points_wanted, product_size
from cvtrain.experiments import registry
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import STOPPED_AND_KEPT, run_command, signal_behind
from cvtrain.process.regular_file import is_directory
from cvtrain.process.signals import interruption
from cvtrain.runs.safe_names import resolved
from cvtrain.sweep.resume import repeats_recorded_command, resumed_command, resumed_run

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

    from cvtrain.config.sections import AnyLoggerConfig
    from cvtrain.training.task import Tasks

VERSION_BASE = "1.3"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (the process's own, where None).

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
        RunFailed: a run failed, or what an experiment claims does not hold.
        Interrupted: a signal came.
    """
    interruption.check()
    import_from_working_directory()
    registry.register()
    arguments = list(map(as_typed, arguments))
    args = _parse(arguments)
    if args.experimental_rerun is not None:
        # Hydra would unpickle the file, and so execute what is in it.
        raise InputError(
            f"--experimental-rerun {args.experimental_rerun}: is not taken, since it executes what"
            " is in the file; resume=… goes on with a sweep or a run"
        )
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        _inform(arguments, args)
        return 0
    from cvtrain.process.lifetime import temporary_files_in_scratch

    try:
        with temporary_files_in_scratch():
            _train(args)
    except BaseException as error:
        if signal_behind(error) == signal.SIGPIPE:
            print("cvtrain: its output was closed; what was trained is kept", file=sys.stderr)
        raise
    return 0


def _train(args: Namespace) -> None:
    resumed = resumed_run(args.overrides)
    if resumed is not None:
        from cvtrain.sweep.single_run import go_on_and_show

        go_on_and_show(resumed.directory, resumed.trusted, _logger(args, resumed.logger))
    elif repeats_recorded_command(args.overrides):
        from cvtrain.data.idx_download import downloads_refused

        with downloads_refused():
            _compose_and_train(args)
    else:
        _compose_and_train(args)


def _logger(args: Namespace, overrides: Sequence[str]) -> AnyLoggerConfig | None:
    """The logger that these overrides choose; None where there are none."""
    if not overrides:
        return None
    composer = Composer(_hydra(args).config_loader, args.config_name or CONFIG_NAME)
    return check_config(composer.compose(overrides)).logger


def _compose_and_train(args: Namespace) -> None:
    hydra = _hydra(args)
    overrides = resumed_command(args.overrides)
    overrides += ["hydra.mode=MULTIRUN"] if args.multirun else []
    composer = Composer(hydra.config_loader, args.config_name or CONFIG_NAME)
    config = _compose_leniently(hydra, composer, overrides)
    interruption.check()
    if config.hydra.mode == RunMode.MULTIRUN:
        hydra.multirun(composer.config_name, _task, overrides)
    else:
        _run(hydra, composer, config, overrides)


def _parse(arguments: list[str]) -> Namespace:
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")

    parser.error = refuse  # type: ignore[method-assign]  # argparse would print its usage and exit
    return parser.parse_intermixed_args(arguments)


def _inform(arguments: list[str], args: Namespace) -> None:
    """`--help`, `--cfg`, `--info` and completion are Hydra's own."""
    if args.cfg:
        composer = Composer(_hydra(args).config_loader, args.config_name or CONFIG_NAME)
        composer.assemble([text for text in args.overrides if not _sweeps(text)])
        _forget_hydra()
    sys.argv[1:] = arguments
    decorate = hydra_main(configuration_folder(), CONFIG_NAME, VERSION_BASE)
    output = StringIO()
    try:
        # Hydra prints a traceback where its output is closed before its end.
        with redirect_stdout(output):
            decorate(_task)()
    finally:
        sys.stdout.write(output.getvalue())


def _run(hydra: Hydra, composer: Composer, config: DictConfig, overrides: list[str]) -> None:
    from cvtrain.sweep.plan import single_point

    point = single_point(composer, overrides)
    from cvtrain.training.preflight import preflight

    tasks = preflight([point])
    interruption.check()
    if point.config.plan:
        from cvtrain.sweep.estimate import show_plan

        show_plan([point], 1, tasks)
        return
    from cvtrain.runs.directory_lock import claim_directory

    directory = claim_directory(Path(str(config.hydra.run.dir)), "hydra.run.dir")
    from cvtrain.runs.storage_errors import translate_storage_errors

    placed = [*overrides, f"hydra.run.dir={quoted(str(directory))}"]
    with translate_storage_errors(directory):
        hydra.run(composer.config_name, lambda composed: _task(composed, tasks), placed)


def _task(composed: DictConfig, tasks: Tasks | None = None) -> float:
    from cvtrain.sweep.task_function import run_point

    return run_point(composed, tasks)


def _sweeps(text: str) -> bool:
    return parse_override(text).is_sweep_override()


def _compose_leniently(hydra: Hydra, composer: Composer, overrides: list[str]) -> DictConfig:
    """Hydra's configuration before its sweeps are expanded; it says which mode is meant."""
    for text in overrides:
        override = parse_override(text)
        composer.check(override)
        if override.is_sweep_override() and override.is_hydra_override():
            raise InputError(f"{text}: should have one value: keys of Hydra cannot be swept")
    swept = [text for text in overrides if _sweeps(text)]
    check_points_wanted(product_size(map(parse_override, swept)), " ".join(swept))
    plain = [text for text in overrides if not _sweeps(text)]
    try:
        return hydra.compose_config(
            config_name=composer.config_name,
            overrides=plain,
            run_mode=RunMode.MULTIRUN,
            validate_sweep_overrides=False,
        )
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        composer.assemble(plain)  # which says more of a wrong key of the task
        raise InputError(explain(error)) from None


def _hydra(args: Namespace) -> Hydra:
    from hydra._internal.hydra import Hydra

    _forget_hydra()
    hydra_version.setbase(VERSION_BASE)
    path = create_config_search_path(args.config_path or configuration_folder())
    if args.config_dir is not None:
        from hydra.core.config_search_path import SearchPathQuery

        extra = resolved(Path(args.config_dir))
        if not is_directory(extra):
            raise InputError(f"--config-dir {args.config_dir}: should be an existing directory")
        path.prepend("command-line", f"file://{extra}", SearchPathQuery("schema"))
    return Hydra.create_main_hydra2("cvtrain", path)


def _forget_hydra() -> None:
    """Hydra keeps one global state; a second command in one process starts afresh."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
