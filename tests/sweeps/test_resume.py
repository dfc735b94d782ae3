"""A sweep that was stopped and is gone on with ends as one that never was."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cvtrain.cli.train import main
from cvtrain.process.errors import Interrupted
from cvtrain.process.plain_text import cvtrain_command
from cvtrain.runs.journal import Journal
from cvtrain.sweeps.launcher import JobBatch
from cvtrain.sweeps.plan import Plan
from cvtrain.sweeps.resume import resumption
from cvtrain.sweeps.session import report
from tests.sweeps.small_sweep import RUNS, SMALL, assert_equal, resume, sweep
from tests.training.trained_runs import composer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("resume") / "whole"
    assert sweep(directory) == 0
    return directory


@pytest.fixture(scope="module")
def four_runs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("four") / "sweep"
    assert sweep(directory, "optimizer=sgd", "seed=0", "max_steps=5") == 0
    return directory


def with_another_content(four_runs: Path, tmp_path: Path, change: Callable[[dict], None]) -> Path:
    """A copy of the sweep whose sweep.json somebody has changed."""
    directory = tmp_path / "sweep"
    shutil.copytree(four_runs, directory)
    path = directory / "sweep.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return directory


def changed_times(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): path.stat().st_mtime_ns
        for path in directory.glob("*/*.*")
        if path.parent.name not in ("report", "aggregate")
    }


def test_what_has_ended_is_not_touched_and_what_has_not_is_trained(whole, tmp_path, capsys):
    directory = tmp_path / "sweep"
    shutil.copytree(whole, directory)
    spoiled = sorted(directory.glob("*/run.json"))[1::3]
    for path, status in zip(spoiled, ("running", "interrupted", "failed", None), strict=True):
        if status is None:
            path.unlink()
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content | {"status": status, "final": {}}), encoding="utf-8")
        (path.parent / "metrics.csv").write_bytes(b"step,x\r\n0,1.0\r\n1,2")
    before = changed_times(directory)
    capsys.readouterr()
    assert resume(directory) == 0
    assert f"{RUNS - 4} of {RUNS} runs have ended already" in capsys.readouterr().err
    after = changed_times(directory)
    trained = {name.partition("/")[0] for name in after if before.get(name) != after[name]}
    assert trained == {path.parent.name for path in spoiled}
    assert_equal(whole, directory)


def test_a_complete_sweep_is_reported_again_and_nothing_is_trained(whole, capsys):
    before = changed_times(whole)
    assert resume(whole) == 0
    assert f"{RUNS} of {RUNS} runs have ended already" in capsys.readouterr().err
    assert changed_times(whole) == before


def test_a_larger_command_adds_points_and_a_smaller_one_leaves_them(tmp_path, capsys):
    directory = tmp_path / "sweep"
    assert sweep(directory, "seed=0,1", "max_steps=5") == 0
    before = changed_times(directory)
    capsys.readouterr()
    assert main([*SMALL, "seed=1,2", "max_steps=5", f"resume={directory}"]) == 0
    printed = capsys.readouterr().err
    assert "4 of 8 runs have ended already" in printed
    assert "4 points are new" in printed
    assert "4 points are not asked for and stay as they are" in printed
    after = changed_times(directory)
    assert {name: after[name] for name in before} == before
    points = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))["points"]
    assert [point["number"] for point in points] == list(range(RUNS))
    assert len({point["directory"] for point in points}) == RUNS


def test_latest_is_the_sweep_that_was_begun_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, created in (("a", "2026-01-02T00:00:00+00:00"), ("b", "2026-01-01T00:00:00+00:00")):
        directory = tmp_path / "outputs" / "sweep" / name
        assert sweep(directory, "optimizer=sgd", "seed=0", "max_steps=5") == 0
        path = directory / "sweep.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(content | {"created": created}), encoding="utf-8")
    capsys.readouterr()
    assert resume("latest") == 0
    assert "outputs/sweep/a" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ["resume=nowhere"],
            "resume=nowhere: should be the directory of a sweep or run; it has no sweep.json",
        ),
        (["resume=latest", "output=nowhere"], "resume=latest: no sweep is below nowhere"),
        (["resume={whole}", "seed=7,8"], "none of its 12 points is requested"),
        (["resume={whole}/.."], "should be the directory of a sweep"),
    ],
)
def test_what_cannot_be_gone_on_with_is_a_line_and_status_2(whole, capsys, given, told):
    before = changed_times(whole)
    assert main([text.format(whole=whole) for text in given]) == 2
    captured = capsys.readouterr().err
    assert told in captured
    assert "Traceback" not in captured
    assert changed_times(whole) == before


@pytest.mark.parametrize(
    "name",
    [
        *("../outside", "/etc", "a/b", "", ".", "..", ".hydra", "aggregate", "a\nb", "x" * 256),
        *("${oc.select:none,..}", "..${oc.env:HOME}", "${none}"),  # as Hydra would read them
    ],
)
def test_a_directory_name_that_leads_out_of_the_sweep_is_refused(four_runs, tmp_path, capsys, name):
    directory = with_another_content(
        four_runs, tmp_path, lambda content: content["points"][0].update(directory=name)
    )
    assert resume(directory) == 2
    assert "is no name of a run directory" in capsys.readouterr().err
    assert sorted(child.name for child in tmp_path.iterdir()) == ["sweep"]


@pytest.mark.parametrize(
    "text",
    [
        "+hydra.callbacks.x._target_=subprocess.Popen",
        "hydra.launcher._target_=subprocess.Popen",
        "hydra/sweeper=basic",
        "trusted_modules=[subprocess]",
    ],
)
def test_a_command_in_a_file_chooses_no_code(four_runs, tmp_path, capsys, text):
    directory = with_another_content(
        four_runs, tmp_path, lambda content: content["command"].append(text)
    )
    assert resume(directory) == 2
    assert "is not taken from a file" in capsys.readouterr().err


def test_a_link_out_of_the_sweep_is_refused_before_anything_is_written(tmp_path, capsys):
    directory, outside = tmp_path / "sweep", tmp_path / "outside"
    assert sweep(directory, "optimizer=sgd", "seed=0", "max_steps=5", "pause_at=3") == 0
    outside.write_text("mine")
    for path in directory.glob("*/metrics.csv"):
        path.unlink()
        path.symlink_to(outside)
    capsys.readouterr()
    assert resume(directory) == 2
    assert "is a link out of" in capsys.readouterr().err
    assert outside.read_text() == "mine"


def test_a_target_in_a_file_is_of_what_is_trusted(four_runs, tmp_path, capsys):
    def another_model(content: dict) -> None:
        kept = [text for text in content["command"] if not text.startswith("model")]
        content["command"] = [*kept, "model=custom", "model._target_=subprocess.Popen"]

    directory = with_another_content(four_runs, tmp_path, another_model)
    assert resume(directory) == 2
    assert "subprocess" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trained", "error"),
    [
        (True, Interrupted(signal.SIGINT)),
        (False, Interrupted(signal.SIGINT)),
        (False, KeyError("val/loss")),
    ],
)
def test_ctrl_c_tells_how_to_go_on_whatever_becomes_of_the_report(
    tmp_path, capsys, monkeypatch, trained, error
):
    def raising(raised: BaseException) -> Callable[..., None]:
        def throw(*_: object, **__: object) -> None:
            raise raised

        return throw

    monkeypatch.setattr("cvtrain.experiments.publish.publish", raising(error))
    if not trained:
        monkeypatch.setattr(JobBatch, "launch_points", raising(Interrupted(signal.SIGINT)))
    directory = tmp_path / "sweep"
    assert sweep(directory, "optimizer=sgd", "seed=0", "max_steps=5") == 130
    hint = f"cvtrain: to continue: {cvtrain_command(f'resume={directory}')}\n"
    assert capsys.readouterr().err.count(hint) == 1


def test_interrupted_runs_have_not_ended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("cvtrain.experiments.publish.publish", lambda directory: None)
    counts = {"finished": 1, "diverged": 1, "failed": 1, "interrupted": 2, None: 1}
    report(SimpleNamespace(count=lambda points: counts, root=tmp_path), range(6))
    assert capsys.readouterr().err == "3 of 6 runs ended, 2 were interrupted\n"


def test_ctrl_c_tells_how_to_go_on(commands, tmp_path):
    directory = tmp_path / "sweep"
    done = commands.run(
        tmp_path,
        *(*SMALL, "max_steps=100000", f"hydra.sweep.dir={directory}", "-m"),
        killed_when=lambda: bool(list(directory.glob("*/metrics.csv"))),
        number=signal.SIGINT,
    )
    assert done.returncode == 130
    assert re.search(rf"^cvtrain: to continue: .* resume={directory}$", done.stderr, re.MULTILINE)


def test_new_points_are_numbered_after_the_largest_number_there_is(tmp_path):
    points = Plan.compose(composer(), [*SMALL, "seed=0,1,2"]).points
    points_of_before = [replace(p, number=n) for p, n in zip(points[:3], (2, 30, 7), strict=True)]
    journal = Journal(tmp_path)
    journal.describe_sweep(points_of_before, None, ())
    merged = resumption(journal, points).points
    assert [p.number for p in merged] == [2, 30, 7, *range(31, 31 + len(points) - 3)]
    assert len({p.directory for p in merged}) == len(points)
    assert [p.directory for p in merged[:3]] == [p.directory for p in points_of_before]
