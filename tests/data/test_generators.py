"""What every data set keeps to, whatever it draws, and its entry in the configuration."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml

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


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_real_dtype_is_refused(generator):
    with pytest.raises(ValueError, match=r"dtype must be torch.complex64 or .* not torch.float32"):
        draw(generator, dtype=torch.float32)


@pytest.mark.parametrize("generator", SEEDED)
@pytest.mark.parametrize("seed", [-1, 0.5])
def test_a_bad_seed_is_refused(generator, seed):
    with pytest.raises(ValueError, match=f"seed must be an integer of at least 0, not {seed}"):
        draw(generator, seed=seed, dtype=torch.complex64)


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_configuration_states_the_defaults(generator):
    text = (CONF / f"{generator.__name__}.yaml").read_text(encoding="utf-8")
    defaults = {
        # A list of the file is taken for a tuple.
        name: list(default) if isinstance(default := parameter.default, tuple) else default
        for name, parameter in inspect.signature(generator).parameters.items()
        if name != "dtype"
    }
    target = f"{generator.__module__}.{generator.__name__}"
    assert text.startswith("# ")
    assert yaml.safe_load(text) == {"_target_": target} | defaults
