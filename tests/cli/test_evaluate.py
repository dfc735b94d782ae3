"""`python -m cvtrain evaluate`: what a run's network makes of a split."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch

from cvtrain.cli import train as command
from cvtrain.cli.evaluate import evaluate, main
from cvtrain.data.digits_fft import digits_fft
from cvtrain.runs.run_json import read_record

DIGITS = ("model.hidden=[8]", "max_steps=40", "signals.validation_every=10", "optimizer=adam")
CHANNEL = ("data=equalizer", "model=mlp", "objective=complex_mse", "max_steps=40", "batch_size=50")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    for name, words in (("digits", DIGITS), ("channel", CHANNEL)):
        assert command.main([*words, f"hydra.run.dir={root / name}"]) == 0
    return root


@pytest.mark.parametrize("name", ["digits", "channel"])
def test_the_last_weights_have_the_numbers_of_the_run(runs, name):
    final = read_record(runs / name / "run.json")["final"]
    for split, prefix in (("test", "test/"), ("validation", "val/")):
        values = evaluate(runs / name, split, "last").values
        while_training = [key for key in values if prefix + key in final]
        assert len(while_training) >= 2
        assert {key: values[key] for key in while_training} == {
            key: final[prefix + key] for key in while_training
        }


def test_the_best_weights_have_the_lowest_validation_loss(runs):
    best = read_record(runs / "digits" / "run.json")["best"]["val/loss"]
    evaluation = evaluate(runs / "digits", "validation")
    assert evaluation.values["loss"] == best["value"]
    assert evaluation.step == best["step"]


def test_the_confusion_matrix_counts_every_sample_under_its_class(runs):
    evaluation = evaluate(runs / "digits", "test", "last", predictions=True)
    assert evaluation.predictions is not None
    outputs, _ = evaluation.predictions
    targets = digits_fft(dtype=torch.complex64).test.targets
    assert evaluation.confusion is not None
    assert torch.equal(evaluation.confusion.sum(dim=1), torch.bincount(targets))
    right = evaluation.confusion.trace().item() / len(targets)
    assert right == pytest.approx(evaluation.values["accuracy"])
    for true, predicted in ((3, 8), (0, 0)):
        count = ((targets == true) & (outputs.argmax(dim=1) == predicted)).sum()
        assert evaluation.confusion[true, predicted] == count
    assert evaluate(runs / "channel").confusion is None


def test_predictions_are_written_complex_and_once(runs, tmp_path, capsys):
    words = [str(runs / "channel"), "--predictions", str(tmp_path / "outputs.npz")]
    assert main(words) == 0
    assert "symbol_error_rate" in capsys.readouterr().out
    with np.load(tmp_path / "outputs.npz") as arrays:
        outputs, targets = arrays["outputs"], arrays["targets"]
    assert outputs.dtype == targets.dtype == np.complex64
    mean = (np.abs(outputs - targets) ** 2).mean()
    assert mean == pytest.approx(evaluate(runs / "channel").values["loss"], rel=1e-5)
    assert main(words) == 2
    assert "File exists" in capsys.readouterr().err


def test_the_command_prints_metrics_and_the_matrix(runs, capsys):
    assert main([str(runs / "digits"), "--split", "train", "--checkpoint", "last"]) == 0
    message = capsys.readouterr().out
    assert "train split, last weights after 40 updates" in message
    assert "accuracy" in message
    assert "true in rows" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: run"),
        (["nowhere"], "run.json"),
        (["{run}", "--split", "all"], "invalid choice: 'all'"),
        (["{run}", "--predictions", "outputs.csv"], "should end in .npz"),
        (["{run}", "--checkpoint", "average"], "has no averaged weights: ema.decay was not set"),
    ],
)
def test_bad_input_is_a_line_and_status_2(runs, capsys, arguments, message):
    words = [text.format(run=runs / "digits") for text in arguments]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_weights_of_another_network_are_a_line(runs, tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "run.json").write_bytes((runs / "digits" / "run.json").read_bytes())
    for name in ("best", "last"):
        content = (runs / "channel" / "checkpoints" / f"{name}.ckpt").read_bytes()
        (tmp_path / "checkpoints" / f"{name}.ckpt").write_bytes(content)
    assert main([str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "should be of this run's network: is of another network: Missing key(s)" in message
    assert len(message.splitlines()) == 1


class Executes:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


def test_a_strangers_run_executes_nothing(runs, tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    record = json.loads((runs / "digits" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record))
    made = tmp_path / "executed"
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(pickle.dumps(Executes(str(made))))
    assert main([str(tmp_path)]) == 2
    record["config"]["model"] = {"_target_": "stranger.Net"}
    record["config"]["trusted_modules"] = ["stranger"]
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert main([str(tmp_path)]) == 2
    assert not made.exists()


def test_predictions_of_scaled_targets_say_their_unit(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(60, 3)) * (1 + 1j)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", 50 * x.sum(1))
    words = [f"data.inputs={tmp_path}/x.npy", f"data.targets={tmp_path}/y.npy", "batch_size=10"]
    asked = ["data=arrays", "data.target_scale=rms", "objective=complex_mse", "model=linear"]
    run = tmp_path / "run"
    assert command.main([*asked, *words, "max_steps=10", f"hydra.run.dir={run}"]) == 0
    scale = read_record(run / "run.json")["scales"]["targets"]
    assert f"regression onto 1 in units of {scale:.6g}" in capsys.readouterr().out
    assert main([str(run), "--predictions", str(tmp_path / "made.npz"), "--split", "train"]) == 0
    assert f"outputs and targets in units of {scale:.6g}" in capsys.readouterr().out
    with np.load(tmp_path / "made.npz") as made:
        assert made["target_scale"] == scale
        values = made["targets"][:, 0] * scale
    assert np.sqrt(np.mean(np.abs(values) ** 2)) == pytest.approx(scale, rel=1e-5)
    assert np.abs(values[:, None] - 50 * x.sum(1)).min(1).max() < 1e-3
