"""Data sets are kept from point to point, in bounded memory."""

from __future__ import annotations

import torch

from cvtrain.data.dataset import Dataset, DatasetCache, bytes_in_memory
from cvtrain.data.split import FileSplit, Split


def small() -> Dataset:
    split = Split(torch.ones(8, 3, dtype=torch.complex64), torch.ones(8, 1, dtype=torch.complex64))
    return Dataset(split, split, split, "regression", 1)


class Spy:
    def __init__(self, kept: DatasetCache) -> None:
        self.kept = kept
        self.built: list[str] = []

    def ask(self, key: str) -> Dataset:
        def build() -> Dataset:
            self.built.append(key)
            return small()

        return self.kept.get(key, build)


def test_what_fits_is_built_once():
    spy = Spy(DatasetCache(3 * bytes_in_memory(small())))
    first = [spy.ask(key) for key in "abc"]
    assert [spy.ask(key) for key in "abc"] == first
    assert spy.built == list("abc")


def test_what_was_not_asked_for_longest_goes_first():
    spy = Spy(DatasetCache(2 * bytes_in_memory(small())))
    for key in "abacab":
        spy.ask(key)
    assert spy.built == list("abcb")


def test_the_last_one_is_kept_however_large_it_is():
    spy = Spy(DatasetCache(0))
    assert spy.ask("a") is spy.ask("a")
    spy.ask("b")
    spy.ask("a")
    assert spy.built == list("aba")


def test_samples_on_disk_need_no_memory():
    data = small()
    assert isinstance(data.train, Split)
    pairs = list(zip(data.train.inputs, data.train.targets, strict=True))
    on_disk = FileSplit(pairs, range(8))
    on_both = Dataset(on_disk, on_disk, on_disk, data.task, data.out_features)
    assert bytes_in_memory(on_both) == 0
    assert bytes_in_memory(data) == 3 * 8 * (3 + 1) * 8
