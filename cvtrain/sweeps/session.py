"""The steps that sweeps and searches share: check points, lock the directory, train, report."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from cvtrain.config.point import Point
from cvtrain.config.python_objects import PACKAGE, is_registered, name_of
from cvtrain.process.errors import (
    InputError,
    Interrupted,
    RunFailed,
    StorageUnavailable,
    SweepStopped,
)
from cvtrain.process.imports import without_collections
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.signals import interruption
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.runs.journal import ENDED, SWEEP_FILE, Journal
from cvtrain.runs.storage_errors import translate_storage_errors
from cvtrain.sweeps.hydra_jobs import job_overrides
from cvtrain.sweeps.job_composer import sweep_composer
from cvtrain.sweeps.recorded_command import configuration_flags, recorded_command, typed_again
from cvtrain.sweeps.resume import KEY, how_to_go_on

if TYPE_CHECKING:
    from cvtrain.report.document import Document
    from cvtrain.training.task import Task


class SweepSession:
    """One command that trains several runs, from the check of its points to the report.

    Args:
        context, config, launcher: objects that Hydra passes to a sweeper's `setup`.
        kind: name of the runs in the message about failures.

    Attributes:
        composer: composer of the points.
        console: console that writes to stderr.
        tasks: tasks of the checked points, after `check`.
        next_overrides: overrides that should lead to an answer of the sweep, after `reporting`.
    """

    def __init__(
        self, context: HydraContext, config: DictConfig, launcher: Launcher, kind: str = "runs"
    ) -> None:
        self.composer = sweep_composer(context.config_loader, config)
        self.console = PlainConsole(stderr=True)
        self._config, self._launcher, self._kind = config, launcher, kind
        self.next_overrides: tuple[str, ...] = ()

    def expect(self, points: Sequence[Point]) -> None:
        """Let the launcher get ready for the points, before torch is loaded."""
        if hasattr(self._launcher, "expect"):
            self._launcher.expect(points)

    def check(self, points: Sequence[Point]) -> None:
        """Check the points and the options of the launcher before training.

        Raises:
            InputError: a point or an option is wrong.
        """
        with without_collections():
            from cvtrain.training.preflight import preflight
        _check_launcher(self._launcher, points)
        self.console.print(f"cvtrain: checking {len(points)} points")
        self.tasks = preflight(points)
        interruption.check()

    def workers_begun(self) -> AbstractContextManager[None]:
        """Inside, there are the processes that train; to be entered before any thread begins."""
        begun = getattr(self._launcher, "workers_begun", None)
        return nullcontext() if begun is None else begun(self.tasks)

    def show_plan(self, points: Sequence[Point]) -> None:
        """Print the points and the estimated cost of training them (``plan=true``)."""
        from cvtrain.sweeps.estimate import show_plan

        # A launcher that knows nothing of stacks makes none.
        made = getattr(self._launcher, "executor", None)
        executor = None if made is None else made(self.tasks)
        workers, threads = (executor.workers, executor.threads) if executor else (1, None)
        max_stack = getattr(self._launcher, "max_stack", 1)
        show_plan(points, max_stack, self.tasks, workers, threads)

    @contextmanager
    def locked(self, resumed: str | None) -> Iterator[Journal]:
        """Context in which only this command writes in the sweep directory.

        Args:
            resumed: directory of the sweep to resume; None: ``hydra.sweep.dir`` is made.

        Raises:
            InputError: another command trains in the directory, or it cannot be made.
            StorageFailed: the directory cannot be written any more.
        """
        if resumed is None:
            directory = claim_directory(Path(str(self._config.hydra.sweep.dir)), "hydra.sweep.dir")
        else:
            directory = Path(resumed)
        self._config.hydra.sweep.dir = str(directory)
        with translate_storage_errors(directory), DirectoryLock(directory) as lock:
            yield Journal(directory)
            lock.check()

    def announce(self, journal: Journal, lines: Iterable[str], tasks: Iterable[Task]) -> None:
        """Save Hydra's configuration, and print `lines` and each data set and network once."""
        OmegaConf.save(self._config, journal.root / "multirun.yaml")
        described = dict.fromkeys(line for task in tasks for line in task.description)
        for line in (*(f"cvtrain: {text}" for text in lines), *described):
            self.console.print(line, soft_wrap=True)

    def describe(
        self,
        journal: Journal,
        points: Sequence[Point],
        overrides: Sequence[str],
        others: Sequence[Mapping[str, Any]],
        looks: Mapping[str, int] | None = None,
    ) -> None:
        """Write sweep.json.

        Args:
            journal: journal of the sweep.
            points: points of this command.
            overrides: the experiment's axes, then those of the command line.
            others: entries of points of an earlier command, which are listed too.
            looks: as in `cvtrain.runs.journal.Journal.describe_sweep`.
        """
        command = recorded_command(self._config)
        journal.describe_sweep(points, self._experiment, overrides, command, others, looks)

    @property
    def _experiment(self) -> str | None:
        """The chosen file in conf/experiment."""
        choices: dict[str, Any] = OmegaConf.to_container(self._config.hydra.runtime.choices)  # type: ignore[assignment]  # a mapping node
        return choices.get("experiment")

    def launch(self, journal: Journal, points: Sequence[Point]) -> Sequence[JobReturn]:
        """Train the points by any of Hydra's launchers; those of cvtrain take points directly."""
        if hasattr(self._launcher, "launch_points"):
            returned: Sequence[JobReturn] = self._launcher.launch_points(
                points, journal.root, self.tasks, self.composer
            )
            return returned
        jobs = [job_overrides(point, journal.root) for point in points]
        return self._launcher.launch(jobs, initial_job_idx=points[0].number)

    @contextmanager
    def reporting(self, journal: Journal, points: Collection[Point]) -> Iterator[None]:
        """Context in which runs train; at its end it reports on them, also if they were stopped.

        Args:
            journal: journal of the sweep.
            points: all points of the command, read at the end: a search adds points meanwhile.

        Raises:
            RunFailed: runs failed, their files are gone, or a claim of the experiment does not
                hold.
        """
        try:
            with suppress(SweepStopped):
                yield
        except BaseException:
            self._report_what_was_stopped(journal, points)
            raise
        try:
            document = report(journal, points)
        except (OSError, StorageUnavailable, Interrupted):
            self._print_how_to_go_on(journal)
            raise
        self._refuse_failed(journal, points)
        # With pause_at, runs are left to be resumed, and more seeds are not requested yet.
        if all(status in ENDED for status in journal.count([*points])):
            self.next_overrides = document.next_overrides
        else:
            self._print_how_to_go_on(journal)

    def _report_what_was_stopped(self, journal: Journal, points: Collection[Point]) -> None:
        try:
            # Raise the reason for the stop, not what the report finds missing or unproven.
            with suppress(RunFailed, Exception), interruption.answered():
                report(journal, points)
        finally:  # a second Ctrl-C, while the report is made
            self._print_how_to_go_on(journal)

    def _print_how_to_go_on(self, journal: Journal) -> None:
        command = recorded_command(self._config)
        if any(f"={PACKAGE}." in text for text in command):
            line = f'cvtrain.sweep("{KEY}={journal.root}", …)'
            self.console.print(
                f"cvtrain: to continue: {line} with the same objects", soft_wrap=True
            )
            return
        again = typed_again(command)
        line = how_to_go_on(journal.root, again, configuration_flags(self._config))
        self.console.print(line, soft_wrap=True)

    def _refuse_failed(self, journal: Journal, points: Collection[Point]) -> None:
        statuses = {point.directory: journal.status(point.directory) for point in points}
        failed = [name for name, status in statuses.items() if status == "failed"]
        gone = [name for name, status in statuses.items() if status in (None, "running")]
        described = (journal.root / SWEEP_FILE).exists()
        if not failed and not gone and described:
            return
        reasons, trace = list[str](), None
        if failed:
            why, trace = journal.failure(failed[0])
            first = "" if len(failed) == 1 else "the first: "
            reasons.append(f"{len(failed)} of {len(points)} {self._kind} failed: {first}{why}")
        if gone and not failed:  # after failures they may not have begun (on_error=stop)
            reasons.append(
                f"{len(gone)} of {len(points)} {self._kind} have no result (was {gone[0]} removed"
                " while it trained?)"
            )
        if described:
            self._print_how_to_go_on(journal)
        else:
            reasons.append(f"{journal.root / SWEEP_FILE}: was removed while the sweep trained")
        raise RunFailed("; ".join(reasons), trace)


