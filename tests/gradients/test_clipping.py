"""Each kind of clip against torch, its geometry, and the law of the factor 2."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from cvtrain.gradients.clipping import ModulusClip, NoClip, NormClip, SplitClip, total_norm

CONF = Path(__file__).parents[2] / "conf" / "clip"
COMPLEX = (torch.complex64, torch.complex128)
DTYPES = pytest.mark.parametrize("dtype", COMPLEX, ids=str)
KINDS = pytest.mark.parametrize("kind", [NormClip, ModulusClip, SplitClip])
ENTRYWISE = pytest.mark.parametrize("kind", [ModulusClip, SplitClip])
BAD = [float("nan"), float("inf"), complex(1, float("nan")), complex(float("inf"), float("nan"))]


def gradients(points: int, dtype: torch.dtype, seed: int = 0) -> dict[str, Tensor]:
    """Of a mixed network; as many entries as torch's loops take at once, so that each point of a
    stack is rounded alike."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.randn(points, *shape, dtype=dtype, generator=generator)

    real = dtype.to_real()
    return {
        "weight": drawn(dtype, 16, 8),
        "scale": drawn(real),
        "bias": drawn(dtype, 16),
        "head": drawn(real, 3, 16),
    }


def parameters(g: dict[str, Tensor]) -> list[nn.Parameter]:
    """The one point of `g` as parameters with gradients, complex ones as pairs of reals."""
    made = [nn.Parameter(torch.zeros_like(gradient[0])) for gradient in g.values()]
    for parameter, gradient in zip(made, g.values(), strict=True):
        parameter.grad = gradient[0].clone()
    return made


