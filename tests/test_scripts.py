"""scripts/cvtrain and scripts/test on a copy of the repository, with a Python that plays a part."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = [ROOT / f"scripts/{name}" for name in ("cvtrain", "mutate", "test")]
SCRIPTS.append(ROOT / ".ci/run")

# Notes what it is asked for in $CALLS. `-m $FAILING` fails; `-m venv` gives a directory that holds
# a copy of itself; `-m pip` does what the file $CALLS.pip says, where $log is the file after --log;
# `-m cvtrain` shows where it runs and with what.
PLAYER = f"""#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$CALLS"
previous=
for argument; do
  if [ "$previous" = --log ]; then log=$argument; fi
  previous=$argument
done
case "$1 $2" in
  "-m $FAILING") exit 3 ;;
  "-m venv") rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  "-m pip") if [ -e "$CALLS.pip" ]; then source "$CALLS.pip"; fi ;;
  "-m cvtrain") printf '<%s>\\n' "$PWD" "${{@:3}}"; echo "$CVTRAIN_COMMAND" >"$CALLS.command" ;;
  "-m "*) ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""

PIP_FAILS_EARLY = 'echo "1 ERROR: No network" >"$log"; exit 1'
PIP_FAILS_LATE = 'echo "1 Installing collected packages: torch" >"$log"; exit 1'
PIP_NEVER_ENDS = "exec sleep 60"


class Copy:
    """A copy of what the scripts need, in a path with a space, and the calls its Python got."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "the copy"
        self.calls_file = directory / "calls"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.python = executable(directory / "player", PLAYER)
        self.environment = {
            **os.environ,
            "PYTHON": str(self.python),
            "CALLS": str(self.calls_file),
            "FAILING": "nothing",
        }

    @property
    def stamp(self) -> Path:
        return self.root / ".venv/cvtrain-stamp"

    def pip_does(self, script: str) -> None:
        Path(f"{self.calls_file}.pip").write_text(script)

    def calls(self) -> list[str]:
        """What Python was started for since the last call of this, the probes with -c left out."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return [line for line in lines if line.startswith("-m ")]

    def start(
        self, *arguments: str, script: str = "cvtrain", environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "scripts" / script, *arguments],
            cwd=self.elsewhere,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, script: str = "cvtrain", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, script=script, environment=environment)
        out, err = process.communicate(timeout=20)
        return subprocess.CompletedProcess([], process.returncode, out, err)


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


def of_pip(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("-m pip")]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


