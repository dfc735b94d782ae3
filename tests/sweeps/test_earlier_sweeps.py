"""The sweep that was begun last, among sweeps that somebody has changed."""

from __future__ import annotations

import json
import re

import pytest

from cvtrain.process.errors import InputError
from cvtrain.sweeps.earlier_sweeps import latest_sweep, placed_points
from cvtrain.sweeps.resume import find_sweep
from tests.mutations import IN_PLACE, time_limit


def described(root, name, **changed):
    directory = root / "sweep" / name
    directory.mkdir(parents=True)
    content = {"schema": 1, "created": "2026-01-02T00:00:00+00:00", "points": []} | changed
    kept = {key: value for key, value in content.items() if value is not ...}
    (directory / "sweep.json").write_text(json.dumps(kept), encoding="utf-8")
    return directory


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "huge", "nested", "quote"])
def test_a_damaged_sweep_is_passed_over_in_a_line(tmp_path, capsys, kind):
    right = described(tmp_path, "right")
    IN_PLACE[kind](described(tmp_path, "wrong") / "sweep.json")
    with time_limit(10):
        assert find_sweep("latest", tmp_path) == right
    printed = capsys.readouterr().err
    assert re.fullmatch(r"cvtrain: a sweep is passed over: .*/wrong/sweep\.json: .*\n", printed)


@pytest.mark.parametrize(
    "created", [..., None, "zzzz", 10**30, ["2027-01-01"], "", {}, "10000-01-01"]
)
def test_a_sweep_that_does_not_say_when_it_was_begun_is_not_the_latest(tmp_path, capsys, created):
    right = described(tmp_path, "right")
    described(tmp_path, "wrong", created=created)
    assert latest_sweep(tmp_path) == right
    assert "wrong/sweep.json: created=" in capsys.readouterr().err


def test_times_are_compared_as_times(tmp_path, capsys):
    described(tmp_path, "earlier", created="2026-01-02T01:30:00+02:00")
    later = described(tmp_path, "later", created="2026-01-02T00:00:00+00:00")
    described(tmp_path, "without a zone", created="2026-01-01T23:59:00")
    assert latest_sweep(tmp_path) == later
    assert capsys.readouterr().err == ""


def test_where_all_are_damaged_there_is_none(tmp_path, capsys):
    described(tmp_path, "wrong", schema=3)
    with pytest.raises(InputError, match="no sweep is below"):
        find_sweep("latest", tmp_path)
    assert "passed over" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["empty", "pipe"])
def test_a_run_directory_that_is_a_file_is_refused(tmp_path, kind):
    points = [{"number": n, "id": f"{n}", "directory": f"{n}", "overrides": []} for n in (0, 1)]
    directory = described(tmp_path, "sweep", points=points)
    assert len(placed_points(directory)) == 2
    IN_PLACE[kind](directory / "1")
    with pytest.raises(InputError, match=re.escape(f"{directory / '1'}: is a ")):
        placed_points(directory)


@pytest.mark.parametrize(
    "changed",
    [{"number": 0}, {"number": True}, {"number": -1}, {"number": 2**70}, {"id": "0"}, {"id": None}],
)
def test_points_that_cannot_be_told_apart_are_refused(tmp_path, changed):
    points = [{"number": n, "id": f"{n}", "directory": f"{n}", "overrides": []} for n in (0, 1)]
    directory = described(tmp_path, "sweep", points=[points[0], points[1] | changed])
    with pytest.raises(InputError, match=r"of several points|no number or no id"):
        placed_points(directory)