@pytest.mark.parametrize("threshold", [0.0, 0.3, 7.0, 1e3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [*COMPLEX, torch.float32, torch.float64], ids=str)
def test_norm_clip_has_the_bits_of_clip_grad_norm(dtype, seed, threshold):
    g = gradients(1, dtype if dtype.is_complex else dtype.to_complex(), seed)
    g = {name: z for name, z in g.items() if dtype.is_complex or not z.is_complex()}
    for chosen in (
        g,
        dict(reversed(g.items())),
        {name: z for name, z in g.items() if z.dtype == dtype},
    ):
        expected = parameters(chosen)
        norm = nn.utils.clip_grad_norm_(expected, threshold)
        clipped, _ = NormClip(threshold).clip(chosen)
        assert torch.equal(total_norm(chosen), norm[None])
        for own, torchs in zip(clipped.values(), expected, strict=True):
            assert torch.equal(own[0], torchs.grad)


@DTYPES
def test_split_clip_is_clip_grad_value_on_two_real_parameters(dtype):
    g = gradients(1, dtype)
    pairs = {name: torch.view_as_real(z) if z.is_complex() else z for name, z in g.items()}
    expected = parameters(pairs)
    nn.utils.clip_grad_value_(expected, 0.4)
    clipped, _ = SplitClip(0.4).clip(g)
    for own, torchs in zip(clipped.values(), expected, strict=True):
        assert torch.equal(torch.view_as_real(own)[0] if own.is_complex() else own[0], torchs.grad)


@DTYPES
def test_modulus_clip_keeps_the_phase_and_bounds_the_modulus(dtype):
    z = gradients(1, dtype)["weight"]
    clipped = ModulusClip(0.7).clip({"weight": z})[0]["weight"]
    eps = torch.finfo(dtype).eps
    inside = z.abs() <= 0.7
    assert 0.2 < inside.double().mean() < 0.8
    assert torch.equal(clipped[inside], z[inside])
    assert torch.allclose(clipped[~inside].abs(), z.new_tensor(0.7).abs(), rtol=2 * eps, atol=0)
    assert torch.allclose(clipped.sgn(), z.sgn(), rtol=0, atol=4 * eps)


def test_modulus_clip_is_a_disc_and_split_clip_a_square():
    z = {"weight": torch.tensor([[3 + 4j, 0.5 + 4j]])}
    disc, square = ModulusClip(2.5).clip(z)[0], SplitClip(2.5).clip(z)[0]
    assert disc["weight"][0, 0].item() == 1.5 + 2j
    assert square["weight"].tolist() == [[2.5 + 2.5j, 0.5 + 2.5j]]


@ENTRYWISE
def test_a_real_entry_goes_into_an_interval(kind):
    clipped, _ = kind(1.5).clip({"bias": torch.tensor([[-4.0, -1.0, 0.0, 1.5, 9.0]])})
    assert clipped["bias"].tolist() == [[-1.5, -1.0, 0.0, 1.5, 1.5]]


@KINDS
@DTYPES
@pytest.mark.parametrize("c", [0.5, 2.0, 0.25])
@pytest.mark.parametrize("threshold", [0.3, 7.0])
def test_a_threshold_scales_with_the_gradient_bit_for_bit(kind, dtype, c, threshold):
    for seed in range(5):
        g = gradients(4, dtype, seed)
        options = ({}, {}) if kind is not NormClip else ({"eps": 1e-6}, {"eps": c * 1e-6})
        clipped, coefficient = kind(threshold, **options[0]).clip(g)
        scaled = {name: c * z for name, z in g.items()}
        reclipped, again = kind(c * threshold, **options[1]).clip(scaled)
        assert torch.equal(again, coefficient)
        assert all(torch.equal(reclipped[name], c * clipped[name]) for name in g)


@KINDS
@DTYPES
def test_a_stack_of_thresholds_is_each_of_them_alone_bit_for_bit(kind, dtype):
    g = gradients(3, dtype)
    thresholds = torch.tensor([0.3, 1e3, 1.7], dtype=torch.float64)
    clipped, coefficient = kind(thresholds).clip(g)
    assert coefficient.shape == (3,)
    for k, threshold in enumerate(thresholds.tolist()):
        alone, ratio = kind(threshold).clip({name: z[k : k + 1] for name, z in g.items()})
        assert torch.equal(coefficient[k], ratio[0])
        assert all(torch.equal(clipped[name][k], alone[name][0]) for name in g)


@KINDS
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_point_does_not_spread_to_the_others(kind, bad):
    g = gradients(3, torch.complex64)
    good, ratio = kind(0.3).clip(g)
    spoilt = {name: z.clone() for name, z in g.items()}
    spoilt["weight"][1, 2, 3] = bad
    clipped, coefficient = kind(0.3).clip(spoilt)
    for k in (0, 2):
        assert torch.equal(coefficient[k], ratio[k])
        assert all(torch.equal(clipped[name][k], good[name][k]) for name in g)
    untouched = clipped["weight"][1, 0, 0]
    assert kind is NormClip or torch.equal(untouched, good["weight"][1, 0, 0])


@KINDS
@pytest.mark.parametrize("threshold", [0.0, 1e-9, 1.0])
def test_a_zero_gradient_stays_zero_with_coefficient_1(kind, threshold):
    zeros = {name: torch.zeros_like(z) for name, z in gradients(2, torch.complex64).items()}
    for options in ({}, {"eps": 0.0})[: 1 + (kind is NormClip)]:
        clipped, coefficient = kind(threshold, **options).clip(zeros)
        assert all(torch.equal(clipped[name], z) for name, z in zeros.items())
        assert torch.equal(coefficient, torch.ones(2))


@KINDS
@DTYPES
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1e3])
def test_the_coefficient_is_the_ratio_of_the_norms(kind, dtype, threshold):
    g = gradients(3, dtype)
    clipped, coefficient = kind(threshold).clip(g)
    ratio = total_norm(clipped) / total_norm(g)
    assert coefficient.dtype == dtype.to_real()
    assert torch.allclose(coefficient, ratio, rtol=8 * torch.finfo(dtype).eps)


@DTYPES
def test_no_clip_hands_over_the_same_tensors(dtype):
    g = gradients(3, dtype)
    clipped, coefficient = NoClip().clip(g)
    assert clipped is not g
    assert all(clipped[name] is g[name] for name in g)
    assert torch.equal(coefficient, torch.ones(3, dtype=dtype.to_real()))


@KINDS
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), torch.tensor([1.0, -1.0])])
def test_a_threshold_that_is_no_length_is_refused(kind, bad):
    with pytest.raises(ValueError, match="threshold="):
        kind(bad)
    with pytest.raises(ValueError, match="eps="):
        NormClip(1.0, eps=bad)


@pytest.mark.parametrize("kind", [NoClip, NormClip, ModulusClip, SplitClip])
def test_the_file_of_a_clip_holds_its_arguments(kind):
    name = "none" if kind is NoClip else kind.__name__.removesuffix("Clip").lower()
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert values.pop("kind") == name
    assert kind(**values) == (NoClip() if kind is NoClip else kind(1.0))


@KINDS
def test_a_lazily_conjugated_gradient_is_clipped_as_what_it_is(kind):
    g = {name: z.conj() for name, z in gradients(3, torch.complex128).items()}
    assert g["weight"].is_conj()
    resolved = {name: z.resolve_conj() for name, z in g.items()}
    (clipped, coefficient), (expected, same) = kind(0.5).clip(g), kind(0.5).clip(resolved)
    assert torch.equal(coefficient, same)
    assert all(torch.equal(clipped[name], z) for name, z in expected.items())
