import re
from dataclasses import replace

import pytest
import torch

from cvtrain.data import Dataset, Split

INPUTS = torch.ones(6, 2, 3, dtype=torch.complex64)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
OUTPUTS = torch.ones(6, 2, dtype=torch.complex64)
NAN = torch.tensor(float("nan"))


def classification(split: Split) -> Dataset:
    good = Split(INPUTS, LABELS)
    return Dataset(train=good, validation=split, test=good, task="classification", out_features=3)


def regression(split: Split) -> Dataset:
    good = Split(INPUTS, OUTPUTS)
    return Dataset(train=good, validation=split, test=good, task="regression", out_features=2)


def test_sizes_are_those_of_one_input_and_of_the_splits():
    dataset = classification(Split(INPUTS[:4], LABELS[:4]))
    assert dataset.input_shape == (2, 3)
    assert dataset.in_features == 6
    assert (len(dataset.train), len(dataset.validation)) == (6, 4)
    assert dataset.solution == {}


def test_targets_are_symbols_of_the_alphabet_where_there_is_one():
    good = regression(Split(INPUTS, OUTPUTS))
    assert replace(good, alphabet=torch.tensor([1, 1j])).alphabet is not None
    with pytest.raises(ValueError, match="not all of the alphabet"):
        replace(good, alphabet=torch.tensor([-1, 1j]))


@pytest.mark.parametrize(
    ("make", "split", "message"),
    [
        (classification, Split(INPUTS[:0], LABELS[:0]), "it is empty"),
        (classification, Split(INPUTS.real, LABELS), "inputs must be complex, not torch.float32"),
        (classification, Split(INPUTS[:, :1], LABELS), "of shape [1, 3], those of train"),
        (classification, Split(INPUTS.to(torch.complex128), LABELS), "inputs are torch.complex128"),
        (classification, Split(INPUTS * NAN, LABELS), "inputs hold NaN or infinity"),
        (classification, Split(INPUTS, LABELS + 1), "labels span 1 to 3, allowed are 0 to 2"),
        (classification, Split(INPUTS, LABELS - 1), "labels span -1 to 1, allowed are 0 to 2"),
        (classification, Split(INPUTS, LABELS[:5]), "labels must be torch.int64 of shape [6]"),
        (classification, Split(INPUTS, LABELS.float()), "not torch.float32 of shape [6]"),
        (regression, Split(INPUTS, OUTPUTS * NAN), "targets hold NaN or infinity"),
        (regression, Split(INPUTS, OUTPUTS[:, :1]), "targets must be torch.complex64 of shape"),
        (regression, Split(INPUTS, OUTPUTS[:5]), "not torch.complex64 of shape [5, 2]"),
        (regression, Split(INPUTS, OUTPUTS.real), "not torch.float32 of shape [6, 2]"),
    ],
)
def test_bad_data_is_refused_in_one_line_that_names_the_split(make, split, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make(split)
    assert str(error.value).startswith("validation split: ")
    assert "\n" not in str(error.value)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="not 'ranking'"):
        replace(regression(Split(INPUTS, OUTPUTS)), task="ranking")
