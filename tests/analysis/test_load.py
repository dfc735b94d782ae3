"""A sweep's directory, finished or not, read back as tables."""

from __future__ import annotations

import math
import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cvtrain import load
from cvtrain.cli.report import main as report
from cvtrain.process.errors import InputError
from cvtrain.sweeps.earlier_sweeps import latest_sweep
from tests.analysis.synthetic import HALVED, describe_sweep, write_run
from tests.mutations import IN_PLACE, time_limit

FINAL = {"val/loss": 0.5, "test/accuracy": 0.9}


def test_the_runs_of_a_sweep_have_dotted_keys_and_tags_in_the_order_of_its_points(tmp_path):
    describe_sweep(tmp_path, "0_b", "1_a")
    write_run(tmp_path / "0_b", final=FINAL, seed=3)
    write_run(tmp_path / "1_a", final=FINAL, **HALVED)
    sweep = load(tmp_path)
    assert list(sweep.runs["directory"]) == ["0_b", "1_a"]
    assert list(sweep.runs["run"]) == [0, 1]
    assert list(sweep.runs["seed"]) == [3, 0]
    assert list(sweep.runs["objective.scale"]) == [1.0, 0.5]
    assert list(sweep.runs["val/loss"]) == [0.5, 0.5]
    assert list(sweep.runs["status"]) == ["finished", "finished"]
    assert sweep.runs.loc[0, "model.hidden"] == (8,)
    assert {"optimizer.lr", "optimizer._target_", "seed"} <= set(sweep.config_keys)
    assert not {"status", "run", "val/loss"} & set(sweep.config_keys)


def test_a_single_runs_directory_is_a_sweep_of_one(tmp_path):
    write_run(tmp_path / "run", final=FINAL, rows=[(0, {"val/loss": 0.5})])
    for path in (tmp_path / "run", str(tmp_path / "run")):
        sweep = load(path)
        assert list(sweep.runs["directory"]) == ["."]
        assert sweep.curves["value"].tolist() == [0.5]


def test_runs_beside_each_other_need_no_sweep_file(tmp_path):
    for name in ("second", "first"):
        write_run(tmp_path / name, final=FINAL)
    (tmp_path / "notes").mkdir()
    assert list(load(tmp_path).runs["directory"]) == ["first", "second"]


def test_what_has_not_begun_is_missing_and_what_runs_has_its_configuration(tmp_path):
    describe_sweep(tmp_path, "0", "1", "2")
    write_run(tmp_path / "0", final=FINAL)
    write_run(tmp_path / "1", status="running", seed=1)
    runs = load(tmp_path).runs
    assert list(runs["status"]) == ["finished", "running", "missing"]
    assert runs["seed"].tolist()[:2] == [0, 1]
    assert runs.loc[1:, "val/loss"].isna().all()
    assert math.isnan(runs.loc[2, "optimizer.lr"])


@pytest.mark.parametrize("name", [".", "nowhere"])
def test_a_place_without_runs_is_bad_input(tmp_path, name):
    with pytest.raises(InputError, match="should be the directory of a sweep"):
        load(tmp_path / name)


def test_nan_and_infinities_of_run_json_come_back_as_floats(tmp_path):
    write_run(tmp_path / "run", final={"a/nan": math.nan, "b/inf": math.inf, "c/low": -math.inf})
    runs = load(tmp_path / "run").runs
    assert runs.dtypes[["a/nan", "b/inf", "c/low"]].tolist() == [np.float64] * 3
    assert math.isnan(runs.loc[0, "a/nan"])
    assert runs.loc[0, "b/inf"] == math.inf
    assert runs.loc[0, "c/low"] == -math.inf


def test_curves_are_the_numbers_of_metrics_csv_to_the_last_bit(tmp_path):
    words = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64)
    values = words.view(np.float64)[np.isfinite(words.view(np.float64))].tolist()
    rows = [(step, {"x": value}) for step, value in enumerate(values)]
    write_run(tmp_path / "run", rows=rows)
    curves = load(tmp_path / "run").curves
    assert curves["step"].tolist() == list(range(len(values)))
    assert [struct.pack("d", v) for v in curves["value"]] == [struct.pack("d", v) for v in values]


def test_an_empty_cell_is_no_value_and_a_spelled_nan_is_one(tmp_path):
    describe_sweep(tmp_path, "0", "1", "2")
    write_run(tmp_path / "0", rows=[(0, {"x": math.nan, "y": math.inf}), (5, {"y": 1.0})])
    write_run(tmp_path / "1", rows=[(0, {"z": -math.inf})])
    curves = load(tmp_path).curves
    points = curves.sort_values(["run", "step", "tag"]).to_numpy().tolist()
    assert [entry[:3] for entry in points] == [[0, 0, "x"], [0, 0, "y"], [0, 5, "y"], [1, 0, "z"]]
    assert math.isnan(points[0][3])
    assert [entry[3] for entry in points[1:]] == [math.inf, 1.0, -math.inf]


