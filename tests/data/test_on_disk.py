"""What every data set of files keeps to, and its entry in the configuration."""

import pickle

import pytest
import torch

import cvtrain
from cvtrain.config.point import Point
from cvtrain.data.image_files import LabelledFiles
from cvtrain.data.miccai2023 import miccai2023
from cvtrain.data.mstar import mstar
from cvtrain.data.polsf import polsf
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from cvtrain.process.errors import InputError
from cvtrain.process.limits import most_processes
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.data.on_disk import SETS, read
from tests.data.published_files import write_mstar
from tests.models.member_networks import assert_engines_agree

CNN = ("model=cnn", "model.channels=[2,3]", "model.hidden=4")
UNET = ("model=unet", "model.channels=[2,3]")


@pytest.fixture(scope="module", params=SETS, ids=lambda function: function.__name__)
def stored(request, tmp_path_factory):
    """A function and the folder of a small copy of its data set."""
    top = tmp_path_factory.mktemp(request.param.__name__)
    SETS[request.param][0](top)
    return request.param, top


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def some(split):
    return split.take(torch.arange(min(4, len(split))))


def test_both_dtypes_see_the_same_data(stored):
    single, double = (read(*stored, dtype=d) for d in (torch.complex64, torch.complex128))
    for s, d in zip(map(some, splits(single)), map(some, splits(double)), strict=True):
        assert (s.inputs.dtype, d.inputs.dtype) == (torch.complex64, torch.complex128)
        assert torch.equal(s.inputs, d.inputs.to(torch.complex64))
        assert torch.equal(s.targets, d.targets.to(s.targets.dtype))


def test_no_sample_is_in_two_splits_and_the_seed_alone_draws_them(stored):
    def chosen(seed):
        return [list(split.chosen) for split in splits(read(*stored, seed=seed))]

    torch.manual_seed(0)
    first = chosen(0)
    torch.manual_seed(1)
    assert chosen(0) == first != chosen(1)
    together = [number for of_split in first for number in of_split]
    assert len(set(together)) == len(together)


def test_only_what_is_asked_for_is_read(stored, monkeypatch):
    train = read(*stored).train
    numbers = []
    reader = type(train.samples)
    of_reader = reader.__getitem__
    monkeypatch.setattr(reader, "__getitem__", lambda s, n: numbers.append(n) or of_reader(s, n))
    batches = train.batches(torch.arange(6).split(2))
    assert numbers == []
    for number in range(3):
        next(batches)
        assert numbers == list(train.chosen[: 2 * number + 2])


def test_other_processes_read_the_same_and_are_sent_no_data(stored):
    train = read(*stored).train
    sent = pickle.dumps(train)
    assert len(sent) < 20_000
    expected = train.take(torch.arange(9)).inputs
    assert torch.equal(pickle.loads(sent).take(torch.arange(9)).inputs, expected)
    if stored[0] is s1slc:  # its arrays are mapped
        batches = list(read(*stored, workers=2).train.batches(torch.arange(9).split(3)))
        assert torch.equal(torch.cat([batch.inputs for batch in batches]), expected)


def test_runs_of_one_seed_in_a_stack_read_what_one_of_them_does(tmp_path, monkeypatch):
    write_mstar(tmp_path / "data")
    options = [f"data.path={tmp_path / 'data'}", "data.crop=16", "batch_size=8", "max_steps=5"]
    points = [
        Point(
            number,
            cvtrain.configure("data=mstar", *options, *CNN, f"lr_octave={-number}"),
            (),
            str(number),
        )
        for number in range(3)
    ]
    numbers = []
    of_reader = LabelledFiles.__getitem__
    monkeypatch.setattr(
        LabelledFiles, "__getitem__", lambda s, n: numbers.append(n) or of_reader(s, n)
    )

    def read_by(*some):
        numbers.clear()
        train(Job(some, tmp_path / f"{len(some)}", "stack"))
        return sorted(numbers)

    alone = read_by(points[0])
    assert alone == read_by(*points)
    assert 5 * 8 <= len(alone) < 5 * 8 + 5 * 40


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (miccai2023, ("data.crop=8", "objective=complex_mse", *UNET, "model.residual=true")),
        (mstar, ("data.crop=16", *CNN)),
        (polsf, ("data.patch_size=16", "data.block_size=32", *UNET)),
        (s1slc, CNN),
        (sample, ("data.crop=8", "data.complete=false", *CNN)),
    ],
)
def test_both_engines_train_on_it_to_the_same_weights(tmp_path, function, options):
    SETS[function][0](tmp_path / "data")
    data = (f"data={function.__name__}", f"data.path={tmp_path / 'data'}")
    assert_engines_agree(tmp_path, *data, *options, "signals.validation_every=2")


LEAST = "should be greater than or equal to 1"


@pytest.mark.parametrize(
    ("function", "argument", "value", "message"),
    [
        *((f, "seed", -1, "should be greater than or equal to 0") for f in SETS),
        *((f, "workers", 0.5, "should be a valid integer") for f in SETS),
        (mstar, "workers", 10**6, f"should be less than or equal to {most_processes()}"),
        *((f, "dtype", torch.float32, "should be torch.complex64 or torch.c") for f in SETS),
        *((f, "path", "/nowhere/at all", "") for f in SETS),
        *((f, "path", __file__, "") for f in SETS),
        (mstar, "crop", 0, LEAST),
        (mstar, "size", -1, LEAST),
        (mstar, "amplitude", "dB", "should be 'linear' or 'log'"),
        (miccai2023, "view", "coronal", "should be 'sax' or 'lax'"),
        (miccai2023, "acceleration", 5, "should be 4, 8 or 10"),
        (miccai2023, "coils", 0, LEAST),
        (miccai2023, "crop", 0, LEAST),
        (polsf, "channels", 5, "should be less than or equal to 4"),
        (polsf, "patch_size", 2785, "should be less than or equal to 2784"),
        (polsf, "patch_stride", 0, LEAST),
        (polsf, "block_size", 15, "should be an integer of at least 128"),
    ],
)
def test_wrong_arguments_are_named(function, argument, value, message):
    with pytest.raises(ValueError) as refused:
        function(**{"path": "/nowhere/at all", "dtype": torch.complex64, argument: value})
    if argument == "path":
        problem = "is a file, not a folder" if value == __file__ else "does not exist"
        assert str(refused.value).startswith(f"path={value}: {problem}; it should")
    else:
        assert str(refused.value).startswith(f"{argument}={value}: {message}")
    assert "\n" not in str(refused.value)


def test_the_path_is_asked_for():
    with pytest.raises(InputError, match=r"^data.path: should have a value"):
        cvtrain.configure("data=mstar")


def test_what_a_data_set_refuses_is_one_line_of_the_configuration():
    with pytest.raises(InputError, match=r"^data: path=/nowhere: does not exist; it should hold"):
        cvtrain.configure("data=mstar", "data.path=/nowhere", "model=cnn")
