"""Mutation testing: which of a fixed list of small faults in the code the tests see.

scripts/mutate [--jobs 2] [--range 1-50] [--kind optim] [--unseen] [--list]

Every fault in scripts/faults/*.toml replaces one piece of text in one file. Each is put into a copy
of the repository by itself, never into the checkout, and the tests of its part run there in their
quick form. A fault is *seen* where a test fails with it and passes without it, or where the tests
do not end within the limit. What each fault came to is kept in outputs/mutations.json, from which
--unseen takes the faults to try again.

Exit status: 0; 1 where less than 95 % of the tried faults were seen; 2 where a fault does not apply
exactly once any more, or its tests are not there or do not pass without it.

Why a table, and not mutmut or cosmic-ray: they make every syntactic change there is (`<` to `<=`, a
number plus one), tens of thousands here, most of which change nothing that a user would notice. The
faults of the table are mistakes of meaning (a factor, a sign, the wrong seeds), each with the tests
that should see it and what a user would get wrong, so that the count means something and a fixed
list can be measured again. It takes little time: torch is imported once, and every fault is a fork.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "scripts" / "faults"
RESULTS = ROOT / "outputs" / "mutations.json"
GOAL = 0.95
LIMIT_SECONDS = 240
NO_TESTS = (4, 5)
"""pytest's exit statuses where it is asked for tests that are not there."""
PRELOADED = (
    *("torch", "lightning.pytorch", "hydra", "torchcvnn.nn", "torchmetrics.classification"),
    *("pandas", "scipy.stats", "scipy.optimize", "sklearn.datasets", "matplotlib.figure"),
    *("jinja2", "rich.console", "pydantic", "h5py", "hypothesis", "pytest"),
    *("tensorboard.compat.proto.event_pb2", "torch.utils.tensorboard"),
)


@dataclass(frozen=True)
class Fault:
    """A small mistake that somebody might make.

    Attributes:
        number: its place in the table, from 1.
        kind: the part of the code, the name of its file in scripts/faults.
        file: below the repository.
        old, new: text of the file, and what stands there with the fault.
        tests: arguments for pytest, the tests of the part.
        wrong: what a user would get wrong.
    """

    number: int
    kind: str
    file: str
    old: str
    new: str
    tests: str
    wrong: str


def read_table(folder: Path = TABLE) -> list[Fault]:
    """All faults, in the order of the files' names."""
    entries = [
        (path.stem, entry)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    ]
    return [Fault(number, kind, **entry) for number, (kind, entry) in enumerate(entries, 1)]


def mutated(fault: Fault, root: Path = ROOT) -> str:
    """The file's content with the fault.

    Raises:
        ValueError: the fault does not apply exactly once, changes nothing, or makes no Python.
    """
    path = root / fault.file
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    count = content.count(fault.old)
    if count != 1:
        raise ValueError(f"{fault.file} has its text {count} times, not once: {fault.old!r}")
    changed = content.replace(fault.old, fault.new)
    if changed == content:
        raise ValueError(f"{fault.file}: it changes nothing")
    if path.suffix == ".py":
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise ValueError(f"{fault.file}: it makes no Python: {error}") from None
    return changed


