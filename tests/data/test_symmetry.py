"""Two problems that one complex neuron solves and one real neuron cannot."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from cvtrain.data.symmetry import symmetry
from cvtrain.models.linear import Linear

PROBLEMS = ["xor", "symmetry"]


def draw(problem):
    return symmetry(problem=problem, dtype=torch.complex128)


def bits(problem):
    """The patterns as Nitta's truth tables have them, ±1 for 1 and 0."""
    z = draw(problem).train.inputs.numpy()
    pair = np.stack([z[:, 0].real, z[:, 0].imag], axis=1)
    return pair if problem == "xor" else np.column_stack([pair[:, 0], z[:, 1].real, pair[:, 1]])


def answers(problem):
    """Whether bits differ, or read the same in both directions: by the definition."""
    x = bits(problem)
    return x[:, 0] != x[:, 1] if problem == "xor" else (x == x[:, ::-1]).all(axis=1)


def answered(y):
    """The answer that outputs stand for."""
    return (y.real > 0) == (y.imag > 0)


def in_real_numbers(problem):
    """The inputs of a real neuron: Re z, Im z, and 1 for its bias."""
    z = draw(problem).train.inputs.numpy()
    return np.column_stack([z.real, z.imag, np.ones(len(z))])


def separable(x, positive):
    """Whether w exists with w·x ≥ 1 for the positive and ≤ −1 for the others."""
    signs = np.where(positive, 1, -1)[:, None]
    size = x.shape[1]
    solution = linprog(
        np.zeros(size), A_ub=-signs * x, b_ub=-np.ones(len(x)), bounds=[(None, None)] * size
    )
    assert solution.status in (0, 2)  # solved, or infeasible
    return solution.status == 0


@pytest.mark.parametrize(("problem", "count"), [("xor", 2), ("symmetry", 3)])
def test_the_patterns_are_all_that_there_are_and_half_of_them_are_answered_by_yes(problem, count):
    x = bits(problem)
    assert np.isin(x, (-1, 1)).all()
    assert len(np.unique(x, axis=0)) == len(x) == 2**count
    assert answers(problem).sum() == len(x) / 2


@pytest.mark.parametrize("problem", PROBLEMS)
def test_targets_stand_for_the_answers(problem):
    y = draw(problem).train.targets[:, 0]
    assert answered(y).numpy().tolist() == answers(problem).tolist()
    assert torch.equal(y.real.abs(), torch.ones_like(y.real))
    assert torch.equal(y.imag.abs(), torch.ones_like(y.real))


def test_exclusive_or_is_encoded_as_by_nitta():
    # His steps 0 and 1 in place of the signs: 1, 0, 1 + i and i for −1 − i, −1 + i, 1 − i, 1 + i.
    split = draw("xor").train
    assert split.inputs[:, 0].tolist() == [-1 - 1j, -1 + 1j, 1 - 1j, 1 + 1j]
    assert ((split.targets[:, 0] + 1 + 1j) / 2).tolist() == [1, 0, 1 + 1j, 1j]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_complex_neuron_has_no_error_and_by_least_squares_no_other(problem):
    dataset = draw(problem)
    neuron = Linear(dataset.in_features, 1, dtype=torch.complex128)
    neuron.load_state_dict(dict(dataset.solution))
    assert torch.equal(neuron(dataset.test.inputs), dataset.test.targets)
    with_bias = torch.cat([dataset.train.inputs, torch.ones(len(dataset.train), 1)], dim=1)
    fit = torch.linalg.lstsq(with_bias, dataset.train.targets)
    assert torch.linalg.matrix_rank(with_bias) == with_bias.shape[1]
    expected = torch.cat([dataset.solution["weight"].T, torch.zeros(1, 1)])
    torch.testing.assert_close(fit.solution, expected)
    (known,) = dataset.references
    assert (known.tag, known.name, known.value) == ("test/loss", "one complex neuron", 0.0)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_no_real_neuron_on_the_same_numbers_decides_as_the_answers(problem):
    x = in_real_numbers(problem)
    assert not separable(x, answers(problem))
    # Other questions it can decide: the programme finds weights where there are any.
    assert separable(x, (bits(problem) > 0).all(axis=1))
    y = draw(problem).train.targets[:, 0].numpy()
    assert separable(x, y.real > 0) and separable(x, y.imag > 0)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_best_real_linear_function_of_the_same_numbers_knows_nothing(problem):
    signs = np.where(answers(problem), 1.0, -1.0)
    weights, *_ = np.linalg.lstsq(in_real_numbers(problem), signs, rcond=None)
    np.testing.assert_allclose(weights, 0, atol=1e-12)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_split_is_all_the_patterns(problem):
    dataset = draw(problem)
    assert dataset.train is dataset.validation is dataset.test
