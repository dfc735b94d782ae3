"""The experiment `equalizer`: our mean squared errors beside published ones and least squares."""

from __future__ import annotations

import shutil

import pytest
import torch

from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.data.equalizer import equalizer
from cvtrain.experiments.equalizer import (
    PUBLISHED,
    monomials,
    polynomial_mse,
    report_equalizer,
)
from cvtrain.process.errors import InputError

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = ("max_steps=20", "lr_octave=1", "seed=0,1", "optimizer=adam", "convention=pytorch")


def rows(directory) -> dict[str, dict]:
    (table,) = report_equalizer(load(directory)).sections[0].tables
    return {record["method"]: record for record in table.records}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    directory = tmp_path_factory.mktemp("equalizer") / "sweep"
    assert main(["+experiment=equalizer", *SMALL, f"hydra.sweep.dir={directory}"]) == 0
    return directory


def test_our_figure_is_the_mean_of_the_reference_over_seeds(sweep):
    runs = load(sweep).runs
    reference = runs[runs["objective.scale"] == 1]
    assert len(reference) == 2
    assert rows(sweep)["Adam"]["mse"] == pytest.approx(reference["test/loss"].mean())


def test_published_figures_and_least_squares_stand_beside_it(sweep):
    by_method = rows(sweep)
    assert {name: by_method[name]["mse"] for name in PUBLISHED} == PUBLISHED
    for name, expected in (
        ("polynomial of order 1 in x", 0.167),
        ("polynomial of order 4 in x", 0.136),
        ("polynomial of order 3 in x and x*", 0.048),
    ):
        assert by_method[name]["mse"] == pytest.approx(expected, rel=0.02)


def test_the_network_is_ranked_among_methods_on_the_same_data(sweep):
    document = report_equalizer(load(sweep))
    (sentence,) = document.sections[0].sentences
    best = rows(sweep)["polynomial of order 3 in x and x*"]["mse"]
    assert f"that of the best polynomial, {best:.4f}." in sentence.text
    assert "published" not in sentence.text


def edited(sweep, tmp_path, old, new):
    """A copy of the sweep with another text in each run.json."""
    shutil.copytree(sweep, tmp_path / "sweep")
    for path in (tmp_path / "sweep").glob("*/run.json"):
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return tmp_path / "sweep"


def test_nothing_was_published_for_another_delay(sweep, tmp_path):
    by_method = rows(edited(sweep, tmp_path, '"delay": 1', '"delay": 2'))
    assert not set(PUBLISHED) & set(by_method)
    # Measured on regenerated data: science of the benchmark, delay 2.
    assert by_method["polynomial of order 1 in x"]["mse"] == pytest.approx(0.074, rel=0.03)


def test_other_data_are_refused_in_a_line(sweep, tmp_path):
    other = edited(
        sweep, tmp_path, "cvtrain.data.equalizer.equalizer", "cvtrain.data.article.article"
    )
    wrong = r"there are runs with data\._target_=cvtrain\.data\.article"
    with pytest.raises(InputError, match=wrong):
        report_equalizer(load(other))


def test_monomials_are_all_products_up_to_the_order():
    x = torch.tensor([[2, 3], [1j, 1]], dtype=torch.complex128).numpy()
    assert monomials(x, 2).tolist() == [[1, 2, 3, 4, 6, 9], [1, 1j, 1, -1, 1j, 1]]


def test_the_polynomial_of_the_channels_inverse_direction_has_no_error_of_its_own():
    # y is linear in x where the target is one of the inputs.
    data = equalizer(dtype=torch.complex128)
    split = type(data.train)(data.train.inputs, data.train.inputs[:, 1:2])
    assert polynomial_mse(split, split, 1, conjugates=False) < 1e-25
