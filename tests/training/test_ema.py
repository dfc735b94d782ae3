"""Averages of weights: the recursion itself, in either engine, and what is measured on them."""

import pytest
import torch

from cvtrain.cli.evaluate import evaluate
from cvtrain.runs.checkpoint import load_checkpoint
from cvtrain.training.ema import WeightAverage, in_place_of
from tests.training.trained_runs import (
    configured,
    largest_difference,
    stacked,
    together_and_alone,
    trained,
)

SETTING = ("dtype=complex128", "model.hidden=[4]", "max_steps=30", "batch_size=32")
NOTHING_FROZEN = torch.zeros(2, dtype=torch.bool)


def drawn(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    complex_weight = torch.randn(2, 3, dtype=torch.complex128, generator=generator)
    real_weight = torch.randn(2, 4, dtype=torch.float64, generator=generator)
    return {"complex": complex_weight, "real": real_weight}


def averaged(run) -> dict[str, torch.Tensor]:
    return load_checkpoint(run.directory / "checkpoints" / "average.ckpt")[0]


def test_the_average_is_the_sum_of_all_weights_with_decaying_shares():
    decays = torch.tensor([0.9, 0.5], dtype=torch.float64)
    history = [drawn(seed) for seed in range(6)]
    average = WeightAverage(history[0], {}, decays)
    for updates, weights in enumerate(history[1:], 1):
        average.update(weights, {}, NOTHING_FROZEN, updates)
    for name, m in average.state.items():
        d = decays.reshape(2, 1)
        expected = d**5 * history[0][name]
        for k, weights in enumerate(history[1:], 1):
            expected = expected + (1 - d) * d ** (5 - k) * weights[name]
        torch.testing.assert_close(m, expected, rtol=1e-13, atol=1e-13)


def test_statistics_are_averaged_without_what_they_were_before_any_batch_and_counters_are_not():
    decays = torch.tensor([0.9, 0.5], dtype=torch.float64)
    history = [drawn(seed) for seed in range(5)]
    average = WeightAverage({}, history[0] | {"count": torch.zeros(2, dtype=torch.int64)}, decays)
    for updates, buffers in enumerate(history[1:], 1):
        counted = buffers | {"count": torch.full((2,), updates)}
        average.update({}, counted, NOTHING_FROZEN, updates)
    assert average.state["count"].tolist() == [4, 4]
    d = decays.reshape(2, 1)
    shares = [(1 - d) * d ** (4 - k) / (1 - d**4) for k in range(1, 5)]
    torch.testing.assert_close(sum(shares), torch.ones_like(d))
    for name in history[0]:
        expected = sum(s * buffers[name] for s, buffers in zip(shares, history[1:], strict=True))
        torch.testing.assert_close(average.state[name], expected, rtol=1e-13, atol=1e-13)


def test_averages_are_tested_and_kept_as_the_best_with_the_statistics_they_are_saved_with(tmp_path):
    averages = ("ema.decay=0.9", "model.normalisation=batch", "optimizer=adam")
    common = (*SETTING, *averages, "signals.validation_every=10")
    together = stacked(tmp_path, common, (*common, "ema.decay=0.5"))
    for run in (trained(tmp_path, *common), *together):
        last = evaluate(run.directory, "test", "average")
        assert last.values["loss"] == pytest.approx(run.record.final["test/loss"], rel=1e-10)
        best = run.record.best["val/loss"]
        evaluated = evaluate(run.directory, "validation", "best")
        assert evaluated.step == best["step"]
        assert evaluated.values["loss"] == pytest.approx(best["value"], rel=1e-10)


def test_runs_that_ended_keep_their_average():
    average = WeightAverage(drawn(0), {}, 0.5)
    average.update(drawn(1), {}, torch.tensor([True, False]), 1)
    assert torch.equal(average.state["complex"][0], drawn(0)["complex"][0])
    assert not torch.equal(average.state["complex"][1], drawn(0)["complex"][1])


def test_live_weights_are_the_average_for_a_while_and_then_themselves_again():
    live, original = drawn(1), drawn(1)
    average = WeightAverage(drawn(0), {}, 0.5)
    with pytest.raises(KeyboardInterrupt), in_place_of(lambda: live, average.state):
        assert all(torch.equal(live[name], average.state[name]) for name in live)
        raise KeyboardInterrupt
    assert all(torch.equal(live[name], original[name]) for name in live)


def test_a_factor_of_two_in_lr_and_gradient_leaves_the_average_its_bits(tmp_path):
    common = ("ema.decay=0.9", "optimizer=sgd", "optimizer.lr=0.125", *SETTING)
    plain = trained(tmp_path, *common)
    halved = trained(tmp_path, *common, "objective.scale=0.5", "optimizer.lr=0.25")
    assert all(torch.equal(averaged(plain)[name], m) for name, m in averaged(halved).items())
    assert plain.record.final["test/loss"] == halved.record.final["test/loss"]


def test_the_average_is_what_is_validated_and_the_weights_are_what_is_trained(tmp_path):
    plain = trained(tmp_path, *SETTING)
    with_average = trained(tmp_path, *SETTING, "ema.decay=0.9")
    assert largest_difference(plain, with_average) == 0
    assert plain.record.final["train/loss"] == with_average.record.final["train/loss"]
    assert plain.record.final["test/loss"] != with_average.record.final["test/loss"]
    follows = trained(tmp_path, *SETTING, "ema.decay=0")
    assert follows.record.final["test/loss"] == pytest.approx(plain.record.final["test/loss"])
    assert not (plain.directory / "checkpoints" / "average.ckpt").exists()


def test_both_engines_average_alike(tmp_path):
    members = [(*SETTING, f"ema.decay={decay}") for decay in (0.9, 0.5, 0.99)]
    for run, alone in together_and_alone(tmp_path, *members):
        for name, m in averaged(alone).items():
            torch.testing.assert_close(averaged(run)[name], m, rtol=1e-11, atol=1e-12)
        for tag in ("val/loss", "test/accuracy"):
            assert run.record.final[tag] == pytest.approx(alone.record.final[tag], rel=1e-10)


def test_a_decay_of_one_never_moves_and_is_refused():
    with pytest.raises(ValueError, match=r"ema.decay=1.0: should be less than 1"):
        configured("ema.decay=1.0")


def test_after_one_update_the_averaged_statistics_are_those_of_its_batch(tmp_path):
    common = (*SETTING, "max_steps=1", "model.normalisation=batch", "ema.decay=0.9")
    for run in (trained(tmp_path, *common), *stacked(tmp_path, common, (*common, "ema.decay=0.5"))):
        average, weights = averaged(run), run.weights
        statistics = [name for name in weights if "running" in name]
        assert statistics
        for name in statistics:
            torch.testing.assert_close(average[name], weights[name], rtol=1e-13, atol=1e-13)
