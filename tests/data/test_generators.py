"""What every data set keeps to, whatever it draws, and its entry in the configuration."""

import inspect
import math
from pathlib import Path

import pytest
import torch
import yaml

from cvtrain.config.public_targets import DATASETS
from cvtrain.config.targets import resolve_target
from cvtrain.data import Dataset
from cvtrain.data.adding import adding
from cvtrain.data.article import article
from cvtrain.data.copy_memory import copy_memory
from cvtrain.data.digits_fft import digits_fft
from cvtrain.data.equalizer import equalizer
from cvtrain.data.modulation import modulation
from cvtrain.data.noncircular import noncircular
from cvtrain.data.speckle import speckle
from cvtrain.data.symmetry import symmetry
from cvtrain.data.system_id import system_id
from cvtrain.data.wave_field import wave_field

CONF = Path(__file__).parents[2] / "conf" / "data"
SEEDED = [
    adding,
    copy_memory,
    digits_fft,
    equalizer,
    modulation,
    noncircular,
    speckle,
    system_id,
    wave_field,
]
GENERATORS = [article, symmetry, *SEEDED]
# Long sequences and long vectors: fewer of them say the same.
SMALLER = {
    adding: {"train_samples": 500},
    copy_memory: {"delay": 10, "train_samples": 500},
    modulation: {"samples_per_format": 100},
    noncircular: {"samples_per_class": 500},
    speckle: {"size": 8, "train_samples": 30, "validation_samples": 20, "test_samples": 20},
}


def draw(generator, **arguments):
    return generator(**SMALLER.get(generator, {}) | arguments)


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def same(first, second):
    return torch.equal(first.inputs, second.inputs) and torch.equal(first.targets, second.targets)


@pytest.mark.parametrize("generator", GENERATORS)
def test_both_dtypes_see_the_same_data(generator):
    single, double = (draw(generator, dtype=d) for d in (torch.complex64, torch.complex128))
    for s, d in zip(splits(single), splits(double), strict=True):
        assert (s.inputs.dtype, d.inputs.dtype) == (torch.complex64, torch.complex128)
        assert torch.equal(s.inputs, d.inputs.to(torch.complex64))
        assert torch.equal(s.targets, d.targets.to(s.targets.dtype))
    assert single.references == double.references
    for name, weight in single.solution.items():
        assert torch.equal(weight, double.solution[name].to(torch.complex64))


@pytest.mark.parametrize("generator", SEEDED)
def test_the_seed_alone_draws_the_data(generator):
    torch.manual_seed(0)
    first = draw(generator, seed=1, dtype=torch.complex64)
    torch.manual_seed(1)
    again = draw(generator, seed=1, dtype=torch.complex64)
    other = draw(generator, seed=2, dtype=torch.complex64)
    assert all(map(same, splits(first), splits(again)))
    assert not any(map(same, splits(first), splits(other)))


@pytest.mark.parametrize("generator", SEEDED)
def test_no_sample_is_in_two_splits(generator):
    dataset = draw(generator, dtype=torch.complex128)
    inputs = torch.cat([torch.view_as_real(split.inputs).flatten(1) for split in splits(dataset)])
    assert len(torch.unique(inputs, dim=0)) == len(inputs)


