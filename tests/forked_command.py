"""The command line in processes that have everything imported: forks of one that waits.

Importing torch and Lightning takes longest of a short command, and what a test kills or interrupts
should be the work. Their reports have blank figures.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TextIO

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

import cvtrain.cli.main
from cvtrain.cli import train
from cvtrain.cli.hydra_application import parse_arguments, start_hydra
from cvtrain.config.compose import CONFIG_NAME
from cvtrain.config.overrides import parse_override
from cvtrain.process import forkable
from cvtrain.report import html
from cvtrain.sweeps.executors import processes
from tests.blank_figures import ENDINGS, blank_file, figures_left_blank

PATIENCE = 300.0

IMPORTED = (
    "cvtrain.cli.train",
    "cvtrain.data.digits_fft",
    "cvtrain.experiments.publish",
    "cvtrain.report.boards",
    "cvtrain.report.html",
    "cvtrain.report.screenful",
    "cvtrain.sweeps.decide",
    "cvtrain.sweeps.executors.in_process",
    "cvtrain.sweeps.launcher",
    "cvtrain.sweeps.packing",
    "cvtrain.sweeps.sweeper",
    "cvtrain.sweeps.task_function",
    "cvtrain.training.preflight",
    "cvtrain.training.train",
    "hydra._internal.logging_config",
    "hydra_plugins.cvtrain_sweeper",
    "sklearn.datasets",
)
TYPICAL = ("optimizer=adam", "max_steps=3", "model.hidden=[4,2]", "seed=0,1", "a.b=range(0,2)")


def import_what_commands_need() -> None:
    """Import it, read Hydra's plugins and files, and make blank figures and the page's template."""
    for name in IMPORTED:
        import_module(name)
    for overrides in ([], ["+experiment=sweep"]):  # they have Hydra's plugins and files too
        start_hydra(parse_arguments([])).compose_config(CONFIG_NAME, overrides, RunMode.RUN)
    GlobalHydra.instance().clear()
    for override in TYPICAL:
        parse_override(override)
    for ending in ENDINGS:
        blank_file(ending)
    html._template()


class ForkedCommands:
    """Forks commands, one at a time, and kills them where that is asked for.

    To be made before any test has run: what waits is a fork of this process, which has imported
    what commands need.
    """

    def __init__(self) -> None:
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self._server = os.fork()
        if self._server == 0:
            os.close(self._requests)
            os.close(self._answers)
            with suppress(BaseException):
                _serve(os.fdopen(requests), os.fdopen(answers, "w", buffering=1))
            os._exit(0)
        os.close(requests)
        os.close(answers)
        self._lines = os.fdopen(self._answers)

    def run(
        self,
        directory: Path,
        *arguments: str,
        killed_after: float | None = None,
        killed_when: Callable[[], bool] | None = None,
        number: int = signal.SIGKILL,
        kill: Callable[[int, int], None] = os.kill,
        unread: str | None = None,
        forks_workers: bool = False,
        environment: Mapping[str, str] | None = None,
        patience: float | None = None,
        encoding: str = "utf-8",
        closed: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """What `python -m cvtrain` does in `directory`.

        Args:
            directory: to work in.
            arguments: of the command.
            killed_after: seconds after its fork at which it is killed.
            killed_when: it is killed once this is true.
            number: of the signal that it gets.
            kill: called with its process id and that number.
            unread: the output ("out" or "err") whose reader leaves after the first line.
            forks_workers: whether workers are forks of it, which have everything imported too.
            environment: variables that it has beside those of this process.
            patience: seconds after which it is killed.
            encoding: of its output.
            closed: whether it has no standard output at all, as after ``>&-`` in a shell.
        """
        with tempfile.TemporaryDirectory() as folder:
            outputs = [Path(folder) / name for name in ("out", "err")]
            for path in outputs:
                if path.name == unread:
                    os.mkfifo(path)
                else:
                    path.touch()  # a signal may come before the command opens it
            request = [str(directory), arguments, dict(environment or {}), forks_workers]
            asked = [*request, encoding, closed, *map(str, outputs)]
            os.write(self._requests, (json.dumps(asked) + "\n").encode())
            child = int(self._lines.readline())
            limit = threading.Timer(patience or math.inf, os.kill, (child, signal.SIGKILL))
            if patience is not None:
                limit.start()
            try:
                if unread is not None:
                    with (Path(folder) / unread).open() as stream:
                        stream.readline()
                if killed_after is not None:
                    time.sleep(killed_after)
                until = time.monotonic() + PATIENCE
                while killed_when is not None and not killed_when():
                    assert time.monotonic() < until
                    time.sleep(0.02)
                if killed_after is not None or killed_when is not None:
                    with suppress(ProcessLookupError):  # it was faster
                        kill(child, number)
            except BaseException:
                os.kill(child, signal.SIGKILL)
                self._lines.readline()
                raise
            status = int(self._lines.readline())
            limit.cancel()
            out, err = (
                "" if path.name == unread else path.read_text(encoding="utf-8") for path in outputs
            )
        return subprocess.CompletedProcess(arguments, status, out, err)

    def close(self) -> None:
        """End the process that waits."""
        os.close(self._requests)
        self._lines.close()
        os.waitpid(self._server, 0)


def _serve(requests: TextIO, answers: TextIO) -> None:
    """Fork and run a command for each line of `requests`, until they end."""
    _forget_pytest()
    with figures_left_blank():
        for line in requests:
            request = json.loads(line)
            child = os.fork()
            if child == 0:
                _run_command(*request)
            print(child, file=answers)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), file=answers)


def _forget_pytest() -> None:
    """Make this process one that was started as `python -c …`: without pytest's hooks."""
    sys.argv = ["-c"]
    sys.modules["__main__"] = ModuleType("__main__")
    sys.unraisablehook, threading.excepthook = sys.__unraisablehook__, threading.__excepthook__
    warnings.filters[:] = [kept for kept in warnings.filters if kept[0] != "error"]
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)


def _run_command(
    directory: str,
    arguments: list[str],
    environment: dict[str, str],
    forks_workers: bool,
    encoding: str,
    closed: bool,
    *outputs: str,
) -> NoReturn:
    os.setsid()
    os.environ.update(environment)
    tempfile.tempdir = None  # it may be another one by now
    if forks_workers:
        # It has imported torch, and has not computed with it.
        train.begin_command = lambda: setattr(forkable, "_fresh", True)
        processes.get_context = lambda method: get_context("fork")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir(directory)
    for number, path in enumerate((os.devnull, *outputs)):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags), number)
        buffering = 1 if number == 2 else -1  # lines, as at a start
        errors = "backslashreplace" if number == 2 else "strict"
        stream = open(number, "rww"[number], buffering, encoding, errors, closefd=False)  # noqa: SIM115
        setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
    if closed:
        os.close(1)
        sys.stdout = None  # type: ignore[assignment]  # as Python has it then
    status = 1
    try:
        status = cvtrain.cli.main.main(arguments)
    except SystemExit as ended:  # argparse's own --help
        status = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        traceback.print_exc()
    if not closed:
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
