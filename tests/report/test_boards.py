"""What a sweep as a whole shows in TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from cvtrain.cli.report import main
from cvtrain.cli.tensorboard import main as tensorboard
from cvtrain.report.boards import FOLDER, mean_and_spread, over_octaves, run_name
from cvtrain.runs.tensorboard.layout import run_layout
from tests.analysis.synthetic import HALVED, describe_sweep, write_run

pytestmark = pytest.mark.usefixtures("blank_figures")

SEEDS, OCTAVES = 3, (-1, 0, 1)


def loss_at(octave: float, seed: int) -> float:
    return 0.5 + octave**2 + 0.1 * seed


@pytest.fixture(scope="module")
def reported(tmp_path_factory, blank_figures):
    """A sweep of 2 arms × 3 octaves × 3 seeds, with its report."""
    root = tmp_path_factory.mktemp("boards") / "sweep"
    names = []
    for arm, changed in {"whole": {}, "halved": HALVED}.items():
        for octave in OCTAVES:
            for seed in range(SEEDS):
                names.append(f"{arm}_{octave}_{seed}")
                loss = loss_at(octave, seed)
                write_run(
                    root / names[-1],
                    final={
                        "val/loss": loss,
                        "test/loss": loss,
                        "test/accuracy": 1 - loss / 10,
                        "convergence/initial/loss": 5.0,
                        "convergence/steps_to_target": 10.0,
                    },
                    rows=[
                        (step, {"train/loss": loss + step, "grad/w/real[0]": 1.0})
                        for step in (0, 10)
                    ],
                    seed=seed,
                    optimizer__lr=0.125 * 2.0**octave,
                    optimizer__reference_lr=0.125,
                    **changed,
                )
    describe_sweep(root, *names)
    assert main([str(root)]) == 0
    return root


def read(directory: Path) -> EventAccumulator:
    board = EventAccumulator(str(directory), size_guidance={"tensors": 0, "scalars": 0})
    board.Reload()
    return board


def values(board: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in board.Scalars(tag)}


def test_replicates_have_a_run_of_their_mean_with_a_standard_deviation_around_it(reported):
    cells = sorted(path.name for path in (reported / FOLDER / "cells").iterdir())
    assert len(cells) == 2 * len(OCTAVES)
    board = read(reported / FOLDER / "cells" / "SGD,scale_1,pytorch,lr=2^-3")
    losses = np.array([loss_at(0, seed) for seed in range(SEEDS)])
    for step in (0, 10):
        mean, spread = losses.mean() + step, losses.std(ddof=1)
        assert values(board, "train/loss")[step] == pytest.approx(mean, rel=1e-6)
        low, high = (values(board, f"spread/train/loss/{end}")[step] for end in ("low", "high"))
        assert (low, high) == pytest.approx((mean - spread, mean + spread), rel=1e-6)
    assert values(board, "replicates") == {0: SEEDS, 10: SEEDS}


def test_an_arm_is_a_run_over_the_octaves_of_its_learning_rate(reported):
    arms = sorted(path.name for path in (reported / FOLDER / "arms").iterdir())
    assert arms == ["SGD,scale_0.5,pytorch", "SGD,scale_1,pytorch"]
    board = read(reported / FOLDER / "arms" / arms[1])
    middle = (SEEDS - 1) / 2
    expected = {octave: loss_at(octave, middle) for octave in OCTAVES}
    assert values(board, "over_octave/val_loss") == pytest.approx(expected)
    assert values(board, "over_octave/diverged") == dict.fromkeys(OCTAVES, 0.0)


def test_the_report_is_a_run_with_its_verdict_and_every_figure(reported):
    board = read(reported / "report")
    (text,) = board.Tensors("verdict")
    told = text.tensor_proto.string_val[0].decode()
    assert told.startswith("SGD with ½ in the loss: ")
    pictures = {path.stem for path in (reported / "report").glob("**/*.png")}
    assert pictures
    assert set(board.Tags()["images"]) == pictures
    layout = board.Tensors("custom_scalars__config__")
    drawn = layout_pb2.Layout.FromString(layout[0].tensor_proto.string_val[0])
    series = [chart.margin.series[0] for chart in drawn.category[0].chart]
    assert ("train/loss", "spread/train/loss/low") in [(one.value, one.lower) for one in series]


def test_a_second_report_replaces_what_the_first_left(reported):
    before = sorted(path.relative_to(reported) for path in reported.glob(f"{FOLDER}/**/*"))
    extra = reported / FOLDER / "cells" / "of_another_time"
    extra.mkdir()
    assert main([str(reported)]) == 0
    assert not extra.exists()
    assert len(list(reported.glob(f"{FOLDER}/**/*"))) == len(before)
    assert len(list((reported / "report").glob("events.out.tfevents.*"))) == 1


def test_a_mean_is_over_the_finite_replicates_and_says_how_many_have_a_row():
    tables = {
        0: pd.DataFrame({"step": [0, 1], "x": [1.0, 2.0]}),
        1: pd.DataFrame({"step": [0, 1], "x": [3.0, math.inf]}),
        2: pd.DataFrame({"step": [0], "x": [5.0]}),
    }
    found = mean_and_spread(tables)
    assert found.loc[0, "x"] == 3.0
    assert (found.loc[0, "spread/x/low"], found.loc[0, "spread/x/high"]) == (1.0, 5.0)
    assert found.loc[1, "x"] == 2.0
    assert math.isnan(found.loc[1, "spread/x/low"])
    assert list(found["replicates"]) == [3, 2]


@pytest.mark.parametrize(
    ("rates", "per_octave", "steps"),
    [
        ([0.125, 0.25], 1, [0, 1]),
        ([0.125 / 2**0.5, 0.125], 2, [-1, 0]),
        ([0.125 * 2**0.25, 0.5], 4, [1, 8]),
        ([0.1, 0.125], 8, [-3, 0]),
    ],
)
def test_a_step_is_as_much_of_an_octave_as_tells_the_rates_apart(rates, per_octave, steps):
    rows = pd.DataFrame(
        {
            "optimizer.lr": rates,
            "optimizer.reference_lr": 0.125,
            "status": "finished",
            "val/loss": 1.0,
        }
    )
    table, finest = over_octaves(rows)
    assert (finest, list(table.index)) == (per_octave, steps)


def test_what_diverged_has_a_share_and_no_say_in_the_mean():
    rows = pd.DataFrame(
        {
            "optimizer.lr": [0.5, 0.5, 1.0],
            "status": ["finished", "diverged", "diverged"],
            "val/loss": [1.0, 9.0, math.inf],
        }
    )
    table, _ = over_octaves(rows)
    assert list(table["diverged"]) == [0.5, 1.0]
    assert table.loc[-1, "val/loss"] == 1.0
    assert math.isnan(table.loc[0, "val/loss"])


def test_names_of_runs_need_no_quotes():
    assert run_name("Adam, scale ½, pytorch, lr=2⁻⁸") == "Adam,scale_0.5,pytorch,lr=2^-8"
    assert run_name("a/../b; rm $x") == "a_.._b_rm_x"


def test_re_and_im_of_an_entry_share_a_chart():
    tags = ["train/loss", "grad/norm", "grad/real_norm", "grad/imag_norm", "val/loss"]
    tags += [f"{of}/w/{part}[0,1]" for of in ("grad", "weight") for part in ("real", "imag")]
    summary = run_layout(tags)
    assert summary is not None
    layout = layout_pb2.Layout.FromString(summary.value[0].tensor.string_val[0])
    charts = {
        chart.title: list(chart.multiline.tag) for each in layout.category for chart in each.chart
    }
    assert charts == {
        "training and validation loss": ["^train/loss$", "^val/loss$"],
        "norms of w.grad, Re and Im": ["^grad/norm$", "^grad/real_norm$", "^grad/imag_norm$"],
        "grad/w[0,1]": [r"^grad/w/real\[0,1\]$", r"^grad/w/imag\[0,1\]$"],
        "weight/w[0,1]": [r"^weight/w/real\[0,1\]$", r"^weight/w/imag\[0,1\]$"],
    }
    assert run_layout(["x"]) is None


def test_tensorboard_is_started_on_this_machine_alone_and_ends_on_a_signal(reported):
    command = [sys.executable, "-m", "cvtrain", "tensorboard", str(reported), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            address = running.stdout.readline().split()[-1]
            assert address.startswith("http://localhost:")
            with urllib.request.urlopen(f"{address}data/logdir") as answer:
                assert reported.name in answer.read().decode()
        finally:
            running.terminate()
        assert running.wait() == 0


def test_tensorboard_on_nothing_is_one_line_and_status_2(tmp_path, capsys):
    assert tensorboard([str(tmp_path)]) == 2
    assert "no runs are here" in capsys.readouterr().err
    assert tensorboard([str(tmp_path / "missing")]) == 2


def test_a_port_that_is_taken_is_one_line_and_status_2(reported):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "cvtrain", "tensorboard", str(reported), f"--port={port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert done.stderr.count("\n") == 1