AT_LEAST = "should be greater than or equal to {}"
AT_MOST = "should be less than or equal to {}"
DTYPE = "should be torch.complex64 or torch.complex128"
BPSK = "should be two or more different ones of BPSK, QPSK, 8PSK, 16QAM, 64QAM"
WATER = "should be two or more different ones of water, soil, buildings, forest"
REFUSED = [
    *((generator, "dtype", torch.float32, DTYPE) for generator in GENERATORS),
    *((generator, "seed", -1, AT_LEAST.format(0)) for generator in SEEDED),
    *((generator, "seed", 0.5, "should be a valid integer") for generator in SEEDED),
    *(
        (generator, f"{split}_samples", 0, AT_LEAST.format(1))
        for generator in (adding, copy_memory, equalizer, speckle)
        for split in ("train", "validation", "test")
    ),
    (adding, "length", 1, AT_LEAST.format(2)),
    (copy_memory, "delay", 0, AT_LEAST.format(1)),
    (copy_memory, "length", 0, AT_LEAST.format(1)),
    (copy_memory, "length", 21, AT_MOST.format(20)),
    (equalizer, "delay", -1, "should be an integer from 0 to 4"),
    (equalizer, "delay", 5, "should be an integer from 0 to 4"),
    (equalizer, "taps", 0, AT_LEAST.format(1)),
    (equalizer, "snr_db", math.nan, AT_MOST.format(300)),
    (equalizer, "snr_db", 301.0, AT_MOST.format(300)),
    (modulation, "formats", ("BPSK", "FSK"), BPSK),
    (modulation, "formats", ("BPSK",), BPSK),
    (modulation, "formats", (), BPSK),
    (modulation, "formats", ("QPSK", "QPSK"), BPSK),
    (modulation, "symbols", 0, AT_LEAST.format(1)),
    (modulation, "snr_db", math.inf, AT_MOST.format(100)),
    (modulation, "snr_db", 101.0, AT_MOST.format(100)),
    (modulation, "random_phase", 1, "should be a valid boolean"),
    (modulation, "samples_per_format", 4, AT_LEAST.format(5)),
    (noncircular, "samples_per_class", 4, AT_LEAST.format(5)),
    (noncircular, "length", 0, AT_LEAST.format(1)),
    (noncircular, "correlation", 1.5, AT_MOST.format(1)),
    (speckle, "classes", ("water", "sand"), WATER),
    (speckle, "classes", ("soil",), WATER),
    (speckle, "classes", (), WATER),
    (speckle, "classes", ("soil", "soil"), WATER),
    (speckle, "size", 0, AT_LEAST.format(1)),
    (speckle, "regions", 0, AT_LEAST.format(1)),
    (speckle, "regions", 1025, "should be an integer from 1 to 1024"),
    (symmetry, "problem", "parity", "should be 'xor' or 'symmetry'"),
    (system_id, "samples", 4, AT_LEAST.format(5)),
    (system_id, "taps", 0, AT_LEAST.format(1)),
    (system_id, "taps", 4097, AT_MOST.format(4096)),
    (system_id, "taps", True, "should be a valid integer"),
    (system_id, "condition_number", 0.5, AT_LEAST.format(1)),
    (system_id, "condition_number", math.inf, "should be a finite number"),
    (system_id, "noise", -0.1, AT_LEAST.format(0)),
    (system_id, "noise", math.nan, "should be a finite number"),
    (system_id, "circularity", 1.5, AT_MOST.format(1)),
    (system_id, "circularity", "0.5", "should be a valid number"),
    (wave_field, "size", 2, AT_LEAST.format(3)),
    (wave_field, "bandwidth", 0.0, "should be above 0 and at most size/4 = 12"),
    (wave_field, "bandwidth", 13.0, "should be above 0 and at most size/4 = 12"),
    (wave_field, "waves", 0, AT_LEAST.format(1)),
    (wave_field, "noise", -0.1, AT_LEAST.format(0)),
]


@pytest.mark.parametrize(("generator", "argument", "value", "message"), REFUSED)
def test_an_argument_out_of_range_is_refused_by_its_name(generator, argument, value, message):
    with pytest.raises(ValueError) as refused:
        generator(**{"dtype": torch.complex64, argument: value})
    shown = f"[{', '.join(value)}]" if isinstance(value, tuple) else value
    assert str(refused.value) == f"{argument}={shown}: {message}"


@pytest.mark.parametrize("name", DATASETS)
def test_the_configuration_states_the_defaults_of_every_data_set(name):
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    function = resolve_target("data", values.pop("_target_"), Dataset)
    defaults = {}
    for argument, parameter in inspect.signature(function).parameters.items():
        default = "???" if parameter.default is parameter.empty else parameter.default
        # A list of the file is taken for a tuple.
        defaults[argument] = list(default) if isinstance(default, tuple) else default
    assert defaults.pop("dtype") == "???"
    assert text.startswith("# ")
    assert values == defaults
