"""Validations: what K runs keep as their best, and when early stopping ends them."""

import pytest
import torch

from cvtrain.cli.evaluate import evaluate
from cvtrain.config.sections import EarlyStoppingConfig
from cvtrain.process.errors import InputError
from cvtrain.training.validation import BestState, EarlyStopping
from tests.event_content import histogram_steps
from tests.training.trained_runs import largest_difference, stacked, trained

METRICS = {"loss": False, "accuracy": True}
SETTING = (
    *("optimizer=adam", "dtype=complex128", "model.hidden=[8]", "max_steps=100", "batch_size=32"),
    *("signals.validation_every=5", "signals.scalars_every=50", "early_stopping.patience=2"),
    "signals.histograms_every=5",
)


def ends(config: EarlyStoppingConfig, *histories: list[float]) -> list[int | None]:
    """Per history the number of validations after which its run ends."""
    stopping = EarlyStopping(config, METRICS)
    at: list[int | None] = [None] * len(histories)
    for number, values in enumerate(zip(*histories, strict=True), 1):
        for run in stopping.observe(torch.tensor(values)).nonzero().flatten().tolist():
            at[run] = at[run] or number
    return at


def test_a_run_ends_once_nothing_was_better_for_long_enough():
    falls, rises = [5.0, 4.0, 3.0, 2.0, 1.0, 0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    dips, nan = [3.0, 4.0, 2.0, 4.0, 4.0, 4.0], [1.0] + [float("nan")] * 5
    config = EarlyStoppingConfig(patience=3)
    assert ends(config, falls, rises, dips, nan) == [None, 4, 6, 4]
    assert ends(EarlyStoppingConfig(), rises) == [None]


def test_more_accuracy_is_better_and_a_margin_has_to_be_exceeded():
    rises = [0.1, 0.2, 0.3, 0.4]
    assert ends(EarlyStoppingConfig(patience=2, metric="val/accuracy"), rises) == [None]
    assert ends(EarlyStoppingConfig(patience=2, metric="loss"), rises) == [3]
    coarse = EarlyStoppingConfig(patience=2, metric="accuracy", min_delta=0.15)
    assert ends(coarse, rises, [0.1, 0.3, 0.5, 0.7]) == [None, None]
    assert ends(coarse, [0.1, 0.2, 0.2, 0.2], [0.1] * 4) == [3, 3]


def test_a_metric_that_is_not_validated_is_refused():
    with pytest.raises(InputError, match=r"early_stopping.metric=nmse: .*one of loss, accuracy"):
        EarlyStopping(EarlyStoppingConfig(metric="nmse"), METRICS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A stack of learning rates that stop at different steps, and the same one by one."""
    members = [(*SETTING, f"optimizer.lr={rate}") for rate in (0.05, 0.02, 0.002)]
    roots = [tmp_path_factory.mktemp(name) for name in ("stack", "single")]
    return stacked(roots[0], *members), [trained(roots[1], *member) for member in members]


def test_runs_of_a_stack_end_when_they_would_have_ended_alone(runs):
    together, alone = runs
    steps = [run.record.stopped_at for run in together]
    assert steps == [run.record.stopped_at for run in alone]
    assert len(set(steps)) == 3
    for one, other in zip(together, alone, strict=True):
        assert (one.record.status, one.record.steps) == ("finished", one.record.stopped_at or 100)
        assert largest_difference(one, other) < 1e-10
        assert one.rows.index[-1] == other.rows.index[-1] == one.record.steps
        for tag in ("val/loss", "test/loss", "convergence/loss_auc", "weight/norm"):
            assert one.record.final[tag] == pytest.approx(other.record.final[tag], rel=1e-9)
        for name, best in one.record.best.items():
            assert best == pytest.approx(other.record.best[name], rel=1e-9)


def test_with_early_stopping_the_best_weights_are_tested_beside_the_last_ones(runs):
    """In a stack and alone, each as the command `evaluate` does."""
    for run in (of_engine for engine in runs for of_engine in engine):
        record = run.record
        for group, checkpoint in (("test", "last"), ("test_best", "best")):
            again = evaluate(run.directory, "test", checkpoint)
            for name in METRICS:
                value = record.final[f"{group}/{name}"]
                assert value == pytest.approx(again.values[name], rel=1e-9)
            assert record.tested[group] == f"{checkpoint} weights after {again.step} updates"
    stopped = runs[0][0].record
    assert stopped.final["test_best/loss"] != stopped.final["test/loss"]


def test_a_run_that_ended_has_histograms_of_the_updates_that_it_made_and_of_no_others(runs):
    for run in (of_engine for engine in runs for of_engine in engine):
        assert histogram_steps(run.directory) == list(range(0, run.record.steps, 5))


def test_a_run_that_ended_keeps_the_weights_it_ended_with(runs, tmp_path):
    stopped = runs[0][0]
    steps = stopped.record.steps
    without = ("optimizer.lr=0.05", "early_stopping.patience=null", f"max_steps={steps}")
    until_then = trained(tmp_path, *SETTING, *without)
    assert largest_difference(stopped, until_then) < 1e-12


def test_a_value_that_is_equal_to_the_best_one_is_no_better():
    flat, again = [3.0] * 6, [3.0, 2.0, 2.0, 2.0, 2.0, 1.0]
    assert ends(EarlyStoppingConfig(patience=3), flat, again) == [4, 5]
    assert ends(EarlyStoppingConfig(patience=3, metric="accuracy"), [0.5] * 6) == [4]


def at(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 2, 2), complex(value, -value)), "b": torch.full((3,), value)}


def test_each_run_keeps_the_weights_of_its_own_lowest_loss():
    best = BestState(at(0))
    best.consider(0, torch.tensor([2.0, 2.0, float("nan")]), at(0))
    best.consider(10, torch.tensor([1.0, 3.0, float("nan")]), at(1))
    best.consider(20, torch.tensor([1.0, 1.5, 9.0]), at(2))
    assert best.step.tolist() == [10, 20, 20]
    assert best.state["b"].tolist() == [1, 2, 2]
    assert torch.equal(best.state["w"][:, 1, 1], torch.tensor([1 - 1j, 2 - 2j, 2 - 2j]))


def test_what_is_kept_does_not_follow_weights_that_are_updated_in_place():
    weights = at(1)
    best = BestState(weights)
    best.consider(0, torch.ones(3), weights)
    weights["b"].zero_()
    assert best.state["b"].tolist() == [1, 1, 1]


def test_the_best_network_has_the_statistics_of_its_own_step(tmp_path):
    overfits = ("model.normalisation=batch", "optimizer=adam", "optimizer.lr=0.03", "seed=1")
    common = (*overfits, "max_steps=80", "signals.validation_every=10", "dtype=complex128")
    together = stacked(tmp_path, common, (*common, "seed=2"))
    for run in (trained(tmp_path, *common), *together):
        best = run.record.best["val/loss"]
        evaluated = evaluate(run.directory, "validation", "best")
        assert evaluated.step == best["step"] < 80
        assert evaluated.values["loss"] == pytest.approx(best["value"], rel=1e-10)


def test_of_equal_losses_the_first_is_the_best():
    best = BestState(at(0))
    for step, value in ((0, 1.0), (10, 2.0), (20, 3.0)):
        best.consider(step, torch.tensor([1.0, 2.0 - value / 8, 1.0]), at(value))
    assert best.step.tolist() == [0, 20, 0]
    assert best.state["b"].tolist() == [1, 3, 1]
