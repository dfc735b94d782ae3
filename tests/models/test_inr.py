"""Networks of coordinates: their waves, their first weights, and a signal that they take on."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cvtrain
from cvtrain.models.inr import Gabor, Inr, Sine
from cvtrain.models.parameters import count_parameters
from cvtrain.process.errors import InputError
from tests.models.member_networks import C128, assert_engines_agree, assert_stacks

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
WAVES = pytest.mark.parametrize("activation", ["gabor", "sine"])


def points(number: int, coordinates: int = 2, dtype: torch.dtype = C128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    r = 2 * torch.rand(number, coordinates, dtype=torch.float64, generator=generator) - 1
    return r.to(dtype)


def built(seed: int = 0, **options) -> Inr:
    torch.manual_seed(seed)
    return Inr(2, 3, **{"hidden": (6, 5), "dtype": C128} | options)


finite = st.floats(-2, 2)
positive = st.floats(0.5, 8)


@given(x=finite, y=finite, omega=positive, sigma=positive)
@settings(max_examples=60, deadline=None)
def test_gabor_is_its_formula_and_bounded(x, y, omega, sigma):
    z = complex(x, y)
    value = Gabor(omega, sigma)(torch.tensor([z], dtype=C128)).item()
    expected = cmath.exp(1j * omega * z - sigma**2 * abs(z) ** 2)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-300)
    assert abs(value) <= math.exp(omega**2 / (4 * sigma**2)) * (1 + 1e-12)


def test_the_bound_of_gabor_is_reached():
    omega, sigma = 3.0, 1.2
    peak = torch.tensor(-1j * omega / (2 * sigma**2), dtype=C128)
    assert Gabor(omega, sigma)(peak).abs().item() == pytest.approx(math.exp(9 / (4 * 1.44)))


@given(x=finite, y=finite, omega=positive)
@settings(max_examples=60, deadline=None)
def test_sine_is_taken_of_each_part(x, y, omega):
    value = Sine(omega)(torch.tensor([complex(x, y)], dtype=C128)).item()
    assert value == pytest.approx(complex(math.sin(omega * x), math.sin(omega * y)))


@pytest.mark.parametrize("wave", [Gabor(3.0, 1.5), Sine(7.0)])
def test_the_gradient_of_a_wave_is_that_of_finite_differences(wave):
    z = torch.randn(9, dtype=C128, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(wave, (z,))


@DTYPES
@WAVES
def test_every_point_has_complex_outputs_and_all_is_complex(activation, dtype):
    model = built(activation=activation, dtype=dtype)
    y = model(points(7, dtype=dtype))
    assert (y.shape, y.dtype) == ((7, 3), dtype)
    count = count_parameters(model.parameters())
    assert (count.complex, count.real) == (3 * 6 + 7 * 5 + 6 * 3, 0)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


@WAVES
def test_it_is_linear_layers_and_waves(activation):
    model, r = built(activation=activation, omega=4.0, sigma=1.5), points(7)
    first, _, second, _, head = model.layers
    wave = Gabor(4.0, 1.5) if activation == "gabor" else Sine(4.0)
    h = wave(r @ first.weight.T + first.bias)
    h = wave(h @ second.weight.T + second.bias)
    torch.testing.assert_close(model(r), h @ head.weight.T + head.bias)


@WAVES
def test_weights_and_biases_of_hidden_layers_are_drawn_as_one_matrix(activation):
    torch.manual_seed(0)
    model = Inr(99, 2, hidden=(300, 400), activation=activation, omega=5.0, dtype=C128)
    first, _, second, _, head = model.layers
    scale = 1 / 5 if activation == "sine" else 1
    for layer, size in ((first, 1), (second, scale)):
        variance = size**2 * 2 / (layer.weight.shape[1] + 1)
        for drawn in (layer.weight, layer.bias):
            assert drawn.abs().square().mean().item() == pytest.approx(variance, rel=0.15)
    assert not head.bias.any()


@pytest.mark.parametrize("omega", [3.0, 30.0])
def test_sines_have_arguments_of_variance_one_at_any_depth(omega):
    torch.manual_seed(0)
    hidden = (400,) * 5
    model = Inr(2, 1, hidden=hidden, activation="sine", omega=omega, dtype=torch.complex64)
    seen = []
    for layer in model.layers:
        if isinstance(layer, Sine):
            layer.register_forward_hook(lambda wave, z, _: seen.append(wave.omega * z[0]))
    model(points(300, dtype=torch.complex64))
    for z in seen[1:]:
        for part in (z.real, z.imag):
            assert part.square().mean().item() == pytest.approx(1, abs=0.25)


@WAVES
def test_a_stack_is_its_members(activation):
    assert_stacks(lambda: Inr(2, 3, hidden=(6, 5), activation=activation, dtype=C128), points(7))


@pytest.mark.parametrize(("activation", "omega"), [("gabor", 2.0), ("sine", 10.0)])
def test_it_takes_on_a_chirp(activation, omega):
    t = torch.linspace(-1, 1, 128)
    target = torch.polar(torch.exp(-2 * t * t), 20 * t * t).unsqueeze(1)
    torch.manual_seed(0)
    model = Inr(1, 1, hidden=(32, 32), activation=activation, omega=omega, dtype=torch.complex64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (model(t.unsqueeze(1) + 0j) - target).abs().square().sum()
        loss.backward()
        optimizer.step()
    assert loss < 0.03 * target.abs().square().sum()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"hidden": ()}, r"hidden=\[\]: should have at least one width"),
        ({"activation": "relu"}, "activation=relu: should be one of gabor, sine"),
        ({"omega": 0.0}, r"omega=0\.0: should be positive and finite"),
        ({"sigma": math.inf}, "sigma=inf: should be positive and finite"),
        ({"initialisation": "siren"}, "initialisation=siren: should be one of glorot"),
        ({"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64"),
    ],
)
def test_what_makes_no_network_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        built(**bad)


def test_what_does_not_fit_is_a_line():
    with pytest.raises(InputError, match="model: Inr refuses its arguments: omega=-1"):
        cvtrain.configure("data=system_id", "objective=complex_mse", "model=inr", "model.omega=-1")


def test_both_engines_train_it_to_the_same_weights(tmp_path):
    arguments = ["data=system_id", "objective=complex_mse", "model=inr", "model.hidden=[6,5]"]
    assert_engines_agree(tmp_path, *arguments)
