"""Two marked numbers to be added, and what is reached without looking at them."""

import math

import pytest
import torch

from cvtrain.data.adding import adding

SMALL = {"length": 11, "train_samples": 20_000, "validation_samples": 5, "test_samples": 20_000}


def draw(**arguments):
    return adding(**{"dtype": torch.complex128} | SMALL | arguments)


@pytest.mark.parametrize("length", [2, 3, 10, 11])
def test_one_number_of_each_half_is_marked_and_the_target_is_their_sum(length):
    split = draw(length=length).train
    assert split.inputs.shape == (20_000, length, 2)
    numbers, marks = split.inputs.real.unbind(dim=-1)
    assert ((marks == 0) | (marks == 1)).all()
    for half in marks.tensor_split([length // 2], dim=1):
        assert torch.equal(half.sum(dim=1), torch.ones(20_000, dtype=torch.float64))
    (row, position) = marks.nonzero(as_tuple=True)
    assert torch.equal(row, torch.arange(20_000).repeat_interleave(2))
    marked = numbers[row, position].reshape(-1, 2)
    assert torch.equal(split.targets, marked.sum(dim=1, keepdim=True).to(torch.complex128))


def test_all_is_real():
    split = draw().train
    assert not split.inputs.imag.any()
    assert not split.targets.imag.any()


def test_numbers_are_uniform_and_independent_and_marks_equally_likely_in_their_half():
    numbers, marks = draw().train.inputs.real.unbind(dim=-1)
    assert numbers.min() >= 0 and numbers.max() < 1
    for order in (1, 2, 3):
        assert numbers.pow(order).mean() == pytest.approx(1 / (order + 1), abs=0.004)
    correlation = torch.corrcoef(torch.cat([numbers, marks[:, :4], marks[:, 5:10]], dim=1).T)
    assert (correlation[:11] - torch.eye(20, dtype=torch.float64)[:11]).abs().max() < 0.035
    shares = marks.mean(dim=0)
    expected = torch.tensor([1 / 5] * 5 + [1 / 6] * 6, dtype=torch.float64)
    assert (shares - expected).abs().max() < 5 * math.sqrt(0.16 / 20_000)


def test_the_marks_of_the_two_halves_are_independent():
    marks = draw().train.inputs[..., 1].real
    joint = marks[:, :5].T @ marks[:, 5:] / len(marks)
    assert (joint - 1 / 30).abs().max() < 5 * math.sqrt(29 / 900 / 20_000)


def test_always_to_answer_one_costs_a_sixth_and_no_other_constant_less():
    dataset = draw()
    (known,) = dataset.references
    assert (known.tag, known.name, known.value) == ("test/loss", "always 1", 1 / 6)
    losses = {
        answer: (dataset.test.targets - answer).abs().square().mean().item()
        for answer in (0.9, 1.0, 1.1, 1.0 + 0.1j)
    }
    assert losses[1.0] == pytest.approx(1 / 6, abs=0.005)
    assert min(losses, key=losses.__getitem__) == 1.0


def test_sizes_are_as_asked():
    dataset = draw(train_samples=3, validation_samples=2, test_samples=1)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (3, 2, 1)
