"""Learning-rate sensitivity: its definition, and what the report says of it."""

from __future__ import annotations

import numpy as np
import pytest

from cvtrain.analysis.compare import compare
from cvtrain.experiments.lr_sensitivity import (
    arm_sensitivities,
    report_sensitivity,
    sensitivities,
)
from tests.analysis.synthetic import WIRTINGER, row, sweep_of

UNTRAINED = 2.0
OCTAVES = range(-4, 3)


def valley(shift=0.0, seeds=4, **config):
    """Runs whose loss doubles with each octave away from the best rate; the last one diverges."""
    rows = []
    for octave in OCTAVES:
        for seed in range(seeds):
            away = abs(octave - shift)
            loss = 0.1 * (1 + 0.01 * seed) * 2.0**away
            status = "diverged" if octave == OCTAVES[-1] else "finished"
            rows.append(
                row(
                    float("nan") if status == "diverged" else loss,
                    status=status,
                    seed=seed,
                    optimizer__lr=2.0**octave,
                    **config,
                )
            )
    return rows


def test_it_is_the_mean_loss_above_the_lowest_and_no_more_than_untrained():
    (group,) = compare(sweep_of(valley())).groups
    losses = np.minimum(np.append(0.1 * 2.0 ** np.abs(np.array(OCTAVES[:-1])), np.inf), UNTRAINED)
    expected = np.trapezoid(losses, OCTAVES) / 6 - 0.1
    measured = sensitivities(group.arms[0].grid, group.untrained)
    assert len(measured) == 4
    assert measured[0] == pytest.approx(expected)


def test_an_arm_is_compared_with_the_reference_of_its_setting_seed_by_seed():
    rows = [
        one | {"variant": variant}
        for variant in ("plain", "warm-up")
        for arm in (valley(), valley(1.0, **WIRTINGER))
        for one in arm
    ]
    measured = list(arm_sensitivities(compare(sweep_of(rows)).groups))
    assert [(one.variant, one.difference is None) for one in measured] == [
        (variant, plain) for variant in ("plain", "warm-up") for plain in (True, False)
    ]
    arm = measured[1]
    assert arm.difference.mean == pytest.approx(
        arm.sensitivity.mean - measured[0].sensitivity.mean, abs=1e-6
    )
    assert arm.octaves.mean == pytest.approx(1.0, abs=0.02)
    document = report_sensitivity(sweep_of(rows))
    assert "least first: plain" in document.verdict[0].text
    assert "significantly in 2 of 2 cases" in document.verdict[1].text


def test_of_one_learning_rate_there_is_none():
    rows = [row(0.1, seed=seed, optimizer__lr=0.5) for seed in range(3)]
    document = report_sensitivity(sweep_of(rows))
    assert document.verdict[0].text == "No setting has all its learning rates yet."
