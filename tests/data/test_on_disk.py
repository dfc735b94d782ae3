"""What every data set of files keeps to, and its entry in the configuration."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml

import cvtrain
from cvtrain.config.point import Point
from cvtrain.data.miccai2023 import miccai2023
from cvtrain.data.mstar import Chips, mstar
from cvtrain.data.polsf import polsf
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from cvtrain.process.errors import InputError
from cvtrain.process.limits import most_processes
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.data.formats.alos2 import write_polsf
from tests.data.formats.miccai2023 import write_miccai2023
from tests.data.formats.mstar import write_mstar
from tests.data.formats.s1slc import write_s1slc
from tests.data.formats.sample import write_sample

CONF = Path(__file__).parents[2] / "conf" / "data"
SETS = {
    miccai2023: (write_miccai2023, {"crop": 8}),
    mstar: (write_mstar, {"crop": 16}),
    polsf: (lambda top: write_polsf(top, (96, 64)), {"patch_size": 16, "block_size": 32}),
    s1slc: (write_s1slc, {}),
    sample: (write_sample, {"crop": 8, "complete": False}),
}


@pytest.fixture(scope="module", params=SETS, ids=lambda function: function.__name__)
def stored(request, tmp_path_factory):
    """A function and what it takes to read a small data set."""
    write, arguments = SETS[request.param]
    top = tmp_path_factory.mktemp(request.param.__name__)
    write(top)
    return request.param, arguments | {"path": str(top)}


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def some(split):
    return split.take(torch.arange(min(4, len(split))))


def test_both_dtypes_see_the_same_data(stored):
    function, arguments = stored
    single, double = (function(**arguments, dtype=d) for d in (torch.complex64, torch.complex128))
    for s, d in zip(map(some, splits(single)), map(some, splits(double)), strict=True):
        assert (s.inputs.dtype, d.inputs.dtype) == (torch.complex64, torch.complex128)
        assert torch.equal(s.inputs, d.inputs.to(torch.complex64))
        assert torch.equal(s.targets, d.targets.to(s.targets.dtype))


def test_no_sample_is_in_two_splits_and_the_seed_alone_draws_them(stored):
    function, arguments = stored

    def chosen(seed):
        dataset = function(**arguments, seed=seed, dtype=torch.complex64)
        return [list(split.chosen) for split in splits(dataset)]

    torch.manual_seed(0)
    first = chosen(0)
    torch.manual_seed(1)
    assert chosen(0) == first != chosen(1)
    together = [number for of_split in first for number in of_split]
    assert len(set(together)) == len(together)


def test_only_what_is_asked_for_is_read(stored, monkeypatch):
    function, arguments = stored
    train = function(**arguments, dtype=torch.complex64).train
    read = []
    reader = type(train.samples)
    of_reader = reader.__getitem__
    monkeypatch.setattr(reader, "__getitem__", lambda s, n: read.append(n) or of_reader(s, n))
    batches = train.batches(torch.arange(6).split(2))
    assert read == []
    for number in range(3):
        next(batches)
        assert read == list(train.chosen[: 2 * number + 2])


def test_runs_of_one_seed_in_a_stack_read_what_one_of_them_does(tmp_path, monkeypatch):
    write_mstar(tmp_path / "data")
    given = [f"data.path={tmp_path / 'data'}", "data.crop=16", "batch_size=8", "max_steps=5"]
    given += ["data=mstar", "model=cnn", "model.channels=[2,3]", "model.hidden=4"]
    points = [
        Point(number, cvtrain.configure(*given, f"lr_octave={-number}"), (), str(number))
        for number in range(3)
    ]
    read = []
    of_reader = Chips.__getitem__
    monkeypatch.setattr(Chips, "__getitem__", lambda s, n: read.append(n) or of_reader(s, n))

    def read_by(*some):
        read.clear()
        train(Job(some, tmp_path / f"{len(some)}", "stack"))
        return sorted(read)

    alone = read_by(points[0])
    assert alone == read_by(*points)
    assert 5 * 8 <= len(alone) < 5 * 8 + 5 * 40


@pytest.mark.parametrize("function", SETS)
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"seed": -1}, "seed must be an integer of at least 0, not -1"),
        ({"workers": 0.5}, f"workers must be an integer from 0 to {most_processes()}, not 0.5"),
        ({"dtype": torch.float32}, "dtype must be torch.complex64 or .* not torch.float32"),
        ({}, "path=/nowhere/at all does not exist; it should"),
        ({"path": __file__}, "is a file, not a folder; it should"),
    ],
)
def test_wrong_arguments_are_named(function, arguments, told):
    given = {"path": "/nowhere/at all", "dtype": torch.complex64} | arguments
    with pytest.raises(ValueError, match=told) as refused:
        function(**given)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("function", SETS)
def test_the_configuration_states_the_defaults_and_asks_for_the_path(function):
    text = (CONF / f"{function.__name__}.yaml").read_text(encoding="utf-8")
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("dtype", "path")
    }
    target = f"{function.__module__}.{function.__name__}"
    assert text.startswith("# ")
    assert yaml.safe_load(text) == {"_target_": target, "path": "???"} | defaults
    with pytest.raises(InputError, match=r"^data.path: a value is needed"):
        cvtrain.configure(f"data={function.__name__}")


def test_what_a_data_set_refuses_is_one_line_of_the_configuration():
    with pytest.raises(InputError, match=r"^data: path=/nowhere does not exist; it should hold"):
        cvtrain.configure("data=mstar", "data.path=/nowhere", "model=cnn")
