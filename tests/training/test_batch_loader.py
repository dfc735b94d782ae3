"""What is in memory is moved once per device; what is on disk comes in the order of the batches."""

import gc

import pytest
import torch

from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.draws import Draws
from cvtrain.data.split import FileSplit, Split
from cvtrain.training.batch_loader import BatchLoader

CPU, META = torch.device("cpu"), torch.device("meta")


def split(samples: int) -> Split:
    inputs = torch.arange(2 * samples).reshape(samples, 2).to(torch.complex64)
    return Split(inputs, torch.arange(samples) % 3)


class OnDisk:
    """The samples of a split, read one by one."""

    def __init__(self, of: Split) -> None:
        self.of = of
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, sample: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.read.append(sample)
        return self.of.inputs[sample], self.of.targets[sample]


def dataset(train) -> Dataset:
    return Dataset(
        train=train,
        validation=split(5),
        test=split(5),
        task="classification",
        out_features=3,
    )


def orders(*seeds: int, samples: int = 11, size: int = 4) -> list[BatchOrder]:
    return [BatchOrder(samples, size, seed) for seed in seeds]


def loader(of: Dataset, of_runs: list[BatchOrder]) -> BatchLoader:
    return BatchLoader(Draws([of] * len(of_runs)), of_runs)


def pieces(data: BatchLoader, of, device=CPU) -> list[Split]:
    return list(data.pieces(of, device, most=4))


def test_a_split_that_is_there_stays_itself():
    of = dataset(split(11))
    first = pieces(loader(of, orders(0)), of.train)[0]
    assert first.inputs.data_ptr() == of.train.inputs.data_ptr()


def test_a_copy_is_made_once_and_outlives_the_callers_split():
    data = loader(dataset(split(11)), orders(0))
    first = split(3)
    (moved,) = pieces(data, first, META)
    assert moved.inputs.device == moved.targets.device == META
    assert data._on(META, first) is data._on(META, first)
    del first
    gc.collect()
    assert all(len(data._on(META, split(samples))) == samples for samples in range(4, 40))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_disk_are_those_from_memory(workers):
    memory = split(11)
    disk = FileSplit(OnDisk(memory), range(11), workers)
    seeds = (3, 0, 3, 5)
    from_memory = loader(dataset(memory), orders(*seeds))
    from_disk = loader(dataset(disk), orders(*seeds))
    state = torch.get_rng_state()
    for number in (0, 1, 2, 2, 3, 7, 8, 0):  # epochs of three batches; again, ahead and back
        expected, batch = from_memory.batch(number, CPU), from_disk.batch(number, CPU)
        assert torch.equal(batch.inputs, expected.inputs)
        assert torch.equal(batch.targets, expected.targets)
    for expected, batch in zip(pieces(from_memory, memory), pieces(from_disk, disk), strict=True):
        assert torch.equal(batch.inputs, expected.inputs)
    from_disk.close()
    assert torch.equal(torch.get_rng_state(), state)


def test_runs_of_one_seed_share_what_is_read():
    samples = OnDisk(split(11))
    data = loader(dataset(FileSplit(samples, range(11))), orders(1, 1, 1, 1))
    samples.read.clear()
    data.batch(0, CPU)
    assert len(samples.read) == len(set(samples.read)) == 4


def test_a_sample_that_does_not_fit_is_told_when_it_is_read():
    damaged = split(11)
    damaged.inputs[7] = torch.nan
    data = loader(dataset(FileSplit(OnDisk(damaged), range(11))), orders(0))
    with pytest.raises(ValueError, match="of samples read, inputs should be finite"):
        for number in range(3):
            data.batch(number, CPU)


def test_large_inputs_come_in_smaller_pieces():
    large = Split(torch.ones(6, 640, dtype=torch.complex64), torch.arange(6) % 3)
    of = Dataset(train=large, validation=large, test=large, task="classification", out_features=3)
    data = loader(of, orders(0, samples=6))
    assert [len(piece) for piece in data.pieces(large, CPU, most=20)] == [2, 2, 2]


def test_every_run_has_the_batches_of_its_own_seed():
    memory = split(11)
    seeds = (3, 0, 3, 5)
    data = loader(dataset(memory), orders(*seeds))
    for number in range(5):
        batch = data.batch(number, CPU)
        for run, order in enumerate(orders(*seeds)):
            samples = order.indices(number)
            assert torch.equal(batch.inputs[run], memory.inputs[samples])
            assert torch.equal(batch.targets[run], memory.targets[samples])


def test_every_run_has_the_batches_of_its_own_draw_of_the_data():
    drawn = [dataset(Split(split(11).inputs + 100 * draw, split(11).targets)) for draw in range(3)]
    of_runs, seeds = (0, 1, 1, 2, 0), (3, 3, 0, 0, 3)
    data = BatchLoader(Draws([drawn[draw] for draw in of_runs]), orders(*seeds))
    for number in range(5):
        batch = data.batch(number, CPU)
        for run, (draw, order) in enumerate(zip(of_runs, orders(*seeds), strict=True)):
            expected = drawn[draw].train.take(order.indices(number))
            assert torch.equal(batch.inputs[run], expected.inputs)
            assert torch.equal(batch.targets[run], expected.targets)
