"""What a sweep as a whole shows in TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from cvtrain.cli.report import main
from cvtrain.cli.tensorboard import main as tensorboard
from cvtrain.report.boards import FOLDER, mean_and_spread, over_octaves, run_name
from cvtrain.report.served_runs import ARM_OF_NAME, MOST, chosen_runs, link_runs, unrecorded_runs
from cvtrain.runs.safe_names import NAME_BEGINS
from cvtrain.runs.tensorboard.events import EventFile
from cvtrain.runs.tensorboard.layout import run_layout
from tests.analysis.synthetic import HALVED, describe_sweep, write_run

pytestmark = pytest.mark.usefixtures("blank_figures")

SEEDS, OCTAVES = 6, (-1, 0, 1)
ARMS = ["SGD/scale_0.5,pytorch", "SGD/scale_1,pytorch"]
BEST = [f"{arm}/best_lr=2^-3" for arm in ARMS]


def loss_at(octave: float, seed: int) -> float:
    return 0.5 + octave**2 + 0.1 * seed


@pytest.fixture(scope="module")
def reported(tmp_path_factory, blank_figures):
    """A sweep of 2 arms × 3 octaves × 6 seeds, with its report."""
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
                        (step, {"train/loss": loss + step, "grad/norm": 2.0, "test/loss": loss})
                        for step in (0, 10)
                    ],
                    seed=seed,
                    optimizer__lr=0.125 * 2.0**octave,
                    optimizer__reference_lr=0.125,
                    **changed,
                )
                EventFile(root / names[-1]).close()
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
    cells = list((reported / FOLDER / "SGD").glob("*/*lr=*"))
    assert len(cells) == 2 * len(OCTAVES)
    board = read(reported / FOLDER / BEST[1])
    losses = np.array([loss_at(0, seed) for seed in range(SEEDS)])
    for step in (0, 10):
        mean, spread = losses.mean() + step, losses.std(ddof=1)
        assert values(board, "train/loss")[step] == pytest.approx(mean, rel=1e-6)
        low, high = (values(board, f"spread/train/loss/{end}")[step] for end in ("low", "high"))
        assert (low, high) == pytest.approx((mean - spread, mean + spread), rel=1e-6)
    assert values(board, "replicates") == {0: SEEDS, 10: SEEDS}


def test_an_arm_is_a_run_over_the_octaves_of_its_learning_rate(reported):
    board = read(reported / FOLDER / ARMS[1])
    middle = (SEEDS - 1) / 2
    expected = {octave: loss_at(octave, middle) for octave in OCTAVES}
    assert values(board, "over_octave/SGD/val_loss") == pytest.approx(expected)
    assert values(board, "over_octave/SGD/diverged") == dict.fromkeys(OCTAVES, 0.0)


def test_the_report_is_a_run_with_its_verdict_and_every_figure(reported):
    board = read(reported / "report")
    (text,) = board.Tensors("verdict")
    markdown = text.tensor_proto.string_val[0].decode()
    assert markdown.startswith("SGD with ½ in the loss: ")
    assert "then the same?" in markdown  # the answer's table, which says what is missing
    pictures = {path.stem for path in (reported / "report").glob("**/*.png")}
    assert pictures
    assert set(board.Tags()["images"]) == pictures
    layout = board.Tensors("custom_scalars__config__")
    drawn = layout_pb2.Layout.FromString(layout[0].tensor_proto.string_val[0])
    series = [chart.margin.series[0] for chart in drawn.category[0].chart]
    assert ("train/loss", "spread/train/loss/low") in [(one.value, one.lower) for one in series]
    titles = sorted(chart.title for chart in drawn.category[1].chart)
    assert titles[:2] == [
        "norm before convention and clipping",
        "norm for the optimizer, after them",
    ]


def test_a_second_report_replaces_what_the_first_left(reported):
    before = sorted(path.relative_to(reported) for path in reported.glob(f"{FOLDER}/**/*"))
    others = reported / FOLDER / "of_another_time", reported / "+aggregate" / "of_a_former_version"
    for other in others:
        other.mkdir(parents=True)
    assert main([str(reported)]) == 0
    assert not others[0].exists()
    assert not others[1].parent.exists()
    assert len(list(reported.glob(f"{FOLDER}/**/*"))) == len(before)
    assert len(list((reported / "report").glob("events.out.tfevents.*"))) == 1


def test_a_mean_is_over_the_finite_replicates_and_says_how_many_have_a_row():
    tables = {
        0: pd.DataFrame({"step": [0, 1], "x": [1.0, 2.0]}),
        1: pd.DataFrame({"step": [0, 1], "x": [3.0, math.inf]}),
        2: pd.DataFrame({"step": [0], "x": [5.0]}),
    }
    statistics = mean_and_spread(tables)
    assert statistics.loc[0, "x"] == 3.0
    assert (statistics.loc[0, "spread/x/low"], statistics.loc[0, "spread/x/high"]) == (1.0, 5.0)
    assert statistics.loc[1, "x"] == 2.0
    assert math.isnan(statistics.loc[1, "spread/x/low"])
    assert list(statistics["replicates"]) == [3, 2]


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


NORMED = {
    "grad": "before convention and clipping",
    "optimizer_grad": "for the optimizer, after them",
}


def test_re_and_im_of_an_entry_share_a_chart_and_norms_before_and_after_have_one_each():
    tags = ["train/loss", "val/loss"]
    tags += [f"{of}/{n}" for of in NORMED for n in ("norm", "real_norm", "imag_norm")]
    tags += [f"{of}/w/{part}[0,1]" for of in ("grad", "weight") for part in ("real", "imag")]
    summary = run_layout(tags)
    assert summary is not None
    layout = layout_pb2.Layout.FromString(summary.value[0].tensor.string_val[0])
    charts = {
        chart.title: list(chart.multiline.tag)
        for category in layout.category
        for chart in category.chart
    }
    assert charts == {
        "training and validation loss": ["^train/loss$", "^val/loss$"],
        **{
            f"norm, Re, Im {when}": [f"^{of}/{n}$" for n in ("norm", "real_norm", "imag_norm")]
            for of, when in NORMED.items()
        },
        "grad/w[0,1]": [r"^grad/w/real\[0,1\]$", r"^grad/w/imag\[0,1\]$"],
        "weight/w[0,1]": [r"^weight/w/real\[0,1\]$", r"^weight/w/imag\[0,1\]$"],
    }
    assert run_layout(["x"]) is None


def test_few_runs_are_shown_and_all_where_that_is_asked_for(reported):
    shown, total = chosen_runs(reported)
    assert set(shown) == {"report", *ARMS, *BEST}
    assert total == 2 * len(OCTAVES) * (SEEDS + 1) + len(ARMS) + 1 > MOST
    everything, _ = chosen_runs(reported, everything=True)
    assert len(everything) == total
    assert everything[f"{ARMS[0]}/lr=2^-4/seed=5"] == reported / "halved_-1_5"
    assert everything[f"{ARMS[0]}/lr=2^-4"] == reported / FOLDER / ARMS[0] / "lr=2^-4"


def test_runs_of_an_arm_share_a_colour(reported):
    colours = {name: re.search(ARM_OF_NAME, name) for name in chosen_runs(reported, True)[0]}
    assert all(colours.values())
    arms = {name: match[1] for name, match in colours.items() if match}
    assert set(arms.values()) == {"report", "scale_0.5,pytorch", "scale_1,pytorch"}
    assert {arms[name] for name in arms if name.startswith(ARMS[0])} == {"scale_0.5,pytorch"}


def test_of_runs_without_a_report_the_newest_are_shown(tmp_path):
    for number in range(MOST + 3):
        (tmp_path / f"{number:02d}").mkdir()
        (tmp_path / f"{number:02d}" / "events.out.tfevents.0").touch()
        os.utime(tmp_path / f"{number:02d}", (number, number))
    shown, total = chosen_runs(tmp_path)
    assert (sorted(shown), total) == ([f"{n:02d}" for n in range(3, MOST + 3)], MOST + 3)
    assert len(chosen_runs(tmp_path, everything=True)[0]) == total
    assert list(chosen_runs(tmp_path / "07")[0]) == ["07"]


def test_links_follow_what_is_new_and_what_has_gone(tmp_path):
    files = [tmp_path / "runs" / name / "events.out.tfevents.0" for name in ("a", "b")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(file.parent.name)
    view = tmp_path / "view"
    link_runs({"x/a": files[0].parent}, view)
    link_runs({"x/b": files[1].parent}, view)
    assert [path for path in view.rglob("*") if path.is_symlink()] == [view / "x/b" / files[1].name]
    assert (view / "x/b" / files[1].name).read_text() == "b"


def answer(address: str, path: str, content: object = None) -> Any:
    """What TensorBoard's own interface answers; waits until it has loaded something."""
    data = None if content is None else json.dumps(content).encode()
    for _ in range(100):
        kind = {"Content-Type": "application/json"} if data else {}
        asked = urllib.request.Request(f"{address}data/{path}", data, kind)
        with urllib.request.urlopen(asked) as response:
            loaded = json.load(response)
        if loaded:
            break
        time.sleep(0.2)
    return loaded


