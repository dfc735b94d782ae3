import re
from dataclasses import replace

import pytest
import torch

from cvtrain.data import Dataset, Split
from cvtrain.data.dataset import IGNORED

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


def test_every_pixel_may_have_a_target_of_its_own():
    images, labels = torch.ones(6, 1, 4, 5, dtype=torch.complex64), torch.zeros(6, 4, 5).long()
    labels[:, 0] = IGNORED
    some = Split(images, labels)
    of = Dataset(train=some, validation=some, test=some, task="classification", out_features=2)
    assert of.positions == (4, 5)
    nothing = Split(images, torch.full_like(labels, IGNORED))
    with pytest.raises(ValueError, match="validation split: there is no label, should be"):
        replace(of, validation=nothing)
    with pytest.raises(ValueError, match=re.escape("should be torch.int64 of shape [6, 4, 5]")):
        replace(of, test=Split(images, labels[:, :2]))
    images_onto_images = Split(images, images)
    pixels = {"train": images_onto_images, "validation": images_onto_images}
    of = Dataset(**pixels, test=images_onto_images, task="regression", out_features=1)
    assert of.positions == (4, 5)


def test_classes_have_a_name_each_or_none():
    good = classification(Split(INPUTS, LABELS))
    assert replace(good, class_names=("a", "b", "c")).class_names == ("a", "b", "c")
    with pytest.raises(ValueError, match="class_names: 2 names, should be 3"):
        replace(good, class_names=("a", "b"))


def test_targets_are_symbols_of_the_alphabet_where_there_is_one():
    good = regression(Split(INPUTS, OUTPUTS))
    assert replace(good, alphabet=torch.tensor([1, 1j])).alphabet is not None
    with pytest.raises(ValueError, match="should all be of the alphabet"):
        replace(good, alphabet=torch.tensor([-1, 1j]))


@pytest.mark.parametrize(
    ("make", "split", "message"),
    [
        (classification, Split(INPUTS[:0], LABELS[:0]), "should hold samples, is empty"),
        (classification, Split(INPUTS.real, LABELS), "inputs are torch.float32, should be complex"),
        (
            classification,
            Split(INPUTS[:, :1], LABELS),
            "of shape [1, 3], should be torch.complex64 of",
        ),
        (classification, Split(INPUTS.to(torch.complex128), LABELS), "inputs are torch.complex128"),
        (classification, Split(INPUTS * NAN, LABELS), "inputs should be finite"),
        (classification, Split(INPUTS, LABELS + 1), "labels span 1 to 3, should be 0 to 2"),
        (classification, Split(INPUTS, LABELS - 1), "labels span -1 to 1, should be 0 to 2"),
        (classification, Split(INPUTS, LABELS[:5]), "should be torch.int64 of shape [6]"),
        (classification, Split(INPUTS, LABELS.float()), "labels are torch.float32 of shape [6]"),
        (regression, Split(INPUTS, OUTPUTS * NAN), "targets should be finite"),
        (regression, Split(INPUTS, OUTPUTS[:, :1]), "should be torch.complex64 of shape"),
        (regression, Split(INPUTS, OUTPUTS[:5]), "targets are torch.complex64 of shape [5, 2]"),
        (regression, Split(INPUTS, OUTPUTS.real), "targets are torch.float32 of shape [6, 2]"),
    ],
)
def test_bad_data_is_refused_in_one_line_that_names_the_split(make, split, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make(split)
    assert str(error.value).startswith("validation split: ")
    assert "\n" not in str(error.value)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="task=ranking: should be one of"):
        replace(regression(Split(INPUTS, OUTPUTS)), task="ranking")