@dataclass
class Trial:
    """Tests that run in a copy of the repository, with one fault or without any.

    Attributes:
        copy: the copy, which is nobody else's for as long.
        tests: arguments for pytest.
        fault: the fault, or None.
        output: file with what pytest printed.
    """

    copy: Path
    tests: Sequence[str]
    fault: Fault | None
    output: Path
    began: float = field(default_factory=time.monotonic)
    process: int = 0

    def start(self) -> None:
        """Put the fault in, and run the tests in a fork of this process."""
        if self.fault is not None:
            _write(self.copy / self.fault.file, mutated(self.fault, self.copy))
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
        """pytest's exit status, −1 past the limit, or None while the tests run."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process == 0 and time.monotonic() - self.began < LIMIT_SECONDS:
            return None
        with contextlib.suppress(ProcessLookupError):  # and what the tests have started
            os.killpg(self.process, signal.SIGKILL)
        if process == 0:
            os.waitpid(self.process, 0)
        if self.fault is not None:
            original = (ROOT / self.fault.file).read_text(encoding="utf-8")
            _write(self.copy / self.fault.file, original)
        return os.waitstatus_to_exitcode(status) if process else -1

    def failed_test(self) -> str | None:
        """The first test that failed."""
        for line in self.output.read_text(encoding="utf-8", errors="replace").splitlines():
            for kind in ("FAILED ", "ERROR "):
                if line.startswith(kind) and "::" in line:
                    return line.removeprefix(kind).partition(" - ")[0]
        return None


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    # Compiled code is recognised by size and second, in which two faults may agree.
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _run_tests(copy: Path, tests: Sequence[str], output: Path) -> int:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(copy)
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(place for place in sys.path if Path(place).resolve() != ROOT)]
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
    """What becomes of faults, several at a time.

    Args:
        faults: to be tried.
        jobs: how many at a time.
        place: an empty directory for copies of the repository.
    """

    def __init__(self, faults: Sequence[Fault], jobs: int, place: Path) -> None:
        self._waiting = list(faults)
        self._free = [_copied(place / f"copy{number}") for number in range(jobs)]
        self._place = place
        self._without: dict[str, bool] = {}

    def run(self) -> Iterator[tuple[Fault, str, str]]:
        """Each fault with ``seen``, ``not seen`` or ``error``, and by which test or why."""
        running: list[Trial] = []
        while self._waiting or running:
            while self._waiting and self._free:
                fault = self._waiting.pop(0)
                running.append(self._started(shlex.split(fault.tests), fault, self._free.pop()))
            time.sleep(0.05)
            for trial in list(running):
                status = trial.ended()
                if status is not None:
                    running.remove(trial)
                    assert trial.fault is not None
                    yield trial.fault, *self._judged(trial, status)
                    self._free.append(trial.copy)

    def _started(self, tests: Sequence[str], fault: Fault | None, copy: Path) -> Trial:
        name = "without" if fault is None else str(fault.number)
        trial = Trial(copy, tests, fault, self._place / f"{copy.name}-{name}.txt")
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


def _copied(place: Path) -> Path:
    """A copy of the files that belong to the repository, compiled."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, place / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    compileall.compile_dir(place / "cvtrain", quiet=2)
    return place


def chosen(faults: Sequence[Fault], given: argparse.Namespace) -> list[Fault]:
    """Those that the options ask for."""
    first, _, last = (given.range or f"1-{len(faults)}").partition("-")
    numbers = range(int(first), int(last or first) + 1)
    before = _results()
    return [
        fault
        for fault in faults
        if fault.number in numbers
        and given.kind in (None, fault.kind)
        and not (given.unseen and before.get(_key(fault)) == "seen")
    ]


def _key(fault: Fault) -> str:
    return f"{fault.file}: {fault.wrong}"


def _results() -> dict[str, str]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def _keep(fault: Fault, outcome: str) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content = json.dumps(_results() | {_key(fault): outcome}, indent=1, ensure_ascii=False)
    RESULTS.write_text(content + "\n", encoding="utf-8")


def main() -> int:
    """Try the faults that are asked for and print what each came to."""
    faults = read_table()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="faults at a time")
    parser.add_argument("--range", help="numbers, such as 1-50 or 7")
    parser.add_argument("--kind", choices=sorted({fault.kind for fault in faults}))
    parser.add_argument("--unseen", action="store_true", help="those not seen the last time")
    parser.add_argument("--list", action="store_true", help="name the faults and try none")
    given = parser.parse_args()
    wanted = chosen(faults, given)
    errors = []
    for fault in wanted:
        try:
            mutated(fault)
        except ValueError as error:
            errors.append(f"{fault.number}: does not apply: {error}")
    print("\n".join(errors), end="\n" if errors else "")
    if errors:
        return 2
    if given.list:
        for fault in wanted:
            print(f"{fault.number:3d} {fault.kind:10s} {fault.file}: {fault.wrong}")
        return 0
    for name in PRELOADED:
        importlib.import_module(name)
    counts = dict.fromkeys(("seen", "not seen", "error"), 0)
    with tempfile.TemporaryDirectory(prefix="mutate-") as place:
        for fault, outcome, why in Mutation(wanted, given.jobs, Path(place)).run():
            counts[outcome] += 1
            _keep(fault, outcome)
            print(f"{fault.number:3d} {outcome:8s} {fault.file}: {fault.wrong} ({why})", flush=True)
    tried = len(wanted)
    share = counts["seen"] / tried if tried else 1.0
    print(
        f"{counts['seen']} of {tried} faults seen ({share:.1%}), {counts['not seen']} not seen,"
        f" {counts['error']} errors"
    )
    return 2 if counts["error"] else int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
