"""A split is moved once per device, and its copy is not taken for another split's."""

import gc

import torch

from cvtrain.data.dataset import Split
from cvtrain.engine.device_splits import DeviceSplits

META = torch.device("meta")


def split(samples: int) -> Split:
    return Split(torch.ones(samples, 2, dtype=torch.complex64), torch.zeros(samples))


def test_a_split_that_is_there_stays_itself():
    here = split(3)
    assert DeviceSplits().on(torch.device("cpu"), here) is here


def test_a_copy_is_made_once_and_outlives_the_callers_split():
    splits = DeviceSplits()
    first = split(3)
    moved = splits.on(META, first)
    assert moved.inputs.device == moved.targets.device == META
    assert splits.on(META, first) is moved
    del first
    gc.collect()
    assert all(len(splits.on(META, split(samples))) == samples for samples in range(4, 40))
