"""How the best learning rate moves with the width: slopes, what it costs to keep a rate, and what
the report says of it."""

from __future__ import annotations

import math

import pytest

from cvtrain.analysis.width_transfer import networks, transfers
from cvtrain.experiments.lr_transfer import NAMES, WIDTHS, report_transfer, variants
from tests.analysis.synthetic import WIRTINGER, row, sweep_of

OCTAVES = range(-6, 3)
SLOPES = {"standard": -0.75, "mup_sgd": 0.0}


def valley(parametrisation, width, slope, shift=0.0, seeds=4, **config):
    """Runs whose log loss is a parabola around a best octave that moves by `slope` per doubling;
    two octaves above it they diverge."""
    rows = []
    for seed in range(seeds):
        best = -1.0 + shift + slope * math.log2(width / WIDTHS[0]) + 0.01 * seed
        for octave in OCTAVES:
            fails = octave > best + 2
            rows.append(
                row(
                    math.nan if fails else 0.1 * math.exp(0.3 * (octave - best) ** 2),
                    status="diverged" if fails else "finished",
                    seed=seed,
                    optimizer__lr=2.0**octave,
                    model__parametrisation=parametrisation,
                    model__hidden=[width, width],
                    variant=f"{parametrisation}, {width} wide",
                    **config,
                )
            )
    return rows


def swept(arm_slope=0.0, slopes=SLOPES):
    rows = []
    for parametrisation, slope in slopes.items():
        for width in WIDTHS:
            rows += valley(parametrisation, width, slope)
            rows += valley(parametrisation, width, slope + arm_slope, 0.5, **WIRTINGER)
    return sweep_of(rows)


def test_slopes_are_those_of_the_best_rate_over_the_width():
    by_arm = {(one.parametrisation, one.arm): one for one in transfers(networks(swept()))}
    assert len(by_arm) == 4
    for parametrisation, slope in SLOPES.items():
        reference = by_arm[parametrisation, "scale 1, pytorch"]
        assert reference.slope.mean == pytest.approx(slope, abs=0.01)
        assert reference.difference is None
        arm = by_arm[parametrisation, "scale 1, wirtinger"]
        assert arm.difference.mean == pytest.approx(0.0, abs=0.02)


def test_an_arm_that_breaks_the_transfer_is_seen():
    moved = transfers(networks(swept(arm_slope=0.25)))
    differences = [one.difference.mean for one in moved if one.difference is not None]
    assert differences == pytest.approx([0.25, 0.25], abs=0.02)


def test_seeds_that_one_width_lacks_are_paired_with_no_others():
    runs = swept().runs
    of_arm = runs["convention.scale"] == 0.5
    narrow = runs["model.hidden"].map(lambda hidden: hidden[0] == WIDTHS[0])
    lacking = (of_arm & (runs["seed"] == 0)) | (~of_arm & (runs["seed"] == 3))
    sweep = sweep_of(runs[~lacking].drop(columns=["run", "directory"]).to_dict("records"))
    moved = list(transfers(networks(sweep)))
    assert [one.slope.seeds for one in moved] == [3] * 4
    assert all(one.difference is None for one in moved)
    # The narrowest network is what all others are compared with.
    lacking = narrow & (runs["seed"] == 0)
    sweep = sweep_of(runs[~lacking].drop(columns=["run", "directory"]).to_dict("records"))
    assert [one.slope.seeds for one in transfers(networks(sweep))] == [3] * 4


def test_a_kept_rate_costs_what_its_run_lost():
    rows = networks(swept())
    widest = {(r.parametrisation, r.arm): r for r in rows if r.width == WIDTHS[-1]}
    lost = widest["standard", "scale 1, pytorch"]
    # The best rate, tried at octave −1, lies 2.25 octaves above that of the widest: it diverges.
    assert lost.kept_failures == 4
    kept = widest["mup_sgd", "scale 1, pytorch"]
    assert (kept.kept_failures, kept.kept.mean) == (0, 0.0)
    assert kept.lowest.mean == pytest.approx(0.1, rel=0.01)


def test_the_report_says_what_moves_and_what_it_costs():
    document = report_transfer(swept())
    first, second, third, fourth = (sentence.text for sentence in document.verdict)
    assert first.startswith("Standard, scale 1, pytorch: where the width is doubled, the curve")
    assert "moves by −0.7" in first
    assert "4 of 4 runs fail" in first
    assert "Maximal update" in second and "costs 0 " in second
    assert "maximal update, scale 1, wirtinger" in third
    assert "standard, scale 1, wirtinger × 1.41 to × 1.41" in fourth
    assert document.cover is not None
    names = [axes.get_title() for axes in document.cover.figure.grid.ravel()]
    assert names[1] == "maximal update: scale 1, pytorch"


def test_without_two_widths_there_is_no_slope():
    document = report_transfer(sweep_of(valley("standard", 16, 0.0)))
    assert [str(s) for s in document.verdict] == ["No curve is known at two widths yet."]


def test_variants_are_all_parametrisations_at_all_widths():
    assert len(variants()) == len(NAMES) * len(WIDTHS)
