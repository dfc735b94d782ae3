"""What something else removes or replaces while it trains: that run fails, and is not made anew."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvtrain.cli.train import main
from cvtrain.runs.writer import RunWriter
from tests.sweeps.small_sweep import assert_equal, resume, statuses, sweep

SHORT = ("optimizer=sgd", "objective.scale=1", "seed=0,1,2", "signals.scalars_every=1")
STACKED, SINGLY = (), ("hydra.launcher.max_stack=1",)
AT = 40
ANOTHER = "2000-01-01T00:00:00+00:00"
Change = Callable[[Path], None]


def remove_directory(run: Path) -> None:
    shutil.rmtree(run)


def replace_directory(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def put_another_run(run: Path) -> None:
    content = json.loads((run / "run.json").read_text()) | {"started": ANOTHER}
    replace_directory(run)
    (run / "run.json").write_text(json.dumps(content))


def remove_table(run: Path) -> None:
    (run / "metrics.csv").unlink()


def cut_table(run: Path) -> None:
    (run / "metrics.csv").write_text("step,train/loss\r\n")


def remove_events(run: Path) -> None:
    (path,) = run.glob("events.out.tfevents.*")
    path.unlink()


QUICK = (remove_directory, put_another_run, remove_table, remove_events)
CHANGES = (*QUICK, replace_directory, cut_table)
"""What a writer notices of them, tests/runs/test_removed_files.py tells for each."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("removed") / "whole"
    assert sweep(directory, *SHORT) == 0
    return directory


@pytest.fixture
def at_step(monkeypatch, tmp_path):
    """`at_step(change)`: make it once, before a row of the first run in `tmp_path`."""

    def plan(change: Callable[[], None], step: int = AT) -> None:
        write = RunWriter.write
        waiting = [change]

        def changed(recorder: RunWriter, at: int, *row: object) -> bool:
            ours = recorder._directories[0].is_relative_to(tmp_path)
            if ours and at >= step and waiting:
                recorder.flush()
                waiting.pop()()
            return write(recorder, at, *row)

        monkeypatch.setattr(RunWriter, "write", changed)
        monkeypatch.setattr("cvtrain.runs.writer.FLUSH_EVERY", 5)

    return plan


@pytest.mark.parametrize(
    ("change", "how"),
    [
        *((change, STACKED) for change in QUICK),
        (remove_table, SINGLY),
        *(
            pytest.param(change, how, marks=pytest.mark.long)
            for change, how in itertools.product(CHANGES, (STACKED, SINGLY))
            if how is SINGLY or change not in QUICK
        ),
    ],
)
def test_a_run_whose_files_go_fails_and_the_others_do_not(
    whole, tmp_path, capsys, at_step, change, how
):
    directory = tmp_path / "sweep"
    run = directory / "0_seed=0"
    at_step(lambda: change(run))
    assert sweep(directory, *SHORT, *how) == 1
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert f"resume={directory}" in printed
    by_status = statuses(directory) if change is not put_another_run else {}
    if change is remove_directory:
        assert not run.exists()
        assert "1 of 3 runs have no result (was 0_seed=0 removed" in printed
    elif change is put_another_run:
        assert json.loads((run / "run.json").read_text())["started"] == ANOTHER
        assert [path.name for path in run.iterdir()] == ["run.json"]
        shutil.rmtree(run)
    else:
        assert by_status.pop(run.name) == "failed"
        assert "1 of 3 runs failed" in printed
        error = json.loads((run / "run.json").read_text())["error"]
        assert "was removed while the run trained" in error or "was changed" in error
    assert set(by_status.values()) <= {"finished"}
    if not how:
        assert resume(directory) == 0
        assert_equal(whole, directory)


@pytest.mark.parametrize("how", [STACKED, SINGLY], ids=["stacked", "singly"])
def test_where_errors_stop_a_sweep_a_file_that_goes_stops_it(tmp_path, at_step, how):
    directory = tmp_path / "sweep"
    at_step(lambda: remove_table(directory / "0_seed=0"))
    assert sweep(directory, *SHORT, *how, "on_error=stop") == 1
    by_status = statuses(directory)
    assert by_status.pop("0_seed=0") == "failed"
    assert set(by_status.values()) <= {"interrupted"}
    if not how:
        assert len(by_status) == 2
        assert resume(directory) == 0
        assert set(statuses(directory).values()) == {"finished"}


@pytest.mark.parametrize("how", [STACKED, SINGLY, ("hydra/launcher=basic",)])
def test_a_sweep_directory_that_goes_ends_the_sweep(tmp_path, capsys, at_step, how):
    directory = tmp_path / "sweep"
    at_step(lambda: shutil.rmtree(directory))
    assert sweep(directory, *SHORT, *how) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "removed" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"cvtrain: {directory}: was removed")
    if "hydra/launcher=basic" not in how:
        assert not directory.exists()


def test_a_directory_that_another_sweep_has_by_now_is_left_to_it(tmp_path, capsys, at_step):
    directory = tmp_path / "sweep"

    def replace() -> None:
        shutil.rmtree(directory)
        directory.mkdir()
        for name in (".owner", ".lock"):
            (directory / name).write_text("another")

    at_step(replace)
    assert sweep(directory, *SHORT, *SINGLY) == 1
    assert f"{directory}: was removed or replaced" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        ".owner": "another",
        ".lock": "another",
    }


@pytest.mark.parametrize("change", [remove_directory, remove_table])
def test_a_single_run_whose_files_go_is_told_in_a_line(tmp_path, capsys, at_step, change):
    directory = tmp_path / "run"
    at_step(lambda: change(directory))
    arguments = ["model.hidden=[4]", "max_steps=60", "signals.scalars_every=1"]
    assert main([*arguments, f"hydra.run.dir={directory}"]) == 1
    (lines,) = capsys.readouterr().err.splitlines()
    assert lines.startswith(f"cvtrain: the run failed: {directory}")
    assert "was removed while the run trained" in lines
    if change is remove_directory:
        assert not directory.exists()
    else:
        assert not (directory / "metrics.csv").exists()
        assert statuses(tmp_path) == {"run": "failed"}


def test_a_sweep_without_its_list_of_points_is_not_said_to_be_complete(tmp_path, capsys, at_step):
    directory = tmp_path / "sweep"
    at_step((directory / "sweep.json").unlink)
    assert sweep(directory, *SHORT) == 1
    assert f"{directory / 'sweep.json'}: was removed" in capsys.readouterr().err
