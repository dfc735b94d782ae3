"""The factor of a learning rate from the complex share, beside the one that curves show."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest

from cvtrain.analysis.compare import compare
from cvtrain.analysis.predicted_factor import WEIGHTS, predicted_factors
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.report.predicted_factor import TABLE, factor_section, prediction_error
from cvtrain.theory import factor_octaves
from cvtrain.training.complex_share import TAG
from tests.analysis.synthetic import HALVED, JITTERED, WIRTINGER, row, sweep_of

OCTAVES = range(-5, 2)
SHIFT = 0.4
CONSTANT = [(0, 2.0, 0.48), (10, 1.0, 0.48), (20, 0.3, 0.48)]


def falling(shift=0.0, **config):
    """Runs whose loss halves with each octave up to the best rate, and rises after it."""
    return [
        row(
            0.1 + 0.2 * 2.0 ** -(octave - shift) if octave <= shift else 0.9,
            seed=seed,
            optimizer__lr=2.0**octave,
            **config,
        )
        | {TAG: 0.5}
        for octave in OCTAVES
        for seed in range(4)
    ]


def swept(folder, *arms, along=CONSTANT):
    """A sweep of these runs; each has steps, validation losses and shares in its metrics.csv."""
    sweep = sweep_of([run for arm in arms for run in arm])
    for name in sweep.runs["directory"]:
        (folder / name).mkdir()
        lines = [f"step,val/loss,{TAG}", *(",".join(map(str, values)) for values in along)]
        (folder / name / "metrics.csv").write_text("\n".join(lines) + "\n")
    return replace(sweep, directory=folder)


def factors_of(sweep):
    return list(predicted_factors(sweep, compare(sweep)))


def test_of_a_constant_share_every_average_is_the_formula_and_the_shift_is_measured(tmp_path):
    (one,) = factors_of(swept(tmp_path, falling(), falling(SHIFT, **WIRTINGER)))
    assert one.arm == "scale 1, wirtinger"
    assert one.share == pytest.approx(0.48)
    for weight in WEIGHTS:
        assert one.by_weight[weight] == pytest.approx(-math.log2(1 - 0.24))
    assert one.measured.mean == pytest.approx(SHIFT, abs=0.01)
    assert one.error == pytest.approx(one.predicted - one.measured.mean)


def test_an_end_at_which_the_loss_does_not_fall_does_not_count(tmp_path):
    """There what noise leaves of the gradient has another share."""
    along = [(0, 2.0, 0.2), (10, 0.3, 0.2), (20, 0.31, 0.9), (200, 0.3, 0.9)]
    (one,) = factors_of(swept(tmp_path, falling(), falling(SHIFT, **WIRTINGER), along=along))
    assert one.predicted == pytest.approx(factor_octaves(0.2))
    assert one.by_weight["updates"] > factor_octaves(0.8)


def test_only_arms_that_scale_complex_gradients_alone_have_one(tmp_path):
    arms = (falling(), falling(1, **HALVED), falling(**JITTERED), falling(SHIFT, **WIRTINGER))
    (one,) = factors_of(swept(tmp_path, *arms))
    assert one.arm == "scale 1, wirtinger"


def test_a_sweep_without_the_signal_has_none(tmp_path):
    sweep = swept(tmp_path, falling(), falling(SHIFT, **WIRTINGER))
    assert factors_of(replace(sweep, runs=sweep.runs.drop(columns=TAG))) == []


def test_the_report_of_such_a_sweep_puts_predicted_beside_measured(tmp_path):
    sweep = swept(tmp_path, falling(), falling(SHIFT, **WIRTINGER))
    document = report_retuning(sweep)
    (table,) = (table for table in document.tables if table.name == TABLE)
    assert table.cells[0][1:3] == ("0.480", "+0.40")
    (picture,) = (picture for picture in document.pictures if picture.name == TABLE)
    file = io.BytesIO()
    picture.figure.savefig(file, format="png")
    assert file.getvalue()


def test_the_error_of_several_networks_is_said_with_their_correlation(tmp_path):
    networks = [(name, 0.1 * n) for n, name in enumerate(("a", "b", "c"), start=1)]
    arms = [
        falling(shift, variant=name, **config)
        for name, octaves in networks
        for shift, config in ((0.0, {}), (octaves, WIRTINGER))
    ]
    factors = factors_of(swept(tmp_path, *arms))
    text = prediction_error(factors)
    assert text.startswith("Predicted and measured octaves of 3 arms differ by 0.2")
    assert "correlation" not in text  # all predicted alike
    assert [cells[0] for cells in factor_section(factors).tables[0].cells] == ["a", "b", "c"]
