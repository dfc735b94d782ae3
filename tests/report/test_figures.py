"""The rules that all figures keep: sizes, axes, the band of what failed, and captions."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from cvtrain.analysis.compare import compare
from cvtrain.analysis.verdict import decide
from cvtrain.report.export import write_report
from cvtrain.report.figures.differences import prices
from cvtrain.report.figures.learning_rates import distances, heat_maps, learning_rate_curves
from cvtrain.report.figures.panels import PANEL, Panels
from cvtrain.report.figures.save import save_figure
from cvtrain.report.figures.style import LETTERS
from cvtrain.report.figures.ticks import log_ticks, number_label, octave_ticks
from cvtrain.report.lr_sweep import report_retuning
from tests.analysis.synthetic import HALVED, JITTERED, WIRTINGER, row, sweep_of

RATES = (0.0625, 0.125, 0.25, 0.5)
ADAM = {"optimizer___target_": "torch.optim.Adam"}


def arm(losses=(0.3, 0.2, 0.25, 0.4), diverged=(), seeds=3, **config):
    """Runs at four rates whose accuracy falls with the loss."""
    return [
        row(
            loss,
            1 - loss / 4,
            "diverged" if rate in diverged else "finished",
            seed=seed,
            optimizer__lr=rate,
            **config,
        )
        for rate, loss in zip(RATES, losses, strict=True)
        for seed in range(seeds)
    ]


def pictures(*arms):
    document = report_retuning(sweep_of([one for rows in arms for one in rows]))
    return {picture.name: picture for picture in document.pictures}


def curve(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.13, 0.61, ["0.15", "0.2", "0.3", "0.5"]),
        (1e-9, 1.0, ["10⁻⁸", "10⁻⁶", "10⁻⁴", "0.01", "1"]),
        (0.5, 120, ["1", "10", "100"]),
        (0.101, 0.109, ["0.102", "0.104", "0.106", "0.108"]),
    ],
)
def test_a_logarithmic_axis_has_a_few_labels_that_a_person_reads(low, high, labels):
    assert [number_label(tick) for tick in log_ticks(low, high)] == labels


def test_octaves_are_whole_and_at_most_seven():
    assert octave_ticks(-4.2, 1.1) == [-4, -3, -2, -1, 0, 1]
    assert octave_ticks(-20, 0) == [-18, -15, -12, -9, -6, -3, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (6, 2)])
def test_a_panel_is_as_large_in_every_figure(shape):
    figure = Panels(*shape)
    for axes in figure.grid.ravel():
        axes.plot([1, 2], label="a line")
    figure.finish()
    sizes = {
        tuple(np.round(axes.get_position().size * figure.get_size_inches(), 6))
        for axes in figure.axes
    }
    one = Panels(1, 1)
    assert sizes == {tuple(np.round(one.axes[0].get_position().size * one.get_size_inches(), 6))}
    panels = figure.pieces[: len(figure.grid.ravel())]
    assert {piece[2:] for piece in panels} == {PANEL}
    bottom = max(piece.top + piece.height for piece in figure.pieces)
    assert bottom == pytest.approx(figure.get_size_inches()[1])


def test_a_rate_at_which_a_run_failed_breaks_the_line_and_is_marked_in_the_band():
    runs = compare(sweep_of([*arm(), *arm(diverged=(0.25,), **HALVED)]))
    figure = learning_rate_curves(runs)
    loss, error = figure.axes
    for axes in (loss, error):
        broken = curve(axes, "scale ½, pytorch")
        values = dict(zip(broken.get_xdata(), broken.get_ydata(), strict=True))
        assert [rate for rate in RATES if math.isnan(values[rate])] == [0.25]
        (mark,) = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
        assert mark.get_xdata().tolist() == [0.25]
        assert min(mark.get_ydata()) > 1  # in units of the axes: above them
        assert mark.get_color() == broken.get_color()
    texts = [text.get_text() for text in figure.legends[-1].get_texts()]
    assert "in the band" in texts[-1].replace("\n", " ")
    assert "failed" in [text.get_text() for text in loss.texts]


def test_less_is_better_on_every_axis_and_brighter_is_better_on_every_map():
    runs = compare(sweep_of([*arm(), *arm((0.4, 0.3, 0.2, 0.5), **WIRTINGER)]))
    error = learning_rate_curves(runs).axes[1]
    assert error.get_ylabel() == "test error, %"
    assert curve(error, "scale 1, pytorch").get_ydata() == pytest.approx([7.5, 5, 6.25, 10])
    (image,) = heat_maps(runs).axes[0].images
    best, worst = image.cmap(image.norm([5.0, 12.5]))
    assert sum(best[:3]) > sum(worst[:3])


def test_panels_of_one_quantity_have_one_axis():
    runs = compare(sweep_of([*arm(), *arm(**HALVED), *arm((3, 2, 1.5, 1), **ADAM)]))
    limits = [axes.get_ylim() for axes in learning_rate_curves(runs).axes]
    assert limits[0] == limits[2]
    assert limits[1] == limits[3]


def test_what_never_arrives_is_in_a_band():
    late = [one | {"convergence/steps_to_target": math.inf} for one in arm(**HALVED)]
    figure = prices(compare(sweep_of([*arm(), *late])))
    ratio = figure.axes[1]
    assert "never" in [text.get_text() for text in ratio.texts]
    assert figure.axes[0].get_yscale() == "linear"


def test_every_arm_is_in_the_legend_once_and_has_one_colour(tmp_path):
    rows = [*arm(), *arm(**HALVED), *arm(**ADAM), *arm(**ADAM, **WIRTINGER)]
    figure = learning_rate_curves(compare(sweep_of([*rows, *arm(**ADAM, **JITTERED)])))
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert labels == [
        "scale 1, pytorch",
        "scale ½, pytorch",
        "scale 1, wirtinger",
        "jitter control",
    ]
    colours: dict[str, set[str]] = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            colours.setdefault(line.get_label(), set()).add(line.get_color())
    assert all(len(colours[label]) == 1 for label in labels)
    svg, png = save_figure(figure, tmp_path / "curves")
    texts = [e for e in xml.parse(svg).iter() if e.tag.endswith("}text")]
    sizes = [float(size) for e in texts for size in re.findall(r"([\d.]+)px", e.get("style"))]
    assert min(sizes) >= LETTERS
    assert png.read_bytes().startswith(b"\x89PNG")


def test_where_nothing_finished_or_arrived_figures_are_drawn_too(tmp_path):
    diverged = [*arm(diverged=RATES), *arm(diverged=RATES, **JITTERED)]
    never = [one | {"convergence/steps_to_target": math.inf} for one in [*arm(), *arm(**HALVED)]]
    for name, rows in (("diverged", diverged), ("never", never)):
        document = report_retuning(sweep_of(rows))
        assert len(document.pictures) >= 2
        write_report(document, tmp_path / name)


def test_a_loss_of_zero_has_no_ratio_and_no_distance():
    sweep = sweep_of([*arm((0.3, 0.0, 0.25, 0.4)), *arm((0.4, 0.3, 0.2, 0.25), **HALVED)])
    comparison = compare(sweep)
    decision = list(distances(comparison.groups[0], decide(comparison.groups)))
    assert [name for name, *_ in decision] == ["scale ½, pytorch"]
    # At 0.0625, 0.25 and 0.5 the losses' ratios are 4/3, 5/4 and 8/5.
    assert decision[0][1] == pytest.approx(1 / 3)


@pytest.mark.parametrize("diverged", [(), RATES])
def test_numbers_of_a_map_have_room_and_panels_without_values_have_no_scale(diverged):
    comparison = compare(sweep_of(arm((0.3, 0.2345, 0.25, 0.4), diverged)))
    axes = heat_maps(comparison).grid[0, 0]
    assert {len(text.get_text()) for text in axes.texts} == ({1} if diverged else {2, 3, 4})
    assert len(axes.child_axes) == (0 if diverged else 1)  # the colours' scale
    many = [
        one for lr in (1, 2, 4, 8, 16, 32, 64) for one in (row(0.3, 0.87654, optimizer__lr=lr),)
    ]
    assert {text.get_text() for text in heat_maps(compare(sweep_of(many))).grid[0, 0].texts} == {""}
    for axes in learning_rate_curves(comparison).grid[0]:
        assert bool(len(axes.get_yticks())) is not bool(diverged)


def test_captions_say_what_the_data_say():
    one = pictures(arm(), arm((0.6, 0.4, 0.5, 0.8), **WIRTINGER))
    other = pictures(arm((0.5, 0.4, 0.45, 0.6)), arm((0.55, 0.44, 0.5, 0.7), **WIRTINGER))
    assert set(one) == set(other)
    assert len(one) >= 5
    for name, picture in one.items():
        assert picture.caption != other[name].caption, name
    assert "lie up to 100 % from scale 1, pytorch as measured" in one["registered"].caption
    assert "lowest mean test error 5 % is that of scale 1, pytorch at 2⁻³" in (
        one["learning_rates"].caption
    )
    assert "most is lost by scale 1, wirtinger at 2⁻¹, +10 points" in one["prices"].caption
    lost = pictures(arm(diverged=(0.5,)), arm(**WIRTINGER))["learning_rates"].caption
    assert "3 of 24 runs failed, at 2⁻¹ and above" in lost