def _check_launcher(launcher: Launcher, points: Sequence[Point]) -> None:
    """Check the options of a launcher of cvtrain.

    Raises:
        InputError: an option of the launcher is wrong, or the launcher cannot train the points.
    """
    executor = getattr(launcher, "executor", None)
    if executor is None:
        return
    # Executors import torch, so this comes after the check of the command line.
    made = executor()
    targets = {
        target
        for c in (point.config for point in points)
        for target in (
            *(c.data.target, c.model.target, getattr(c.objective, "target", "")),
            *(slot["_target_"] for slot in c.metrics if isinstance(slot, dict)),
        )
    }
    own = next((target for target in sorted(targets) if is_registered(target)), None)
    if own is not None and not made.here:
        raise InputError(
            f"hydra/launcher: should train in this process (stacked, hydra.launcher.workers=1):"
            f" others cannot import {name_of(own)}, unless it is in a module"
        )


def report(journal: Journal, points: Collection[Point]) -> Document:
    """Print how many runs ended and how many were interrupted, and report on all runs that have
    begun.

    Raises:
        InputError: the directory has no run, or one that cannot be read.
        RunFailed: a claim of the experiment does not hold.
    """
    from cvtrain.experiments.publish import publish

    counts = journal.count([*points])
    waiting = (None, "running", "interrupted")
    ended = sum(count for status, count in counts.items() if status not in waiting)
    if ended < len(points):
        stopped = counts.get("interrupted", 0)
        more = f", {stopped} were interrupted" if stopped else ""
        print(f"{ended} of {len(points)} runs ended{more}", file=sys.stderr)
    return publish(journal.root)
