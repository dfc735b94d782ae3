"""Ctrl-C and SIGTERM leave valid files, the status `interrupted` and exit 130 or 143."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cvtrain.cli import convert
from cvtrain.config.compose import Composer
from cvtrain.process.errors import Interrupted
from cvtrain.process.signals import children_shielded_from_ctrl_c, interruption, signals_handled
from cvtrain.runs.checkpoint import load_checkpoint

ENDLESS = ("max_steps=1000000", "model.hidden=[8]", "signals.histograms_every=0")
SWEEP = ("seed=0,1", "-m")
PATIENCE = 60.0


def rows_written(root: Path, runs: int = 1) -> Callable[[], bool]:
    """Whether so many runs have written their first rows."""

    def written() -> bool:
        tables = [path.read_text() for path in root.rglob("metrics.csv")]
        return sum(table.count("\n") > 3 for table in tables) >= runs

    return written


def check(run_directory: Path) -> None:
    record = json.loads((run_directory / "run.json").read_text())
    assert record["status"] == "interrupted"
    weights, step = load_checkpoint(run_directory / "checkpoints" / "last.ckpt")
    assert step == record["steps"] > 0
    assert all(weight.isfinite().all() for weight in weights.values())
    assert (run_directory / "metrics.csv").read_text().endswith("\n")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)],
)
def test_an_interrupted_run_leaves_valid_files(commands, tmp_path, number, status):
    started = rows_written(tmp_path)
    done = commands.run(tmp_path, *ENDLESS, killed_when=started, number=number)
    assert done.returncode == status
    assert "interrupted" in done.stderr
    assert "Traceback" not in done.stderr
    (directory,) = (tmp_path / "outputs" / "default").iterdir()
    check(directory)
    assert not [p for p in tmp_path.rglob(".*") if p.name not in (".hydra",)]


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGTERM, 143)],
)
def test_an_interrupted_sweep_leaves_valid_files_and_no_lock(commands, tmp_path, number, status):
    started = rows_written(tmp_path, runs=2)
    done = commands.run(tmp_path, *ENDLESS, *SWEEP, killed_when=started, number=number)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    (directory,) = (tmp_path / "outputs" / "sweep").iterdir()
    for run in ("0_seed=0", "1_seed=1"):
        check(directory / run)
    assert not [p for p in tmp_path.rglob(".*") if p.name not in (".hydra",)]
    assert len(json.loads((directory / "sweep.json").read_text())["points"]) == 2


def test_a_run_that_has_not_begun_when_the_sweep_is_interrupted_leaves_nothing(commands, tmp_path):
    started = rows_written(tmp_path)
    one_by_one = (*SWEEP, "hydra/launcher=basic")
    commands.run(tmp_path, *ENDLESS, *one_by_one, killed_when=started, number=signal.SIGINT)
    (directory,) = (tmp_path / "outputs" / "sweep").iterdir()
    check(directory / "0_seed=0")
    assert not (directory / "1_seed=1").exists()


def test_a_process_that_starts_is_not_ended_by_the_ctrl_c_of_its_terminal():
    with children_shielded_from_ctrl_c():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.5)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def send() -> None:
    os.kill(os.getpid(), signal.SIGINT)


class Finalised:
    """Gets the signal while it is finalised; Python drops what is raised there."""

    def __del__(self) -> None:
        send()


def in_a_finaliser() -> None:
    Finalised()


def in_a_collection() -> None:
    cycle: list[Any] = [Finalised()]
    cycle.append(cycle)
    del cycle
    gc.collect()


def in_a_callback_of_a_weak_reference() -> None:
    target = Interrupted(0)  # anything that can be referred to
    reference = weakref.ref(target, lambda _: send())
    del target
    assert reference() is None


def under_a_bare_except() -> None:
    with suppress(BaseException):
        send()


def where_a_library_makes_an_error_of_it() -> None:
    try:
        send()
    except BaseException as error:
        raise ValueError("a grammar of eighty lines") from error


PLACES = [
    in_a_finaliser,
    in_a_collection,
    in_a_callback_of_a_weak_reference,
    under_a_bare_except,
    where_a_library_makes_an_error_of_it,
]


@pytest.mark.parametrize(
    ("arguments", "interrupt"),
    [*(((), interrupt) for interrupt in PLACES), (SWEEP, in_a_finaliser)],
)
def test_a_signal_that_is_dropped_on_its_way_is_seen_before_anything_is_made(
    command, monkeypatch, interrupt, arguments
):
    compose = Composer.compose

    def interrupted(*args: Any) -> Any:
        interrupt()
        return compose(*args)

    monkeypatch.setattr(Composer, "compose", interrupted)
    done = command("max_steps=10", *arguments)
    assert done.status == 130
    assert done.err.splitlines()[-1] == "cvtrain: interrupted; what was trained is kept"
    assert not [word for word in ("Traceback", "ignored") if word in done.err]
    assert done.made == []


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize(
    "patched",
    [
        "cvtrain.training.preflight.check_numbers",
        "cvtrain.sweeps.packing.common_part",
        "cvtrain.sweeps.point_jobs.places",
        "cvtrain.experiments.publish.load",
        "cvtrain.experiments.publish.report_on",
        "cvtrain.report.export.save_figure",
    ],
)
def test_at_no_stage_a_sweep_goes_on_after_a_signal(command, monkeypatch, patched):
    home, _, name = patched.rpartition(".")
    function = getattr(sys.modules.get(home) or __import__(home, fromlist=[name]), name)

    def interrupted(*args: Any, **named: Any) -> Any:
        in_a_finaliser()
        return function(*args, **named)

    monkeypatch.setattr(patched, interrupted)
    done = command("max_steps=10", "model.hidden=[4]", "seed=0,1", "-m")
    assert done.status == 130, done.err
    assert "cvtrain: interrupted" in done.err
    assert "Traceback" not in done.err
    records = [json.loads(path.read_text()) for path in done.directory.rglob("run.json")]
    pages = list(done.directory.glob("outputs/sweep/*/report/index.html"))
    assert not pages or "finished" not in {record["status"] for record in records}


def test_the_report_on_what_was_stopped_ends_by_another_signal_alone():
    with signals_handled():
        interruption.request(signal.SIGINT)
        with pytest.raises(Interrupted):
            interruption.check()
        with interruption.answered():
            interruption.check()
            with pytest.raises(Interrupted):
                send()
                time.sleep(1)
            with pytest.raises(Interrupted):
                interruption.check()
    interruption.check()


def test_a_block_inside_another_forgets_no_signal():
    with signals_handled():
        interruption.request(signal.SIGTERM)
        with signals_handled():
            pass
        assert interruption.requested == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == interruption.handle


def closed_after_a_line(root: Path, *arguments: str) -> tuple[int, str]:
    """Read one line of a command's stdout and close it; its status and stderr."""
    with subprocess.Popen(
        [sys.executable, "-m", "cvtrain", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            error = process.stderr.read()
            return process.wait(PATIENCE), error
        finally:
            process.kill()


def test_training_that_nobody_reads_ends_with_what_was_trained(tmp_path):
    status, error = closed_after_a_line(tmp_path, *ENDLESS)
    assert status == 128 + signal.SIGPIPE
    assert "Traceback" not in error
    assert "its output was closed; what was trained is kept" in error
    records = statuses(tmp_path)
    if records:  # its reader may go before anything is trained
        assert re.search(r"to continue: \S*python\S* -m cvtrain", error)
    assert set(records) <= {"interrupted"}


@pytest.mark.parametrize(
    ("unread", "arguments"),
    [
        ("err", ()),
        pytest.param("err", ("hydra.launcher.workers=2",), marks=pytest.mark.long),
        pytest.param("out", ("hydra/launcher=basic",), marks=pytest.mark.long),
    ],
)
def test_a_sweep_that_nobody_reads_ends_with_what_was_trained(
    commands, tmp_path, unread, arguments
):
    done = commands.run(tmp_path, *ENDLESS, *SWEEP, *arguments, unread=unread)
    assert done.returncode == 128 + signal.SIGPIPE
    assert "Traceback" not in done.stdout + done.stderr
    assert set(statuses(tmp_path)) <= {"interrupted"}


def statuses(root: Path) -> list[str]:
    return [json.loads(path.read_text())["status"] for path in root.rglob("run.json")]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        pytest.param(("--cfg", "job"), marks=pytest.mark.long),
        pytest.param(("--hydra-help",), marks=pytest.mark.long),
    ],
)
def test_a_text_that_is_not_read_to_its_end_is_nothing_wrong(tmp_path, arguments):
    status, error = closed_after_a_line(tmp_path, *arguments)
    assert status in (0, 128 + signal.SIGPIPE)  # it may have been faster
    assert error == ""


def test_an_output_that_is_closed_at_a_write_is_a_status_alone(monkeypatch, capfd):
    def closed(*_: object) -> None:
        raise BrokenPipeError

    read, write = os.pipe()
    saved = os.dup(1)
    os.dup2(write, 1)
    os.close(write)
    os.close(read)
    monkeypatch.setattr(convert, "account", closed)
    try:
        assert convert.main(["--from", "pytorch", "--to", "wirtinger", "sgd", "lr=1"]) == 141
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert capfd.readouterr().err == ""


def test_a_broken_pipe_of_something_else_is_a_failure_like_any_other(monkeypatch):
    def broken(*_: object) -> None:
        raise BrokenPipeError("of a worker")

    monkeypatch.setattr(convert, "account", broken)
    with pytest.raises(BrokenPipeError, match="of a worker"):
        convert.main(["--from", "pytorch", "--to", "wirtinger", "sgd", "lr=1"])