def test_signals_of_several_runs_are_those_of_each_alone(tmp_path):
    rows = [(step, {"a[0,1]": step / 3, "b": -math.inf}) for step in (0, 5, 10)]
    others = [(0, {"a[0,1]": 1.0}), (5, {"a[0,1]": math.nan, "b": 2.0})]
    describe_sweep(tmp_path, *"012345")
    for name, content in zip("01235", (rows, others, [(0, {"c": 1.0})], rows, rows), strict=True):
        write_run(tmp_path / name, rows=content)
    table = tmp_path / "3" / "metrics.csv"
    table.write_bytes(table.read_bytes().replace(b"\r\n5,", b"\r\n\r\n5,"))
    sweep = load(tmp_path)
    for wanted in (lambda tag: tag in ("a[0,1]", "b"), lambda tag: tag == "b"):
        together = sweep.signals(wanted, sweep.runs)
        assert list(together) == [0, 1, 3, 5]
        for label, values in together.items():
            alone = sweep.signals(wanted, sweep.runs.loc[[label]])[label]
            pd.testing.assert_frame_equal(values, alone, check_exact=True)
    table.write_bytes(table.read_bytes().replace(b"-inf", b"low"))
    with pytest.raises(InputError, match=r"3.metrics\.csv: cannot be read"):
        sweep.signals(lambda tag: tag == "b", sweep.runs)


def test_a_row_that_is_still_being_written_is_left_out(tmp_path):
    write_run(tmp_path / "run", status="running", rows=[(0, {"x": 1.0, "y": 2.0})])
    path = tmp_path / "run" / "metrics.csv"
    whole = path.read_bytes()
    for torn in (b"1,0.12", b"1,0.125,3.2", b"1"):
        path.write_bytes(whole + torn)
        assert load(tmp_path / "run").curves["value"].tolist() == [1.0, 2.0]
    for begun in (b"", b"step,x", b"step,x,y\r\n"):
        path.write_bytes(begun)
        assert load(tmp_path / "run").curves.empty


def test_a_run_without_rows_has_no_curves(tmp_path):
    write_run(tmp_path / "run", status="running")
    curves = load(tmp_path / "run").curves
    assert list(curves.columns) == ["run", "step", "tag", "value"]
    assert curves.empty


def test_reading_a_sweep_imports_neither_torch_nor_lightning(tmp_path):
    write_run(tmp_path / "run", final=FINAL, rows=[(0, {"x": 1.0})])
    code = (
        "import sys, cvtrain; sweep = cvtrain.load(sys.argv[1]); len(sweep.curves);"
        "print(sorted({'torch', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", ["x" * 5000, "loop", "pipe", "a\0b"])
def test_a_path_that_cannot_be_looked_into_has_no_runs(tmp_path, name):
    for kind in ("loop", "pipe"):
        IN_PLACE[kind](tmp_path / kind)
    with (
        time_limit(10),
        pytest.raises(InputError, match="should be the directory of a sweep"),
    ):
        load(tmp_path / name)
    assert report([str(tmp_path / name)]) == 2
    assert latest_sweep(tmp_path / name) is None


@pytest.mark.parametrize(
    "table",
    [
        f"step,val/loss\r\n1{'0' * 29},0.5\r\n",
        f"step,val/loss\r\n{'9' * 5000},0.5\r\n",
        "step,val/loss\r\n-1,0.5\r\n",
        "step,val/loss\r\n0.5,0.5\r\n",
        "step,val/loss\r\nnan,0.5\r\n",
        'step,val/loss\r\n"\r\n',
        "step,val/loss\r\n0,x\r\n",
        "val/loss\r\n0.5\r\n",
    ],
)
def test_a_table_that_no_run_wrote_is_told_with_its_path(tmp_path, table):
    write_run(tmp_path / "run", final=FINAL)
    (tmp_path / "run" / "metrics.csv").write_text(table, encoding="utf-8", newline="")
    sweep = load(tmp_path / "run")
    for reads in (lambda: sweep.curves, lambda: sweep.signals(lambda tag: True, sweep.runs)):
        with pytest.raises(InputError) as caught:
            reads()
        assert str(caught.value).startswith(f"{tmp_path / 'run' / 'metrics.csv'}: cannot be read: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "huge"])
def test_a_table_that_is_no_file_is_told_at_once(tmp_path, kind):
    write_run(tmp_path / "run", final=FINAL)
    IN_PLACE[kind](tmp_path / "run" / "metrics.csv")
    with time_limit(10), pytest.raises(InputError, match=r"metrics\.csv: cannot be read: "):
        assert load(tmp_path / "run").curves is None


@pytest.mark.parametrize("key", ["status", "directory", "run"])
def test_a_run_file_with_a_key_of_the_reports_own_is_refused(tmp_path, key):
    write_run(tmp_path / "run", final={**FINAL, key: 0.5})
    with pytest.raises(InputError, match=f"{key}: is not a valid name of a key or signal"):
        load(tmp_path / "run")
