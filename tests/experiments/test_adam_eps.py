"""Adam's eps: the size of the gradient's entries, and the measured octaves beside the predicted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cvtrain.experiments.adam_eps import (
    EXPONENTS,
    crossings,
    report_adam_eps,
    variants,
)
from cvtrain.theory import epsilon_octaves
from tests.analysis.synthetic import HALVED, JITTERED, row, sweep_of

OCTAVES = range(-5, 4)
NORMS = 6.0, 8.0
PARAMETERS = {"parameters.complex": 40, "parameters.real": 20}
SIZE = math.sqrt((6**2 + 8**2) / 2 / (2 * 40 + 20))
"""Root mean square over the updates and over the real numbers of the gradient."""


def valley(eps, best, **config):
    """Runs at one eps whose log loss is a parabola around a best octave."""
    return [
        row(
            0.1 * math.exp(0.3 * (octave - best - 0.01 * seed) ** 2),
            seed=seed,
            optimizer___target_="torch.optim.Adam",
            optimizer__lr=2.0**octave,
            optimizer__eps=eps,
            variant=f"eps {eps:g}",
            **config,
        )
        | PARAMETERS
        for octave in OCTAVES
        for seed in range(3)
    ]


def swept(folder, ratios=(1e-12, 1.0, 100.0), error=0.0):
    """A sweep in which half of the loss moves the curve as theory says, and by `error` more."""
    rows = []
    for ratio in ratios:
        rows += valley(ratio * SIZE, 0.0)
        rows += valley(ratio * SIZE, 0.0, **JITTERED)
        rows += valley(ratio * SIZE, epsilon_octaves(ratio) + error, **HALVED)
    sweep = sweep_of(rows)
    for name in sweep.runs["directory"]:
        (folder / name).mkdir()
        # Validated more often than logged: a row without a gradient does not count.
        lines = ["step,grad/norm,val/loss", f"0,{NORMS[0]},2", "5,,1", f"10,{NORMS[1]},1"]
        (folder / name / "metrics.csv").write_text("\n".join(lines) + "\n")
    return replace(sweep, directory=folder)


def test_the_size_is_that_of_the_logged_gradients_and_the_shift_is_measured(tmp_path):
    measured_at = crossings(swept(tmp_path, (100.0, 1e-12, 1.0), error=0.2))
    assert [one.ratio for one in measured_at] == pytest.approx([1e-12, 1.0, 100.0])
    assert [one.size for one in measured_at] == pytest.approx([SIZE] * 3)
    predicted = [0.0, math.log2(3 / 2), math.log2(201 / 101)]
    assert [one.predicted for one in measured_at] == pytest.approx(predicted, abs=1e-9)
    measured = [one.measured.shift.mean for one in measured_at]
    assert measured == pytest.approx([octaves + 0.2 for octaves in predicted], abs=0.02)


def test_the_report_says_where_half_an_octave_is_and_how_far_theory_is_off(tmp_path):
    document = report_adam_eps(swept(tmp_path, error=0.2))
    first, last, half, error = (sentence.text for sentence in document.verdict)
    assert "eps = 10⁻¹² · |g|" in first
    assert "eps = 100 · |g|" in last
    assert "by +1.19" in last
    # Interpolated over log eps between 1e-12 (0.2 octaves) and 1 (0.785).
    assert "half an octave at eps = 10⁻⁶ · |g|" in half
    assert "differ by 0.20 (root mean square over 3 eps)" in error
    (table,) = document.tables
    assert [one["eps"] for one in table.records] == pytest.approx([1e-12 * SIZE, SIZE, 100 * SIZE])
    assert document.cover is not None


def test_without_logged_gradients_there_is_no_prediction(tmp_path):
    sweep = swept(tmp_path)
    for name in sweep.runs["directory"]:
        (tmp_path / name / "metrics.csv").write_text("step,val/loss\n0,2\n")
    document = report_adam_eps(sweep)
    assert document.verdict[-1].text == "No eps has both a predicted and a measured shift."
    rows = sweep.runs[sweep.runs["objective.scale"] == 1].drop(columns=["run", "directory", "look"])
    alone = report_adam_eps(sweep_of(rows.to_dict("records")))
    assert [str(s) for s in alone.verdict] == ["No curve of half of the loss is known yet."]


def test_rates_are_around_those_that_long_steps_need():
    """Where eps is large, steps are short: lr/eps stays the same."""
    overrides = [dict(text.split("=", 1) for text in variant) for variant in variants()]
    assert [float(one["optimizer.eps"]) for one in overrides] == [2.0**e for e in EXPONENTS]
    rates = [float(one["optimizer.reference_lr"]) for one in overrides]
    assert rates == sorted(rates)
    large = [one for one in overrides if float(one["optimizer.eps"]) >= 2**-4]
    ratios = {float(one["optimizer.reference_lr"]) / float(one["optimizer.eps"]) for one in large}
    assert len(large) > 1
    assert len(ratios) == 1
