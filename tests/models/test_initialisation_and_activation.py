"""Initial weights have the variance that is asked for; activations map ℂ to ℂ."""

import pytest
import torch
import torchcvnn.nn

from cvtrain.models.activation import ACTIVATIONS, activation
from cvtrain.models.initialisation import INITIALISATIONS, initialise_
from cvtrain.models.parameters import cast_parameters, count_parameters

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
NAMES = pytest.mark.parametrize("name", ACTIVATIONS)


@DTYPES
@pytest.mark.parametrize(("name", "variance"), [("glorot", 2 / (300 + 200)), ("he", 2 / 300)])
def test_re_and_im_are_uniform_and_independent_with_half_the_variance_each(name, variance, dtype):
    torch.manual_seed(0)
    w = torch.empty(200, 300, dtype=dtype)
    initialise_(w, name)
    assert w.abs().square().mean().item() == pytest.approx(variance, rel=0.02)
    assert abs(w.square().mean()) < 0.02 * variance
    assert abs(w.mean()) < 0.02 * variance**0.5
    for part in (w.real, w.imag):
        assert part.square().mean().item() == pytest.approx(variance / 2, rel=0.02)
        assert part.abs().max().item() == pytest.approx((1.5 * variance) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1)])
def test_constant_initial_weights_are_real_constants(name, value):
    w = torch.full((2, 3), 9j, dtype=torch.complex64, requires_grad=True)
    initialise_(w, name)
    assert torch.equal(w.detach(), torch.full((2, 3), value + 0j, dtype=torch.complex64))


def test_an_unknown_initialisation_is_refused_with_the_ones_there_are():
    with pytest.raises(
        ValueError, match="initialisation=lecun: should be one of glorot, he, zeros"
    ):
        initialise_(torch.empty(2, 2, dtype=torch.complex64), "lecun")
    assert list(INITIALISATIONS) == ["glorot", "he", "zeros", "ones"]


@DTYPES
@NAMES
def test_an_activation_maps_complex_numbers_to_complex_numbers_with_finite_gradients(name, dtype):
    module = activation(name)
    cast_parameters(module, dtype)
    torch.manual_seed(0)
    z = torch.randn(5, 40, dtype=dtype)
    z[0] = 0
    z.requires_grad_()
    out = module(z)
    assert (out.dtype, out.shape) == (dtype, z.shape)
    out.abs().square().sum().backward()
    assert z.grad.isfinite().all()
    assert z.grad[1:].any()
    for parameter in module.parameters():
        assert parameter.dtype == dtype.to_real()
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


@NAMES
def test_names_are_read_in_upper_or_lower_case_and_modules_are_new(name):
    made = [activation(spelled) for spelled in (name, name.lower(), name.upper())]
    assert all(isinstance(module, getattr(torchcvnn.nn, name)) for module in made)
    assert len({id(module) for module in made}) == 3


def test_three_activations_have_real_parameters():
    counts = {name: count_parameters(activation(name).parameters()) for name in ACTIVATIONS}
    with_real = {name for name, count in counts.items() if count.real}
    assert with_real == {"modReLU", "zLeakyReLU", "CPReLU"}
    assert not any(count.complex for count in counts.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CReLU", [3, 4j, 0]),
        ("zReLU", [0, 0, 0]),
        ("Cardioid", [0.8 * (3 - 4j), 0.2 * (-3 + 4j), 0.2 * (-3 - 4j)]),
        ("modReLU", [3 - 4j, -3 + 4j, -3 - 4j]),
    ],
)
def test_an_activation_has_its_published_values(name, expected):
    z = torch.tensor([3 - 4j, -3 + 4j, -3 - 4j], dtype=torch.complex128)
    expected = torch.tensor(expected, dtype=torch.complex128)
    assert torch.allclose(activation(name)(z), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["relu6", "Mod", "zAbsReLU", ""])
def test_an_unknown_activation_is_refused_with_the_ones_there_are(name):
    with pytest.raises(ValueError, match=f"activation={name}: should be one of Cardioid, modReLU"):
        activation(name)
