"""Samples in memory and on disk are the same to who asks for them."""

import pytest
import torch

from cvtrain.data.split import FileSplit, Split, in_memory

MEMORY = Split(torch.arange(12).reshape(6, 2).to(torch.complex64) * (1 + 1j), torch.arange(6))


class Files:
    """Samples that are read one by one, some of which cannot be."""

    def __init__(self, damaged: tuple[int, ...] = ()) -> None:
        self.damaged = damaged

    def __len__(self) -> int:
        return len(MEMORY)

    def __getitem__(self, sample: int) -> tuple[torch.Tensor, torch.Tensor]:
        if sample in self.damaged:
            raise OSError(f"image_{sample}.mat: is cut short\nand more")
        return MEMORY.inputs[sample], MEMORY.targets[sample]


class Unequal(Files):
    def __getitem__(self, sample: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(1 + sample % 2, dtype=torch.complex64), torch.tensor(0)


def equal(found: Split, expected: Split) -> bool:
    return torch.equal(found.inputs, expected.inputs) and torch.equal(
        found.targets, expected.targets
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_both_give_the_same_samples(workers):
    files = FileSplit(Files(), range(6), workers)
    wanted = torch.tensor([4, 0, 5])
    assert len(files) == len(MEMORY)
    assert equal(files.take(wanted), MEMORY.take(wanted))
    pieces = zip(files.pieces(4), MEMORY.pieces(4), strict=True)
    assert all(equal(piece, expected) for piece, expected in pieces)
    assert equal(in_memory(files), in_memory(MEMORY))


def test_a_split_has_the_samples_that_were_chosen_in_their_order():
    files = FileSplit(Files(), [5, 3])
    assert in_memory(files).targets.tolist() == [5, 3]
    assert next(files.batches([torch.tensor([1])])).targets.tolist() == [3]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_cannot_be_read_is_named_in_a_line(workers):
    files = FileSplit(Files(damaged=(3,)), range(6), workers)
    with pytest.raises(ValueError, match=r"^sample 3: image_3.mat: is cut short$"):
        list(files.pieces(2))
    assert equal(files.take(torch.arange(3)), MEMORY.take(torch.arange(3)))


def test_samples_of_one_batch_have_one_shape():
    with pytest.raises(ValueError, match=r"inputs of different shapes, \[1\] and \[2\]"):
        FileSplit(Unequal(), range(6)).take(torch.arange(2))


def test_an_endless_order_is_read_as_far_as_it_is_wanted():
    def endless():
        while True:
            yield torch.tensor([0, 1])

    batches = FileSplit(Files(), range(6), 1).batches(endless())
    assert [len(next(batches)) for _ in range(5)] == [2] * 5