def test_every_tab_shows_something_by_the_printed_address(reported):
    command = [sys.executable, "-m", "cvtrain", "tensorboard", str(reported), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            printed = urlsplit(line.split()[-1])
            address = f"{printed.scheme}://{printed.netloc}/"
            assert printed.hostname == "localhost"  # this machine alone
            assert line.startswith(f"{3 + len(BEST)} of ")
            settings = {key: value for key, (value,) in parse_qs(printed.query).items()}
            pinned = [card["tag"] for card in json.loads(settings.pop("pinnedCards"))]
            assert settings == {"runColorGroup": f"regex:{ARM_OF_NAME}", "smoothing": "0"}
            assert pinned == ["over_octave/SGD/test_accuracy", "over_octave/SGD/val_loss"]
            assert printed.fragment == "timeseries&_smoothingWeight=0"  # SCALARS reads the latter
            for _ in range(100):
                if len(answer(address, "runs")) == 3 + len(BEST):
                    break
                time.sleep(0.2)
            assert set(answer(address, "runs")) == {"report", *ARMS, *BEST}
            scalars = answer(address, "plugin/scalars/tags")
            assert all(tag in scalars[arm] for arm in ARMS for tag in pinned)
            assert all("train/loss" in scalars[cell] for cell in BEST)
            assert answer(address, "plugin/custom_scalars/layout")["category"]
            assert answer(address, "plugin/images/tags")["report"]
            assert answer(address, "plugin/text/tags")["report"] == ["verdict"]
            asked = {"colParams": [], "allowedStatuses": ["STATUS_SUCCESS"], "sliceSize": 99}
            hparams = answer(address, "plugin/hparams/session_groups", {"startIndex": 0, **asked})
            assert [group["hparams"]["arm"] for group in hparams["sessionGroups"]]
        finally:
            running.terminate()
        assert running.wait() == 0


def test_tensorboard_on_nothing_is_one_line_and_status_2(tmp_path, capsys):
    assert tensorboard([str(tmp_path)]) == 2
    assert "no runs are here" in capsys.readouterr().err
    assert tensorboard([str(tmp_path / "missing")]) == 2


def test_runs_without_event_files_are_counted_and_named(tmp_path, capsys):
    for run in ("0", "1"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").touch()
    assert unrecorded_runs(tmp_path) == 2
    assert tensorboard([str(tmp_path)]) == 2
    assert "signals.tensorboard=false" in capsys.readouterr().err
    (tmp_path / "1" / f"{NAME_BEGINS}0").touch()
    assert unrecorded_runs(tmp_path) == 1


def test_a_port_that_is_taken_is_one_line_and_status_2(commands, reported, tmp_path):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = commands.run(tmp_path, "tensorboard", str(reported), f"--port={port}")
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert done.stderr.count("\n") == 1
