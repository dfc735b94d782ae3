"""Run tests in copies of the repository, with a fault or without, each in a fork of this
process."""

from __future__ import annotations

import compileall
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mutate_table import ROOT, Fault, mutated

LIMIT_SECONDS = 240
NO_TESTS = (4, 5)
"""pytest's exit statuses if the requested tests do not exist."""


@dataclass
class Trial:
    """Tests that run in a copy of the repository, with one fault or without any.

    Attributes:
        copy: the copy, which only this trial uses.
        tests: arguments for pytest.
        fault: the fault, or None.
        output: file with pytest's output.
    """

    copy: Path
    tests: Sequence[str]
    fault: Fault | None
    output: Path
    began: float = field(default_factory=time.monotonic)
    original: str = ""
    process: int = 0

    def start(self) -> None:
        """Put the fault in, and run the tests in a fork of this process."""
        if self.fault is not None:
            path = self.copy / self.fault.file
            self.original = path.read_text(encoding="utf-8")
            _write(path, mutated(self.fault, self.copy))
        self.process = os.fork()
        if self.process == 0:
            os.setsid()
            status = 3
            try:
                status = _run_tests(self.copy, self.tests, self.output)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)

    def ended(self) -> int | None:
        """pytest's exit status, −1 after the time limit, or None while the tests run."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process == 0 and time.monotonic() - self.began < LIMIT_SECONDS:
            return None
        self.kill()
        if process == 0:
            os.waitpid(self.process, 0)
        if self.fault is not None:
            _write(self.copy / self.fault.file, self.original)
        return os.waitstatus_to_exitcode(status) if process else -1

    def kill(self) -> None:
        """End the tests and the processes that they started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)

    def failed_test(self) -> str | None:
        """The first test that failed."""
        for line in self.output.read_text(encoding="utf-8", errors="replace").splitlines():
            for kind in ("FAILED ", "ERROR "):
                if line.startswith(kind) and "::" in line:
                    return line.removeprefix(kind).partition(" - ")[0]
        return None


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    # Compiled files are identified by size and second, in which two faults may agree.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _run_tests(copy: Path, tests: Sequence[str], output: Path) -> int:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(copy)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(path for path in sys.path if Path(path).resolve() != ROOT)]
    os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    import hypothesis
    import pytest

    hypothesis.settings.register_profile("mutate", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("mutate")
    imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis, before pytest
    quick = ["-x", "-q", "-p", "no:cacheprovider", "--tb=line"]
    status = int(pytest.main([*quick, *imported, *tests]))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


class Mutation:
    """Tries faults, several at a time.

    Args:
        faults: faults to try.
        jobs: number of trials at a time.
        folder: an empty directory for copies of the repository.
    """

    def __init__(self, faults: Sequence[Fault], jobs: int, folder: Path) -> None:
        self._waiting = list(faults)
        self._free = [_copied(folder / f"copy{number}") for number in range(jobs)]
        self._folder = folder
        self._without: dict[str, bool] = {}

    def run(self) -> Iterator[tuple[Fault, str, str]]:
        """Each fault with ``seen``, ``not seen`` or ``error``, and the test or the reason."""
        running: list[Trial] = []
        try:
            while self._waiting or running:
                while self._waiting and self._free:
                    fault = self._waiting.pop(0)
                    tests = shlex.split(fault.tests)
                    running.append(self._started(tests, fault, self._free.pop()))
                time.sleep(0.05)
                for trial in list(running):
                    status = trial.ended()
                    if status is not None:
                        running.remove(trial)
                        assert trial.fault is not None
                        yield trial.fault, *self._judged(trial, status)
                        self._free.append(trial.copy)
        finally:  # Ctrl-C leaves no tests running
            for trial in running:
                trial.kill()

    def _started(self, tests: Sequence[str], fault: Fault | None, copy: Path) -> Trial:
        name = "without" if fault is None else str(fault.number)
        trial = Trial(copy, tests, fault, self._folder / f"{copy.name}-{name}.txt")
        trial.start()
        return trial

    def _judged(self, trial: Trial, status: int) -> tuple[str, str]:
        assert trial.fault is not None
        seconds = time.monotonic() - trial.began
        if status == 0:
            return "not seen", f"{seconds:.0f} s"
        if status == -1:
            return "seen", f"the tests did not end within {LIMIT_SECONDS} s"
        if status in NO_TESTS:
            return "error", f"no such tests: {trial.fault.tests}"
        failed = trial.failed_test()
        if not self._passes_without(
            [failed] if failed else shlex.split(trial.fault.tests), trial.copy
        ):
            return "error", f"fails without the fault too: {failed or trial.fault.tests}"
        return "seen", f"{failed or 'the tests cannot be imported'}, {seconds:.0f} s"

    def _passes_without(self, tests: Sequence[str], copy: Path) -> bool:
        key = " ".join(tests)
        if key not in self._without:
            trial = self._started(tests, None, copy)
            status = trial.ended()
            while status is None:
                time.sleep(0.05)
                status = trial.ended()
            self._without[key] = status == 0
        return self._without[key]


def _copied(folder: Path) -> Path:
    """Copy the files of the repository into `folder` and compile them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    compileall.compile_dir(folder / "cvtrain", quiet=2)
    return folder
