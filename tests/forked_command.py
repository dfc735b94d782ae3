"""The command line in processes that have everything imported: forks of one that waits.

Importing torch and Lightning takes longest of a short command, and what a test kills or interrupts
should be the work. Their reports have blank figures.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 60.0

PROGRAM = """
    import json, os, signal, sys
    import cvtrain.cli.main, cvtrain.cli.train, cvtrain.training.train, cvtrain.experiments.publish
    import cvtrain.sweeps.packing, cvtrain.sweeps.sweeper, cvtrain.training.preflight
    import cvtrain.report.html, hydra_plugins.cvtrain_sweeper
    from tests.blank_figures import figures_left_blank

    blank = figures_left_blank()
    blank.__enter__()
    print("ready", flush=True)
    for line in sys.stdin:
        directory, arguments, out, err = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(directory)
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            status = cvtrain.cli.main.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
"""


class ForkedCommands:
    """Forks commands, one at a time, and kills them where that is asked for."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(
        self,
        directory: Path,
        *arguments: str,
        killed_after: float | None = None,
        killed_when: Callable[[], bool] | None = None,
        number: int = signal.SIGKILL,
        unread: str | None = None,
        patience: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """What `python -m cvtrain` does in `directory`.

        It gets signal `number` so many seconds after its fork, or once `killed_when` is true.
        The reader of the output `unread` ("out" or "err") leaves after the first line. A command
        that takes more than `patience` seconds is killed.
        """
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            outputs = [Path(folder) / name for name in ("out", "err")]
            if unread is not None:
                os.mkfifo(Path(folder) / unread)
            asked = [str(directory), arguments, *map(str, outputs)]
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            child = int(self._line())
            limit = threading.Timer(patience or math.inf, os.kill, (child, signal.SIGKILL))
            if patience is not None:
                limit.start()
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
                    os.kill(child, number)
            status = int(self._line())
            limit.cancel()
            out, err = (
                "" if path.name == unread else path.read_text(encoding="utf-8") for path in outputs
            )
        return subprocess.CompletedProcess(arguments, status, out, err)

    def close(self) -> None:
        """End the process that waits."""
        self._process.kill()
        self._process.communicate()
