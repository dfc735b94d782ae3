"""What w.grad is, and the algebra of what the optimizer gets in its place."""

import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import cvtrain.gradients.convention
from cvtrain.gradients.convention import (
    CONVENTIONS,
    Convention,
    convention_name,
    gradient_ratio,
    self_check,
)

CONF = Path(__file__).parents[2] / "conf" / "convention"
DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)

seeds = st.integers(0, 2**30)
dtypes = st.sampled_from([torch.complex64, torch.complex128])
scales = st.floats(2**-20, 2**20)
exponents = st.integers(-20, 20)


def gradient(seed: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 2, dtype=dtype, generator=generator)


def squared_error(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return (w * x - y).abs().square().sum()


@DTYPES
def test_w_grad_is_twice_the_conjugate_wirtinger_derivative(dtype):
    w, x, y = gradient(0, dtype).requires_grad_(), gradient(1, dtype), gradient(2, dtype)
    squared_error(w, x, y).backward()
    conjugate_derivative = (w.detach() * x - y) * x.conj()
    assert torch.allclose(
        w.grad, 2 * conjugate_derivative, rtol=1e-4 if w.dtype.itemsize < 16 else 1e-14
    )


def test_w_grad_is_the_real_slope_and_i_times_the_imaginary_one():
    w, x, y = (gradient(seed)[0, 0, 0] for seed in range(3))
    h = 2.0**-18

    def slope(direction: complex) -> Tensor:
        return (squared_error(w + h * direction, x, y) - squared_error(w - h * direction, x, y)) / (
            2 * h
        )

    z = w.clone().requires_grad_()
    squared_error(z, x, y).backward()
    assert torch.allclose(z.grad, torch.complex(slope(1), slope(1j)), rtol=1e-8)


def test_the_factor_2_enters_once_at_any_depth():
    """Four complex layers against the same four in real arithmetic on (Re w, Im w)."""
    weights = [gradient(seed)[0, 0, 0].requires_grad_() for seed in range(4)]
    pairs = [torch.view_as_real(w.detach()).clone().requires_grad_() for w in weights]
    x, y = gradient(5)[0, 0]
    z, (a, b) = x, torch.view_as_real(x)
    for w, (re, im) in zip(weights, pairs, strict=True):
        z = w * z
        z = torch.complex(z.real.tanh(), z.imag.tanh())
        a, b = (re * a - im * b).tanh(), (re * b + im * a).tanh()
    (z - y).abs().square().backward()
    ((a - y.real).square() + (b - y.imag).square()).backward()
    for w, pair in zip(weights, pairs, strict=True):
        assert torch.allclose(torch.view_as_real(w.grad), pair.grad, rtol=1e-12)


@settings(deadline=None)
@given(seeds, dtypes, scales, scales, st.booleans(), st.booleans())
def test_scales_multiply_and_conjugations_cancel(seed, dtype, first, second, conjugate, again):
    g = gradient(seed, dtype)
    twice = Convention(second, again).apply(Convention(first, conjugate).apply(g))
    once = Convention(first * second, conjugate != again).apply(g)
    assert twice.dtype == once.dtype == dtype
    assert torch.allclose(twice, once, rtol=1e-6)


@settings(deadline=None)
@given(seeds, dtypes, exponents, exponents, st.booleans())
def test_powers_of_two_multiply_bit_for_bit(seed, dtype, m, n, conjugate):
    g = gradient(seed, dtype)
    expected = torch.complex(g.real * 2.0 ** (m + n), g.imag * 2.0 ** (m + n) * (1 - 2 * conjugate))
    scaled = Convention(2.0**n).apply(Convention(2.0**m, conjugate).apply(g))
    assert torch.equal(scaled, expected)
    assert torch.equal(Convention(2.0**m, conjugate).apply(Convention(2.0**n).apply(g)), expected)


@settings(deadline=None)
@given(seeds, dtypes, scales)
def test_conjugating_twice_changes_nothing_and_commutes_with_a_scale(seed, dtype, scale):
    g, flip, stretch = gradient(seed, dtype), Convention(conjugate=True), Convention(scale)
    assert torch.equal(flip.apply(g), g.conj())
    assert torch.equal(flip.apply(flip.apply(g)), g)
    assert torch.equal(flip.apply(stretch.apply(g)), stretch.apply(flip.apply(g)))


def test_halving_twice_is_quartering_bit_for_bit():
    g, half = gradient(0), CONVENTIONS["wirtinger"]
    assert torch.equal(half.apply(half.apply(g)), g / 4)


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_real_gradient_is_the_very_same_object_under_every_convention(convention):
    r = gradient(0).real
    assert convention.apply(r) is r


def test_the_identity_returns_the_very_same_object():
    g = gradient(0)
    assert Convention().apply(g) is g


@DTYPES
def test_a_stack_of_conventions_is_each_of_them_alone_bit_for_bit(dtype):
    g = gradient(0, dtype)
    scales, conjugates = torch.tensor([1.0, 0.5, 1 / 3]).double(), torch.tensor([False, True, True])
    stacked = Convention(scales, conjugates).apply(g)
    for k, (scale, conjugate) in enumerate(zip(scales.tolist(), conjugates.tolist(), strict=True)):
        assert torch.equal(stacked[k], Convention(scale, conjugate).apply(g[k : k + 1])[0])
        assert torch.equal(Convention(scales).apply(g)[k], Convention(scale).apply(g[k : k + 1])[0])
    assert torch.equal(Convention(scales).apply(g[:, 0, 0]), Convention(scales).apply(g)[:, 0, 0])


def test_a_lazily_conjugated_gradient_is_resolved_first():
    g = gradient(0)
    assert g.conj().is_conj()
    transformed = Convention(0.5, True).apply(g.conj())
    assert not transformed.is_conj()
    assert torch.equal(transformed, g / 2)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
@pytest.mark.parametrize("convention", list(CONVENTIONS.values())[1:], ids=list(CONVENTIONS)[1:])
def test_an_infinite_part_leaves_the_other_part_alone(convention, bad):
    transformed = convention.apply(torch.tensor([complex(bad, 2), complex(2, bad)]))
    sign = -1 if convention.conjugate else 1
    assert transformed[0].imag == sign * 2 * convention.scale
    assert transformed[1].real == 2 * convention.scale
    assert not (transformed[0].real.isfinite() or transformed[1].imag.isfinite())


def test_a_convention_is_named_or_described():
    for name, convention in CONVENTIONS.items():
        assert convention_name(convention.scale, convention.conjugate) == name
    assert convention_name(0.25, False) == "scale=0.25"
    assert convention_name(2, True) == "scale=2,conjugate"


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_file_of_a_convention_holds_its_values(name):
    assert Convention(**yaml.safe_load((CONF / f"{name}.yaml").read_text())) == CONVENTIONS[name]
    assert {path.stem for path in CONF.glob("*.yaml")} == set(CONVENTIONS)


@DTYPES
def test_the_self_check_measures_a_ratio_of_2(dtype):
    assert gradient_ratio(dtype) == pytest.approx(2, rel=1e-5)
    with torch.no_grad():
        line = self_check(dtype)
    assert line == f"w.grad = 2 ∂L/∂w* (measured with torch {torch.__version__}, {dtype})"


@pytest.mark.parametrize("ratio", [0, 1, 1.2, 1.999, 2.001, 2.8, 4, -2, 2 + 0.001j, 2j, math.nan])
def test_the_self_check_refuses_another_ratio(monkeypatch, ratio):
    monkeypatch.setattr(
        cvtrain.gradients.convention, "gradient_ratio", lambda dtype: complex(ratio)
    )
    with pytest.raises(RuntimeError, match=r"w\.grad is \S+ × ∂L/∂w\*, not 2 × as cvtrain assumes"):
        self_check()
