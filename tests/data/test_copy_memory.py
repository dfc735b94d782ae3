"""Symbols to be recalled after a delay, and what is reached without recalling any."""

import math

import pytest
import torch
from torch.nn import functional as F

from cvtrain.data.copy_memory import BLANK, DELIMITER, copy_memory

SMALL = {"delay": 7, "train_samples": 500, "validation_samples": 50, "test_samples": 400}


def draw(**arguments):
    return copy_memory(**{"dtype": torch.complex128} | SMALL | arguments)


def read(split):
    """Which of the ten entries is one, at every position."""
    assert torch.equal(split.inputs, split.inputs.real.to(split.inputs.dtype))
    assert torch.equal(split.inputs.real.sort(dim=-1).values, sorted_one_hot(split.inputs))
    return split.inputs.real.argmax(dim=-1)


def sorted_one_hot(inputs):
    expected = torch.zeros(inputs.shape, dtype=inputs.real.dtype)
    expected[..., -1] = 1
    return expected


def references(dataset):
    return {(known.tag, known.name): known.value for known in dataset.references}


@pytest.mark.parametrize(("delay", "length"), [(1, 10), (7, 10), (7, 4), (1, 20)])
def test_symbols_blanks_delimiter_and_blanks_go_in_and_the_symbols_come_out_last(delay, length):
    split = draw(delay=delay, length=length).train
    seen = read(split)
    assert seen.shape == split.targets.shape == (500, delay + 2 * length)
    symbols, blanks, delimiter, rest = seen.split([length, delay - 1, 1, length], dim=1)
    assert symbols.min() == 0 and symbols.max() == 7
    assert (blanks == BLANK).all() and (rest == BLANK).all() and (delimiter == DELIMITER).all()
    silent, recalled = split.targets.split([delay + length, length], dim=1)
    assert (silent == BLANK).all()
    assert torch.equal(recalled, symbols)


def test_symbols_are_equally_likely_and_independent():
    symbols = draw(train_samples=20_000).train.targets[:, -10:]
    one_hot = F.one_hot(symbols).double().flatten(1)
    assert (one_hot.mean(dim=0) - 1 / 8).abs().max() < 5 * math.sqrt(7 / 64 / 20_000)
    joint = one_hot.T @ one_hot / len(symbols)
    for first in range(10):
        for second in range(first):
            pair = joint[8 * first : 8 * first + 8, 8 * second : 8 * second + 8]
            assert (pair - 1 / 64).abs().max() < 5.5 * math.sqrt(63 / 64**2 / 20_000)


@pytest.mark.parametrize("length", [1, 2])
def test_samples_differ_even_where_they_are_all_that_there_are(length):
    sizes = {"train_samples": 8**length - 3, "validation_samples": 2, "test_samples": 1}
    dataset = draw(length=length, **sizes)
    splits = (dataset.train, dataset.validation, dataset.test)
    symbols = torch.cat([split.targets[:, -length:] for split in splits])
    assert len(torch.unique(symbols, dim=0)) == 8**length


def test_a_predictor_without_memory_reaches_the_references():
    # It is certain of the blanks; of each symbol to recall it has the same opinion.
    dataset = draw(test_samples=4000)
    targets = dataset.test.targets
    scores = torch.zeros(len(targets), 9, targets.shape[1], dtype=torch.float64)
    scores[:, BLANK, :-10] = 100
    scores[:, BLANK, -10:] = -100
    known = references(dataset)
    loss = F.cross_entropy(scores, targets).item()
    assert loss == pytest.approx(known["test/loss", "memoryless"], abs=1e-12)
    # The same in moduli: a constant added to all scores changes nothing.
    shifted = F.cross_entropy((scores + 100).to(torch.complex128).abs(), targets).item()
    assert shifted == pytest.approx(loss, abs=1e-12)
    scores[:, 3, -10:] = 1
    accuracy = (scores.argmax(dim=1) == targets).double().mean().item()
    assert accuracy == pytest.approx(known["test/accuracy", "memoryless"], abs=0.003)


@pytest.mark.parametrize(
    ("delay", "loss"), [(100, 0.173), (200, 0.0945), (300, 0.0650), (500, 0.0400)]
)
def test_the_loss_without_memory_is_that_of_the_literature(delay, loss):
    assert references(draw(delay=delay))["test/loss", "memoryless"] == pytest.approx(loss, rel=2e-3)


def test_sizes_and_class_names():
    dataset = draw(train_samples=3, validation_samples=2, test_samples=1)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (3, 2, 1)
    assert dataset.input_shape == (27, 10)
    assert dataset.positions == (27,)
    assert dataset.class_names == (*"01234567", "blank")


def test_more_samples_than_there_are_sequences_are_refused():
    with pytest.raises(
        ValueError, match=r"length=2: 950 different samples should be at most 8\^2 = 64"
    ):
        draw(length=2)
