"""Parameters counted, cast and jittered, complex ones as complex ones."""

import pytest
import torch
from torch import nn

from cvtrain.models import MixedMlp, cast_parameters, count_parameters, jitter_parameters

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)


def mixed(dtype: torch.dtype = torch.complex64) -> MixedMlp:
    torch.manual_seed(0)
    return MixedMlp(4, 2, hidden=(3,), dtype=dtype)


def jittered(relative: float, seed: int = 0, dtype: torch.dtype = torch.complex128) -> nn.Module:
    model = nn.ParameterList([3 * torch.ones(100, 100, dtype=dtype), torch.ones(100, 100)])
    jitter_parameters(model, relative, torch.Generator().manual_seed(seed))
    return model


@DTYPES
def test_a_complex_entry_is_one_parameter_of_two_degrees_of_freedom(dtype):
    count = count_parameters(mixed(dtype).parameters())
    assert (count.complex, count.real) == (4 * 3 + 3, 1 + 6 * 2 + 2)
    assert count.real_degrees_of_freedom == 2 * 15 + 15
    assert count.bytes == count.real_degrees_of_freedom * dtype.to_real().itemsize
    assert count.kind == "mixed"


def test_a_network_is_purely_complex_mixed_or_real():
    c, r = torch.ones(2, dtype=torch.complex64), torch.ones(3)
    kinds = [count_parameters(parameters).kind for parameters in ([c], [c, r], [r])]
    assert kinds == ["purely complex", "mixed", "real"]


def test_a_shared_parameter_counts_once():
    shared = nn.Linear(2, 2, bias=False, dtype=torch.complex64)
    assert count_parameters(nn.Sequential(shared, shared).parameters()).complex == 4


@DTYPES
@pytest.mark.parametrize("before", [torch.complex64, torch.complex128], ids=str)
def test_casting_keeps_complex_ones_complex_and_real_ones_real(dtype, before):
    model = mixed(before)
    model.register_buffer("mean", torch.ones(2, dtype=torch.float64))
    model.register_buffer("phase", torch.full((2,), 1j, dtype=torch.complex64))
    model.register_buffer("steps", torch.tensor(3))
    values = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    objects = dict(model.named_parameters())
    cast_parameters(model, dtype)
    for name, tensor in model.state_dict().items():
        expected = dtype if values[name].is_complex() else dtype.to_real()
        assert tensor.dtype == (torch.int64 if name == "steps" else expected)
        assert torch.equal(tensor, values[name].to(tensor.dtype))
    assert all(objects[name] is parameter for name, parameter in model.named_parameters())
    assert model(torch.ones(1, 4, dtype=dtype)).dtype == dtype.to_real()


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
def test_casting_to_what_is_not_complex_is_refused(dtype):
    with pytest.raises(ValueError, match=f"dtype={dtype}: should be torch.complex64"):
        cast_parameters(mixed(), dtype)


@pytest.mark.parametrize("relative", [1e-6, 0.5])
def test_jitter_is_relative_to_the_rms_of_each_parameter_and_circular(relative):
    complex_one, real_one = (p.detach() for p in jittered(relative).parameters())
    z, n = (complex_one - 3) / (3 * relative), (real_one - 1) / relative
    assert z.abs().square().mean().item() == pytest.approx(1, rel=0.05)
    assert z.real.square().mean().item() == pytest.approx(0.5, rel=0.05)
    assert abs(z.square().mean()) < 0.05
    assert abs(z.mean()) < 0.05
    assert n.square().mean().item() == pytest.approx(1, rel=0.1)
    assert (complex_one.dtype, real_one.dtype) == (torch.complex128, torch.float32)


def test_jitter_leaves_zeros_and_a_jitter_of_zero_leaves_everything():
    model = mixed()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    jitter_parameters(model, 0.0, torch.Generator().manual_seed(0))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    jitter_parameters(model, 0.1, torch.Generator().manual_seed(0))
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) == (not before[name].any())
        assert p.requires_grad
    assert not all(b.any() for b in before.values())


def test_jitter_depends_on_its_generator_alone():
    state = torch.random.get_rng_state()
    first, same, other = (jittered(0.1, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_jitter_is_relative_to_the_root_of_the_mean_square_and_not_to_the_mean_modulus():
    weights = nn.Parameter(torch.zeros(2, 20_000, dtype=torch.complex128))
    with torch.no_grad():
        weights[0] = 3 + 4j  # a root mean square of 5/√2, a mean modulus of 5/2
    module, before = nn.Module(), weights.detach().clone()
    module.weight = weights
    jitter_parameters(module, 0.1, torch.Generator().manual_seed(0))
    size = (weights.detach() - before).abs().square().mean().sqrt().item()
    assert size == pytest.approx(0.1 * 5 / 2**0.5, rel=0.03)
