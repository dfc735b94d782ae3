"""Learning rates in units of a predicted limit, and what has none."""

from __future__ import annotations

import numpy as np
import pytest

import cvtrain
from cvtrain.process.errors import InputError

LINEAR = ("data=system_id", "model=linear", "objective=complex_mse")
WHOLE = (*LINEAR, "batch_size=null", "optimizer.reference_lr=${stability_limit:}", "lr_octave=0")


def limit(*overrides):
    return cvtrain.configure(*WHOLE, *overrides).optimizer.reference_lr


def test_the_limit_is_that_of_the_training_split():
    from cvtrain.data.load import load_dataset

    config = cvtrain.configure(*WHOLE)
    x = load_dataset(config).train.inputs.numpy().astype(np.complex128)
    largest = np.linalg.eigvalsh(x.conj().T @ x / len(x))[-1]
    assert config.optimizer.reference_lr == pytest.approx(1 / largest, rel=1e-12)
    assert config.optimizer.lr == config.optimizer.reference_lr


def test_halves_double_it_and_momentum_raises_it():
    plain = limit()
    assert limit("objective.scale=0.5") == 2 * plain
    assert limit("convention=wirtinger", "objective.scale=0.5") == 4 * plain
    assert limit("optimizer.momentum=0.5") == pytest.approx(1.5 * plain)
    assert limit("optimizer.momentum=0.5", "optimizer.nesterov=true") == pytest.approx(0.75 * plain)


def test_minibatches_have_the_smaller_limit_of_the_mean_square():
    one, four = limit("batch_size=1"), limit("batch_size=4")
    assert one < four < limit()
    # Twice the taps of a circular input: half the limit, but for its sample pseudo-covariance.
    assert limit("batch_size=1", "model=widely_linear") == pytest.approx(one / 2, rel=0.02)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["optimizer=adam"], "optimizer._target_=torch.optim.Adam: a limit is known for"),
        (["model=mlp"], "model._target_=cvtrain.models.mlp.Mlp: closed forms are known for"),
        (["model.bias=true"], "model.bias=True: a limit is known for False only"),
        (["optimizer.weight_decay=0.1"], "optimizer.weight_decay=0.1: a limit is known for 0.0"),
        (["convention=unconjugated"], "convention.conjugate=True"),
        (["clip=norm"], "clip.kind=norm: a limit is known for none only"),
        (["data=digits_fft"], "data: closed forms are known for a regression"),
        (["batch_size=2", "optimizer.momentum=0.9"], "on minibatches a limit is known for 0 only"),
    ],
)
def test_a_training_without_a_known_limit_is_refused(overrides, told):
    with pytest.raises(InputError) as error:
        cvtrain.configure(*WHOLE, *overrides)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
