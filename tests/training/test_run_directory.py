"""What a run leaves behind, and that it is the same in every file."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvtrain.cli.evaluate import evaluate
from cvtrain.data.load import load_dataset
from cvtrain.training.network import build_model
from tests.training.trained_runs import configured, trained

SHORT = ("max_steps=23", "signals.scalars_every=5", "signals.validation_every=10", "batch_size=50")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    return trained(root, *SHORT, "signals.histograms_every=10")


@pytest.fixture(scope="module")
def events(run):
    accumulator = EventAccumulator(str(run.directory), size_guidance={"scalars": 0})
    accumulator.Reload()
    return accumulator


def test_rows_are_at_the_cadence_and_after_the_last_update(run):
    assert list(run.rows.index) == [0, 5, 10, 15, 20, 23]


def test_the_last_row_has_weights_validation_and_test_but_no_update(run):
    last = run.rows.loc[23].dropna()
    assert {tag.split("/")[0] for tag in last.index} == {"weight", "val", "test", "convergence"}
    first = run.rows.loc[0].dropna()
    assert {tag.split("/")[0] for tag in first.index} == {
        "train",
        "grad",
        "optimizer_grad",
        "update",
        "weight",
        "val",
    }


def test_csv_and_tensorboard_hold_the_same_scalars(run, events):
    rows = run.rows
    assert set(events.Tags()["scalars"]) == set(rows.columns)
    for tag in rows.columns:
        column = rows[tag].dropna()
        # A value may be NaN itself; those are in TensorBoard and read as missing from the csv.
        written = {e.step: e.value for e in events.Scalars(tag) if not math.isnan(e.value)}
        assert written == {s: float(np.float32(v)) for s, v in column.items()}, tag


def test_run_json_holds_the_last_value_of_every_signal(run):
    content = json.loads((run.directory / "run.json").read_text())
    for tag in run.rows.columns:
        values = pd.read_csv(run.directory / "metrics.csv", dtype=str)[tag].dropna()
        assert float(content["final"][tag]) == pytest.approx(float(values.iloc[-1]), nan_ok=True)
    assert content["status"] == "finished"
    assert content["steps"] == 23
    assert content["schema"] == 2
    assert content["engine"] == "single"
    assert content["config"]["batch_size"] == 50
    assert content["id"] == configured(*SHORT).identity


def test_run_json_has_no_bare_nan_or_infinity(run):
    text = (run.directory / "run.json").read_text()
    json.loads(text, parse_constant=lambda token: pytest.fail(token))


def test_hparams_are_in_the_runs_own_directory(run, events):
    assert [p.name for p in run.directory.iterdir() if p.is_dir()] == ["checkpoints"]
    tags = {tag for tag in events.summary_metadata if tag.startswith("_hparams_")}
    assert tags == {
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    }


def test_histograms_split_complex_parameters_by_name(events):
    tags = set(events.Tags()["tensors"])
    for part in ("real", "imag", "abs", "phase"):
        assert any(tag.startswith("grad/") and tag.endswith(f".weight/{part}") for tag in tags)


def test_checkpoints_load_into_the_plain_module(run):
    config = configured(*SHORT)
    dataset = load_dataset(config)
    model = build_model(config, dataset)
    for name in ("last", "best"):
        path = run.directory / "checkpoints" / f"{name}.ckpt"
        content = torch.load(path, weights_only=True)
        assert set(content) == {"schema", "state_dict", "step"}
        model.load_state_dict(content["state_dict"])
    model.load_state_dict(run.weights)
    with torch.no_grad():
        output = model(dataset.test.inputs)
    accuracy = (output.argmax(1) == dataset.test.targets).double().mean()
    assert run.record.final["test/accuracy"] == pytest.approx(float(accuracy), abs=1e-7)


def test_the_best_checkpoint_is_of_the_lowest_validation_loss(run):
    best = run.record.best["val/loss"]
    column = run.rows["val/loss"].dropna()
    assert best["value"] == column.min()
    assert best["step"] == column.idxmin()
    content = torch.load(run.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert content["step"] == best["step"]


def test_the_same_configuration_gives_the_same_numbers(run, tmp_path):
    again = trained(tmp_path, *SHORT, "signals.histograms_every=0")
    pd.testing.assert_frame_equal(again.rows, run.rows, check_exact=True)


def test_the_seed_decides_weights_and_batches(run, tmp_path):
    other = trained(tmp_path, *SHORT, "seed=1")
    assert other.rows.loc[0, "weight/norm"] != run.rows.loc[0, "weight/norm"]


def test_a_diverged_run_is_a_result_with_its_last_finite_weights(tmp_path):
    run = trained(tmp_path, *SHORT, "optimizer.lr=1e12", "max_steps=40")
    assert run.record.status == "diverged"
    assert run.record.diverged_at is not None
    assert run.record.diverged_at < 40
    assert all(bool(torch.isfinite(weight).all()) for weight in run.weights.values())
    assert run.record.final["convergence/loss_auc"] == math.inf
    assert run.rows.index[-1] == run.record.diverged_at


def test_lbfgs_sees_the_transformed_gradient_inside_its_closure(tmp_path):
    common = (
        "optimizer=lbfgs",
        "max_steps=3",
        "batch_size=null",
        "dtype=complex128",
        "data=system_id",
        "model=linear",
        "objective=complex_mse",
    )
    plain = trained(tmp_path, *common)
    conjugated = trained(tmp_path, *common, "convention=unconjugated")
    assert plain.record.final["val/loss"] < plain.record.final["convergence/initial/loss"]
    assert not torch.equal(plain.weights["weight"], conjugated.weights["weight"])


def test_the_known_solution_is_approached(tmp_path):
    run = trained(
        tmp_path,
        "data=system_id",
        "model=linear",
        "objective=complex_mse",
        "optimizer.lr=0.05",
        "max_steps=100",
        "dtype=complex128",
    )
    error = run.rows["weight/error"].dropna()
    assert error.iloc[-1] < 0.2 * error.iloc[0]


def test_the_objective_of_a_row_is_the_loss_times_its_scale_and_the_gradient_is_its_own(tmp_path):
    plain = trained(tmp_path, *SHORT, "max_steps=1", "dtype=complex128")
    scaled = trained(tmp_path, *SHORT, "max_steps=1", "dtype=complex128", "objective.scale=0.25")
    one, other = (run.rows.loc[0] for run in (plain, scaled))
    assert one["train/objective"] == one["train/loss"] == other["train/loss"]
    assert other["train/objective"] == 0.25 * one["train/loss"]
    for tag in ("grad/norm", "optimizer_grad/norm", "update/norm"):
        assert other[tag] == pytest.approx(0.25 * one[tag], rel=1e-12)


def test_the_gradient_of_lbfgs_is_that_at_the_weights_before_its_step(tmp_path):
    common = ("max_steps=2", "batch_size=null", "signals.scalars_every=1", "dtype=complex128")
    common = (*common, "data=system_id", "model=linear", "objective=complex_mse")
    lbfgs = trained(tmp_path, *common, "optimizer=lbfgs", "optimizer.max_iter=5")
    sgd = trained(tmp_path, *common, "optimizer=sgd")
    for tag in ("train/loss", "grad/norm", "optimizer_grad/norm"):
        assert lbfgs.rows.loc[0, tag] == sgd.rows.loc[0, tag]
    assert lbfgs.rows.loc[1, "grad/norm"] < 0.9 * lbfgs.rows.loc[0, "grad/norm"]


def test_test_metrics_are_those_of_the_test_split_and_validation_of_the_validation_split(run):
    for split in ("validation", "test"):
        evaluated = evaluate(run.directory, split, "last")
        group = "val" if split == "validation" else "test"
        for name, value in evaluated.values.items():
            if f"{group}/{name}" in run.record.final:
                assert run.record.final[f"{group}/{name}"] == pytest.approx(value, rel=1e-6), name


def test_the_best_of_a_run_that_diverged_counts_its_last_usable_weights(tmp_path):
    common = ("data=system_id", "model=linear", "objective=complex_mse", "optimizer.lr=0.05")
    common = (*common, "dtype=complex128", "max_steps=60", "signals.validation_every=50")
    alive = trained(tmp_path, *common)

    # The loss falls until a learning rate that is infinite, between two validations.
    class Bursts:
        def __call__(self, step):
            return math.inf if step == 20 else 1.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvtrain.training.own_module.learning_rate_factor", lambda *_: Bursts())
        run = trained(tmp_path, *common)
    assert run.record.diverged_at == 20
    assert run.record.best["val/loss"]["step"] == run.record.diverged_at
    first = alive.rows["val/loss"].iloc[0]
    assert run.record.best["val/loss"]["value"] < 0.5 * first


def test_a_training_of_the_default_configuration_is_stable(tmp_path):
    """Looked at after every update; four times the learning rate has losses above 2 again."""
    losses = trained(tmp_path, "seed=2", "max_steps=200", "signals.scalars_every=1").rows[
        "train/loss"
    ]
    assert losses.loc[100:].max() < 0.3
