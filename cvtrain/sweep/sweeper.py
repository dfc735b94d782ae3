"""A sweep from its command line to its summary: plan → check → launch → report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from cvtrain.config.compose import Composer
from cvtrain.config.point import Point
from cvtrain.process.errors import Interrupted, RunFailed, StorageUnavailable, SweepStopped
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.signals import interruption
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.runs.journal import SWEEP_FILE, Journal
from cvtrain.runs.storage_errors import translate_storage_errors
from cvtrain.sweep.hydra_jobs import job_overrides
from cvtrain.sweep.plan import Plan
from cvtrain.sweep.progress import SweepProgress
from cvtrain.sweep.recorded_command import configuration_flags, recorded_command, typed_again
from cvtrain.sweep.resume import how_to_go_on, resumption

if TYPE_CHECKING:
    from cvtrain.training.task import Task, Tasks


def run_sweep(
    context: HydraContext,
    config: DictConfig,
    launcher: Launcher,
    overrides: Sequence[str],
    variants: Sequence[Sequence[str]] = (),
    fewer: Sequence[Mapping[str, Mapping[str, Any]]] = (),
) -> Sequence[JobReturn]:
    """Train every point that `overrides` mean, through any of Hydra's launchers.

    Args:
        context, config, launcher: what Hydra gives a sweeper at its set-up.
        overrides: the experiment's axes, then the command line's.
        variants: overrides that come on top, one list after another.
        fewer: rules that leave out points.

    Returns:
        one job return per point.

    Raises:
        InputError: a point is wrong; nothing has been trained or made.
        RunFailed: all that could be trained was, and some runs failed, or what the experiment
            claims does not hold; or the directory cannot be written any more.
        Interrupted: a signal came; the finished runs stay.
    """
    console = PlainConsole(stderr=True)
    composer = Composer(context.config_loader, config.hydra.job.config_name)
    points = Plan.compose(composer, overrides, variants, fewer).points
    max_stack, workers = launcher_limits(launcher)
    console.print(f"cvtrain: checking {len(points)} points")
    from cvtrain.training.preflight import preflight

    tasks = preflight(points)
    if points[0].config.plan:
        from cvtrain.sweep.estimate import show_plan

        show_plan(points, max_stack, tasks, workers)
        return []
    interruption.check()
    resumed = points[0].config.resume
    if resumed is None:
        directory = claim_directory(Path(str(config.hydra.sweep.dir)), "hydra.sweep.dir")
    else:
        directory = Path(resumed)
    config.hydra.sweep.dir = str(directory)
    with translate_storage_errors(directory), DirectoryLock(directory) as lock:
        returned = _train_and_report(config, launcher, overrides, points, tasks, directory, console)
        lock.check()
        return returned


def _train_and_report(
    config: DictConfig,
    launcher: Launcher,
    overrides: Sequence[str],
    points: Sequence[Point],
    tasks: Tasks,
    directory: Path,
    console: PlainConsole,
) -> Sequence[JobReturn]:
    journal = Journal(directory)
    waiting = points
    others: Sequence[Mapping[str, Any]] = ()
    lines = [f"{len(points)} runs into {directory}"]
    if points[0].config.resume is not None:
        found = resumption(journal, points)
        points, waiting, others = found.points, found.waiting, found.left_out
        lines += found.notes
    OmegaConf.save(config, directory / "multirun.yaml")
    command = recorded_command(config)
    journal.describe_sweep(points, experiment_of(config), overrides, command, others)
    for line in (*(f"cvtrain: {text}" for text in lines), *networks(tasks)):
        console.print(line, soft_wrap=True)
    returned: Sequence[JobReturn] = []
    try:
        with suppress(SweepStopped), SweepProgress(journal, waiting, console):
            # All of them, though some have ended: what stacks with what is decided as ever, and
            # with it the engine and the bits of those that wait.
            if waiting:
                returned = launch(launcher, points, directory, tasks)
    except BaseException:
        report_what_was_stopped(directory, journal, points, config, console)
        raise
    try:
        report(directory, journal, points)
    except (OSError, StorageUnavailable, Interrupted):
        tell_how_to_go_on(console, directory, config)
        raise
    refuse_failed(journal, points, "runs", config, console)
    return returned


def refuse_failed(
    journal: Journal, points: Sequence[Point], kind: str, config: DictConfig, console: PlainConsole
) -> None:
    """Tell of runs that failed, and of those that were trained and are no longer there.

    Args:
        journal: of the sweep.
        points: that were to be trained.
        kind: what they are called.
        config: Hydra's, of the sweep.
        console: for the command that goes on.

    Raises:
        RunFailed: there are any.
    """
    statuses = {point.directory: journal.status(point.directory) for point in points}
    failed = [name for name, status in statuses.items() if status == "failed"]
    gone = [name for name, status in statuses.items() if status in (None, "running")]
    described = (journal.root / SWEEP_FILE).exists()
    if failed or gone or not described:
        reasons = [f"{len(failed)} of {len(points)} {kind} failed"] if failed else []
        if gone and not failed:  # beside failures they may not have begun (on_error=stop)
            reasons.append(
                f"{len(gone)} of {len(points)} {kind} have no result (was {gone[0]} removed while"
                " it trained?)"
            )
        if described:
            tell_how_to_go_on(console, journal.root, config)
        else:
            reasons.append(f"{journal.root / SWEEP_FILE}: was removed while the sweep trained")
        raise RunFailed("; ".join(reasons))


def launcher_limits(launcher: Launcher) -> tuple[int | None, int]:
    """Largest size of a stack and how many are trained at a time.

    Raises:
        InputError: an option of the launcher is wrong.
    """
    # A launcher that knows nothing of stacks makes none.
    max_stack, executor = getattr(launcher, "max_stack", 1), getattr(launcher, "executor", None)
    # Torch is imported from here on: a wrong command line has been told by now.
    return max_stack, 1 if executor is None else executor().workers


def report_what_was_stopped(
    directory: Path,
    journal: Journal,
    points: Sequence[Point],
    config: DictConfig,
    console: PlainConsole,
) -> None:
    """What there is so far, and the command that goes on."""
    try:
        # What stopped the sweep is told, not what it left unproven or cannot be reported.
        with suppress(RunFailed, Exception), interruption.answered():
            report(directory, journal, points)
    finally:  # Ctrl-C once more, while the report is made
        tell_how_to_go_on(console, directory, config)


def tell_how_to_go_on(console: PlainConsole, directory: Path, config: DictConfig) -> None:
    """Print the command that goes on with a sweep."""
    again = typed_again(recorded_command(config))
    line = how_to_go_on(directory, again, configuration_flags(config))
    console.print(line, soft_wrap=True)


def networks(tasks: Iterable[Task]) -> list[str]:
    """Start-up summary: the data and networks of the sweep, each once."""
    return list(dict.fromkeys(line for task in tasks for line in task.description))


def launch(
    launcher: Launcher, points: Sequence[Point], root: Path, tasks: Tasks
) -> Sequence[JobReturn]:
    """Train the points by any of Hydra's launchers; those of cvtrain take them as they are."""
    if hasattr(launcher, "launch_points"):
        returned: Sequence[JobReturn] = launcher.launch_points(points, root, tasks)
        return returned
    jobs = [job_overrides(point, root) for point in points]
    return launcher.launch(jobs, initial_job_idx=points[0].number)


def experiment_of(config: DictConfig) -> str | None:
    """The file in conf/experiment."""
    choices: dict[str, Any] = OmegaConf.to_container(config.hydra.runtime.choices)  # type: ignore[assignment]  # a mapping node
    return choices.get("experiment")


def report(directory: Path, journal: Journal, points: Sequence[Point]) -> None:
    """Say how many runs ended and how many were interrupted, and report on all that have begun."""
    from cvtrain.experiments.publish import publish

    counts = journal.count(points)
    waiting = (None, "running", "interrupted")
    ended = sum(count for status, count in counts.items() if status not in waiting)
    if ended < len(points):
        stopped = counts.get("interrupted", 0)
        more = f", {stopped} were interrupted" if stopped else ""
        print(f"{ended} of {len(points)} runs ended{more}", file=sys.stderr)
    publish(directory)
