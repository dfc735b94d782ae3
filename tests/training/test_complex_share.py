"""The signal ``grad/complex_share``: what it is, and that measuring it changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cvtrain.data.load import load_dataset
from cvtrain.process.errors import InputError
from cvtrain.training.network import build_model
from cvtrain.training.preflight import check_structure
from cvtrain.training.task import Tasks
from tests.training.trained_runs import configured, stacked, trained

TAG = "grad/complex_share"
SHORT = (
    *("dtype=complex128", "max_steps=6", "signals.validation_every=3"),
    *("model.hidden=[8]", "signals.complex_share=true"),
)


class WithDropout(nn.Module):
    """A complex layer, dropout, and a real head."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 8, dtype=dtype)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 10, dtype=dtype.to_real())

    def forward(self, x):
        return self.head(self.dropout(self.layer(x.flatten(1)).abs()))


def share_of(config):
    """Of the initial weights, by one backward over the whole training split."""
    dataset = load_dataset(config)
    model = build_model(config, dataset)
    cross_entropy(model(dataset.train.inputs), dataset.train.targets).backward()
    squares = [(p.is_complex(), float(p.grad.abs().square().sum())) for p in model.parameters()]
    return sum(s for is_complex, s in squares if is_complex) / sum(s for _, s in squares)


def test_it_is_of_the_whole_training_split_in_a_stack_and_alone(tmp_path):
    """1,078 samples are no whole number of batches of 64."""
    together = stacked(tmp_path, (*SHORT, "seed=0"), (*SHORT, "seed=1"))
    for run, seed in zip(together, (0, 1), strict=True):
        expected = share_of(configured(*SHORT, f"seed={seed}"))
        assert run.rows[TAG][0] == pytest.approx(expected, rel=1e-12)
    alone = trained(tmp_path, *SHORT, "seed=1")
    assert alone.rows[TAG].dropna().index.tolist() == [0, 3, 6]
    np.testing.assert_allclose(alone.rows[TAG], together[1].rows[TAG], rtol=1e-9)


@pytest.mark.parametrize("engine", ["single", "stack"])
def test_measuring_it_changes_no_bit(tmp_path, engine):
    """Batch normalisation has buffers that a forward changes."""
    settings = (*SHORT, "model.normalisation=batch")
    pair = [settings, (*settings, "signals.complex_share=false")]
    if engine == "single":
        with_it, without = (trained(tmp_path, *one) for one in pair)
    else:
        with_it, without = (stacked(tmp_path, one, (*one, "seed=1"))[0] for one in pair)
    assert with_it.weights.keys() == without.weights.keys()
    assert all(torch.equal(with_it.weights[name], w) for name, w in without.weights.items())
    columns = [tag for tag in without.rows if not tag.startswith("wall")]
    assert with_it.rows[columns].equals(without.rows[columns])


@pytest.mark.parametrize("engine", ["single", "stack"])
def test_random_numbers_are_put_back(tmp_path, engine):
    """Masks of dropout are those of a run that measures nothing."""
    path = "tests.training.test_complex_share.WithDropout"
    own = ("model=custom", f"model._target_={path}", "trusted_modules=[tests]")
    settings = (*(o for o in SHORT if not o.startswith("model.")), *own)
    pair = [settings, (*settings, "signals.complex_share=false")]
    if engine == "single":
        with_it, without = (trained(tmp_path, *one) for one in pair)
    else:
        with_it, without = (stacked(tmp_path, one, (*one, "seed=1"))[0] for one in pair)
    assert all(torch.equal(with_it.weights[name], w) for name, w in without.weights.items())


def test_a_complex_network_has_1_and_a_real_one_0(tmp_path):
    for model, expected in (("mlp", 1.0), ("real_mlp", 0.0)):
        rows = trained(tmp_path, *SHORT, f"model={model}").rows
        assert set(rows[TAG].dropna()) == {expected}


def test_to_first_order_it_says_how_much_slower_the_loss_falls(tmp_path):
    """One step of gradient descent: halved complex gradients lower it 1 − s/2 times as much."""
    common = (
        *("dtype=complex128", "model.hidden=[8]", "batch_size=null", "max_steps=1"),
        *("optimizer.lr=1e-7", "signals.validation_every=1", "signals.complex_share=true"),
    )
    config = configured(*common)
    dataset = load_dataset(config)

    def fall(*overrides):
        run = trained(tmp_path, *common, *overrides)
        model = build_model(config, dataset)
        first = cross_entropy(model(dataset.train.inputs), dataset.train.targets).item()
        model.load_state_dict(run.weights)
        last = cross_entropy(model(dataset.train.inputs), dataset.train.targets).item()
        return first - last, float(run.rows[TAG][0])

    (whole, share), (halved, _) = fall(), fall("convention=wirtinger")
    assert halved / whole == pytest.approx(1 - share / 2, abs=1e-4)
    assert not math.isnan(share)
    assert 0 < share < 1


def test_several_processes_are_refused_in_a_line():
    config = configured("signals.complex_share=true", "trainer.devices=2")
    message = "signals.complex_share=true: should be false with trainer.devices=2"
    with pytest.raises(InputError, match=message):
        check_structure(Tasks().of(config))