@pytest.mark.parametrize(
    "script", [*SCRIPTS, ROOT / "scripts/environment.sh"], ids=lambda path: path.name
)
def test_bash_accepts_the_scripts(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_commands_are_executable(script: Path) -> None:
    assert script.stat().st_mode & stat.S_IXUSR


def test_the_first_call_sets_up_and_the_second_only_runs(copy: Copy) -> None:
    first = copy.run("a=1")
    assert first.returncode == 0, first.stderr
    assert first.stderr.startswith("cvtrain: setting up .venv (first use")
    venv, newer_pip, pip, compiled, program = copy.calls()
    assert venv == f"-m venv --clear {copy.root}/.venv"
    assert newer_pip.endswith("--upgrade pip")
    assert pip.endswith("-c constraints.txt -e .")
    assert compiled.startswith("-m compileall")
    assert program == "-m cvtrain a=1"

    second = copy.run("a=1")
    assert (second.returncode, second.stderr) == (0, "")
    assert copy.calls() == ["-m cvtrain a=1"]


def test_arguments_and_working_directory_reach_the_program(copy: Copy) -> None:
    arguments = ["a=1 2", "", "b=[$HOME,'*']", "--help"]
    assert copy.run(*arguments).stdout.splitlines() == [
        f"<{argument}>" for argument in [str(copy.elsewhere), *arguments]
    ]


def test_a_symlink_to_the_script_serves_the_repository_that_it_leads_to(copy: Copy) -> None:
    link = copy.elsewhere / "link"
    link.symlink_to("../the copy/scripts/cvtrain")
    done = subprocess.run([link], env=copy.environment, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "</>\n"), done.stderr
    # What the program begins its lines for pasting with.
    assert Path(f"{copy.calls_file}.command").read_text() == f"{link}\n"
    assert copy.stamp.exists()


def test_the_exit_status_is_the_programs(copy: Copy) -> None:
    assert copy.run(environment={"FAILING": "cvtrain"}).returncode == 3


def test_dev_adds_to_the_same_environment_and_serves_both(copy: Copy) -> None:
    copy.run()
    copy.calls()
    tests = copy.run("-k", "a b", script="test")
    assert tests.returncode == 0, tests.stderr
    calls = copy.calls()
    assert calls[0].endswith("-e .[dev]")
    assert calls[2:] == [
        "-m ruff check",
        "-m ruff format --check",
        "-m mypy",
        "-m pytest -k a b",
    ]
    assert "test: all passed" in tests.stderr

    copy.run()
    copy.run(script="test")
    assert of_pip(copy.calls()) == []


def test_every_check_runs_and_those_that_fail_are_named(copy: Copy) -> None:
    done = copy.run("-x", script="test", environment={"FAILING": "ruff"})
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "test: failed: ruff check, ruff format --check"
    assert copy.calls()[-1] == "-m pytest -x"


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_pin_updates_in_place_with_what_was_there(copy: Copy, name: str) -> None:
    copy.run(script="test")
    copy.calls()
    with (copy.root / name).open("a") as file:
        file.write("# changed\n")
    assert "bringing .venv up to date (dev)" in copy.run().stderr
    pip, *_ = copy.calls()
    assert pip.endswith("-e .[dev]")


def test_a_moved_repository_gets_a_new_environment(copy: Copy) -> None:
    copy.run()
    copy.calls()
    copy.root = copy.root.rename(copy.directory / "moved")
    assert "the repository has moved" in copy.run().stderr
    assert copy.calls()[0].startswith("-m venv --clear")


def test_the_environment_of_another_repository_is_not_cleared_through_a_link(copy: Copy) -> None:
    copy.run()
    theirs = copy.root / ".venv"
    (theirs / "theirs").touch()
    copy.calls()
    shutil.copytree(copy.root / "scripts", copy.directory / "other/scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(copy.root / name, copy.directory / "other" / name)
    copy.root = copy.directory / "other"
    (copy.root / ".venv").symlink_to(theirs)
    done = copy.run()
    assert done.returncode == 2
    assert f".venv should be a directory, is a link to {theirs}" in done.stderr
    assert (theirs / "theirs").exists()
    assert copy.calls() == []


def test_an_environment_without_its_python_is_made_anew(copy: Copy) -> None:
    copy.run()
    (copy.root / ".venv/bin/python").unlink()
    assert "its Python is gone" in copy.run().stderr
    assert copy.stamp.exists()


def test_an_environment_of_the_users_own_is_added_to(copy: Copy) -> None:
    own = copy.root / ".venv/bin"
    own.mkdir(parents=True)
    shutil.copy(copy.python, own / "python")
    (own / "theirs").touch()
    assert "into the .venv found here" in copy.run().stderr
    assert (own / "theirs").exists()


def test_a_failing_pip_gives_one_line_and_no_stamp(copy: Copy) -> None:
    copy.pip_does(PIP_FAILS_EARLY)
    done = copy.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        f"cvtrain: pip failed (1): ERROR: No network (all of it: {copy.root}/.venv/setup.log)"
    ]
    assert not copy.stamp.exists()
    assert not any(call.startswith("-m cvtrain") for call in copy.calls())

    copy.pip_does("exit 0")
    assert "from the start" in copy.run().stderr
    assert copy.stamp.exists()


def test_without_network_the_tests_fail_and_the_program_still_runs(copy: Copy) -> None:
    copy.run()
    copy.pip_does(PIP_FAILS_EARLY)
    assert copy.run(script="test").returncode == 1
    again = copy.run()
    assert (again.returncode, again.stderr) == (0, "")


def test_a_pip_that_failed_while_installing_leaves_nothing_to_run(copy: Copy) -> None:
    copy.run()
    copy.pip_does(PIP_FAILS_LATE)
    assert copy.run(script="test").returncode == 1
    copy.pip_does("exit 0")
    assert "from the start" in copy.run().stderr


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(
            signal.SIGINT,
            130,
            marks=pytest.mark.skipif(
                signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="started with SIGINT off"
            ),
        ),
        (signal.SIGTERM, 143),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_the_call_after_an_interruption_recovers(
    copy: Copy, sent: signal.Signals, status: int
) -> None:
    copy.pip_does(PIP_NEVER_ENDS)
    process = copy.start()
    wait_for(lambda: copy.calls_file.exists() and "-m pip" in copy.calls_file.read_text())
    os.killpg(process.pid, sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert ("the next call sets up .venv from the start" in err) == (sent != signal.SIGKILL)

    copy.pip_does("exit 0")
    done = copy.run()
    assert done.returncode == 0
    assert "from the start: an earlier set-up was interrupted" in done.stderr


def test_two_first_calls_at_once_set_up_one_environment(copy: Copy) -> None:
    copy.pip_does("sleep 0.3")
    both = [copy.start(), copy.start(script="test")]
    for process in both:
        process.communicate(timeout=20)
    assert [process.returncode for process in both] == [0, 0]
    calls = copy.calls()
    assert sum(call.startswith("-m venv") for call in calls) == 1
    assert len({call.split()[-1] for call in of_pip(calls)}) == len(of_pip(calls))


def test_a_call_says_that_it_waits_for_another(copy: Copy) -> None:
    (copy.root / ".venv.lock").mkdir()
    with (copy.root / ".venv.lock/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = copy.start()
        assert process.stderr
        assert process.stderr.readline() == "cvtrain: waiting for another call that sets up .venv\n"
        assert not (copy.root / ".venv").exists()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_environment_needs_a_directory_that_can_be_written(copy: Copy) -> None:
    (copy.root / ".venv.lock").touch()  # in the way, also for root, who may write anywhere
    done = copy.run()
    assert done.returncode == 2
    assert done.stderr == f"cvtrain: cannot write in {copy.root}, where .venv belongs\n"


WITHOUT_VENV, SHIM = "#!/bin/sh\nexit 4\n", "#!/bin/sh\nexit 127\n"
OTHER_VERSION = f"""#!/usr/bin/env bash
exec "{sys.executable}" -c "import sys; sys.version_info = (3, %d, 0)
$2" "${{@:3}}"
"""
TOO_OLD, TOO_NEW = OTHER_VERSION % 9, OTHER_VERSION % 14


@pytest.mark.parametrize(
    ("pythons", "status", "words"),
    [
        ({}, 2, "needs Python 3.11 to 3.13: install one, or name it: PYTHON="),
        ({"python3": TOO_OLD}, 2, "needs Python 3.11 to 3.13 (python3 is 3.9): install one"),
        ({"python3": TOO_NEW}, 2, "needs Python 3.11 to 3.13 (python3 is 3.14): install one"),
        ({"python3.12": WITHOUT_VENV, "python3": TOO_OLD}, 2, "python3.12 lacks venv (on Debian"),
        ({"python3.13": SHIM, "python3.12": WITHOUT_VENV, "python3": PLAYER}, 0, "setting up"),
    ],
    ids=["none", "too old", "too new", "without venv", "the last one tried"],
)
def test_a_python_is_found_or_one_line_says_what_is_missing(
    copy: Copy, pythons: dict[str, str], status: int, words: str
) -> None:
    path = copy.directory / "path"
    path.mkdir()
    for tool in ("bash", "cat", "cp", "dirname", "env", "mkdir", "readlink", "rm", "sed"):
        (path / tool).symlink_to(str(shutil.which(tool)))
    for name, text in pythons.items():
        executable(path / name, text)
    done = copy.run(environment={"PATH": str(path), "PYTHON": ""})
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"cvtrain: {words}")
    if status:
        assert len(done.stderr.splitlines()) == 1
        assert not (copy.root / ".venv").exists()


def test_a_python_that_was_asked_for_is_not_replaced_by_another(copy: Copy) -> None:
    done = copy.run(environment={"PYTHON": "/nowhere/python"})
    assert done.returncode == 2
    line = "cvtrain: PYTHON=/nowhere/python: should be Python 3.11 to 3.13 (it does not run)\n"
    assert done.stderr == line
    newer = executable(copy.directory / "newer", TOO_NEW)
    done = copy.run(environment={"PYTHON": str(newer)})
    assert (
        done.stderr == f"cvtrain: PYTHON={newer}: should be Python 3.11 to 3.13 ({newer} is 3.14)\n"
    )


def test_every_dependency_is_pinned_to_one_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    # No URL and no local part (+cpu): pip takes the build that suits the machine.
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(names) == len(set(names))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    extras = [need for need in wanted if need.startswith("cvtrain[")]
    for extra in re.findall(r"\w+", "".join(extras).replace("cvtrain", "")):
        wanted += project["optional-dependencies"][extra]
    needed = {re.split("[<>=]", need)[0] for need in wanted if need not in extras}
    assert needed <= set(names)


def build(target: str, source: Path, into: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (made,) = into.iterdir()
    return made


def test_the_wheel_carries_the_configuration_and_the_plugin(tmp_path: Path) -> None:
    wheel = build("wheel", ROOT, tmp_path / "direct")
    names = set(zipfile.ZipFile(wheel).namelist())
    conf = {f"cvtrain/{path.relative_to(ROOT)}" for path in ROOT.glob("conf/**/*.yaml")}
    assert "cvtrain/conf/config.yaml" in conf
    assert conf <= names
    plugins = {name for name in names if name.startswith("hydra_plugins/")}
    assert plugins == {str(path.relative_to(ROOT)) for path in ROOT.glob("hydra_plugins/*.py")}
    assert "hydra_plugins/__init__.py" not in plugins
    assert {name.split("/")[0] for name in names} == {
        "cvtrain",
        "hydra_plugins",
        "cvtrain-0.1.0.dist-info",
    }

    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as sdist:
        sdist.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    through_sdist = build("wheel", source, tmp_path / "through_sdist")
    assert set(zipfile.ZipFile(through_sdist).namelist()) == names


def test_the_wheel_runs_in_an_empty_directory(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(build("wheel", ROOT, tmp_path / "wheel")).extractall(installed)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "cvtrain", "--cfg", "job"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "convention:" in done.stdout
    assert list(empty.iterdir()) == []
