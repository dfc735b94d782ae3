"""report.decide=true: a sweep that goes on with more seeds until its arms are answered."""

from __future__ import annotations

import json

import pytest

from cvtrain.cli.report import main as report
from cvtrain.cli.train import main
from cvtrain.runs.run_json import read_record

SMALL = (
    *("data=system_id", "data.samples=400", "model=linear", "objective=complex_mse"),
    *("max_steps=20", "signals.validation_every=20", "lr_octave=range(-2,3)"),
)
TWO_BATCHES = ("batch_size=16,8", "report.margin=0.02", "report.decides_on=optimum")
"""Arms that four seeds are too few to tell equal."""


def answer(directory):
    (groups,) = read_record(directory / "report" / "summary.json")["facts"]["verdict"]
    return groups["arms"][0]


@pytest.fixture(scope="module")
def decided(tmp_path_factory, blank_figures):
    """A sweep of four seeds that went on by itself, and its exit status."""
    directory = tmp_path_factory.mktemp("decided") / "sweep"
    own = ("seed=0,1,2,3", "report.decide=true", f"hydra.sweep.dir={directory}", "-m")
    return main([*SMALL, *TWO_BATCHES, *own]), directory


def test_it_goes_on_until_every_arm_is_answered(decided):
    status, directory = decided
    assert status == 0
    arm_answer = answer(directory)
    assert arm_answer["kind"] in ("absorbed", "different")
    points = read_record(directory / "sweep.json")["points"]
    looks = sorted({point["look"] for point in points})
    assert looks == list(range(len(looks))) and len(looks) > 1
    first = {point["directory"] for point in points if point["look"] == 0}
    assert len(first) == 2 * 5 * 4 and all(name.endswith(tuple("0123")) for name in first)
    assert arm_answer["look"]["seeds"] == len(points) / 10
    assert arm_answer["look"]["level"] < 0.05 * (4 / 32) ** 0.25
    assert arm_answer["look"]["spent"] <= 0.05


def test_its_command_is_recorded_as_it_was_extended(decided, capsys):
    _, directory = decided
    before = read_record(directory / "sweep.json")
    seeds = len(before["points"]) // 10
    assert f"seed=range(0,{seeds})" in before["command"]
    assert main([f"resume={directory}"]) == 0
    assert "points are new" not in capsys.readouterr().err
    after = read_record(directory / "sweep.json")
    for key in ("id", "directory", "look"):
        assert [one[key] for one in after["points"]] == [one[key] for one in before["points"]]
    assert after["command"] == before["command"]


def test_a_report_made_again_gives_the_same_answer(decided):
    _, directory = decided
    before = answer(directory)
    assert report([str(directory)]) == 0
    assert json.dumps(answer(directory)) == json.dumps(before)


def test_it_ends_at_the_largest_number_of_seeds(tmp_path, capsys, blank_figures):
    directory = tmp_path / "sweep"
    own = ("seed=0,1,2,3", "report.margin=1e-5", "report.max_seeds=5", "report.decide=true")
    arms = (*TWO_BATCHES[:1], *TWO_BATCHES[2:])
    assert main([*SMALL, *arms, *own, f"hydra.sweep.dir={directory}", "-m"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("going on with seed=range(0,5) (report.decide)") == 1
    arm_answer = answer(directory)
    assert arm_answer["kind"] == "inconclusive"
    assert "report.max_seeds=5 is reached" in arm_answer["outcome"]
    assert "go on:" not in printed.out.rpartition("report.max_seeds=5")[2]


def test_more_seeds_beside_resume_go_on_with_the_recorded_command(tmp_path, blank_figures):
    directory = tmp_path / "sweep"
    own = ("batch_size=16", "seed=0,1", f"hydra.sweep.dir={directory}", "-m")
    assert main([*SMALL, *own]) == 0
    assert main([f"resume={directory}", "seed=0,1,2"]) == 0
    points = read_record(directory / "sweep.json")["points"]
    assert [point["look"] for point in points] == [0] * 10 + [1] * 5
    assert "max_steps=20" in read_record(directory / "sweep.json")["command"]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["report.decide=maybe", "-m"], "report.decide=maybe: should be a valid boolean"),
        (["report.max_seeds=1", "-m"], "report.max_seeds=1: should be greater than or equal to 2"),
        (["report.max_seeds=few", "-m"], "report.max_seeds=few: should be a valid integer"),
        (["report.decide=true"], "report.decide=true: should be false in a single run"),
        (
            ["+experiment=stability", "report.decide=true"],
            "report.decide=true: should be false with analysis=stability",
        ),
        (["+experiment=search", "report.decide=true"], "report.decide=true: should be false in a"),
    ],
)
def test_what_cannot_be_decided_is_refused_in_a_line(
    overrides, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(overrides) == 2
    error = capsys.readouterr().err
    assert f"cvtrain: {told}" in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())
