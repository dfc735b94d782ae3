"""Initial weights from a checkpoint: those of the file, or a line that says why not."""

import shutil

import pytest
import torch

import cvtrain
from cvtrain.cli.evaluate import evaluate
from cvtrain.data.load import load_dataset
from cvtrain.process.errors import InputError
from cvtrain.runs.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from cvtrain.runs.run_json import read_record
from cvtrain.training.network import build_model

SMALL = ("model=mlp", "model.hidden=[4]", "max_steps=6")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = cvtrain.configure(*SMALL)
    return cvtrain.train(config, tmp_path_factory.mktemp("earlier")).directory


def weights(*overrides: str) -> dict[str, torch.Tensor]:
    config = cvtrain.configure(*SMALL, *overrides)
    return build_model(config, load_dataset(config)).state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


def test_a_run_begins_with_the_weights_of_the_checkpoint_whatever_its_seed(run):
    last, best = (load_checkpoint(checkpoint_path(run, name))[0] for name in ("last", "best"))
    assert same(weights(f"start_from='{checkpoint_path(run, 'last')}'", "seed=7"), last)
    assert same(weights(f"start_from='{run}'"), best)
    assert not same(weights(), best)
    double = weights(f"start_from='{run}'", "dtype=complex128")
    assert all(w.dtype == torch.complex128 for w in double.values())
    assert same({n: w.to(torch.complex64) for n, w in double.items()}, best)


def test_training_goes_on_from_there(run, tmp_path):
    config = cvtrain.configure(*SMALL, f"start_from='{checkpoint_path(run, 'last')}'", "seed=3")
    again = cvtrain.load(cvtrain.train(config, tmp_path))
    before = cvtrain.load(run)
    first = again.curves.query("tag == 'val/loss' and step == 0")["value"].item()
    last = before.curves.query("tag == 'val/loss' and step == 6")["value"].item()
    assert first == last


def test_a_run_is_evaluated_where_what_it_started_from_is_gone(run, tmp_path):
    earlier = tmp_path / "earlier"
    shutil.copytree(run, earlier)
    config = cvtrain.configure(*SMALL, f"start_from='{earlier}'")
    later = cvtrain.train(config, tmp_path / "later").directory
    shutil.rmtree(earlier)
    expected = read_record(later / "run.json")["final"]["test/loss"]
    assert evaluate(later, "test", "last").values["loss"] == expected


def test_twins_of_the_null_arm_are_jittered_around_the_checkpoint(run):
    start = f"start_from='{run}'"
    near, jittered = weights(start, "init_jitter=1e-6"), weights(start)
    for name, weight in jittered.items():
        distance = (near[name] - weight).norm() / weight.norm()
        assert 0 < distance < 1e-5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("start_from=nowhere",), "start_from=nowhere: should be a run directory or a checkpoint"),
        (("start_from='{run}'", "model.hidden=[5]"), "is of another network: size mismatch for"),
        (("start_from='{run}'", "model.hidden=[4,4]"), "is of another network: Missing key"),
        (("start_from='{real}'",), "layers.0.weight is real, should be torch.complex"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told_in_a_line(run, tmp_path, given, told):
    real = {name: w.abs() for name, w in load_checkpoint(checkpoint_path(run, "last"))[0].items()}
    save_checkpoint(tmp_path, "best", real, 6)
    overrides = [text.format(run=run, real=tmp_path) for text in given]
    with pytest.raises(InputError) as caught:
        cvtrain.configure(*SMALL, *overrides)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
