"""The vision transformer: normalisation of each vector, attention written out, and sizes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

import cvtrain
from cvtrain.models.normalisation import LayerNorm, RMSNorm
from cvtrain.models.parameters import count_parameters
from cvtrain.models.vit import Vit
from cvtrain.process.errors import InputError
from tests.models.member_networks import (
    C128,
    TOLERANCE,
    Stack,
    assert_agrees,
    assert_engines_agree,
    assert_stacks,
)

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
NORMS = pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
SMALL = {"layers": 1, "heads": 2, "width": 6, "mlp_width": 5}


def numbers(*shape: int, dtype: torch.dtype = C128, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def built(shape=(8, 12), /, **options) -> Vit:
    """With no parameter at its initial value."""
    torch.manual_seed(0)
    model = Vit(shape, 3, **SMALL | {"dtype": C128} | options)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


@NORMS
def test_a_vector_is_normalised_by_itself(norm):
    layer, x = norm(4, dtype=C128), numbers(3, 5, 4)
    whole = layer(x)
    for n in range(3):
        for t in range(5):
            torch.testing.assert_close(layer(x[n, t]), whole[n, t], rtol=1e-13, atol=1e-13)


@NORMS
def test_parts_of_a_longer_vector_are_vectors_of_their_own(norm):
    layer, x = norm(4, dtype=C128), numbers(5, 12)
    assert torch.equal(layer(x).reshape(5, 3, 4), layer(x.reshape(5, 3, 4)))


def test_layer_norm_whitens_re_and_im():
    layer = LayerNorm(7, dtype=C128)
    layer.weight.data = numbers(7, 2, 2).real
    layer.bias.data = numbers(7, seed=1)
    z = numbers(4, 7, seed=2) * (1 + 2j) + 3
    for vector, output in zip(z.numpy(), layer(z).detach().numpy(), strict=True):
        x = np.stack([vector.real, vector.imag])
        centred = x - x.mean(axis=1, keepdims=True)
        v = centred @ centred.T / 7 + 1e-5 * np.eye(2)
        white = np.linalg.inv(scipy.linalg.sqrtm(v)) @ centred
        y = np.einsum("fab,bf->af", layer.weight.detach().numpy(), white)
        np.testing.assert_allclose(
            output, y[0] + 1j * y[1] + layer.bias.detach().numpy(), rtol=1e-9
        )


def test_layer_norm_has_unit_power_and_circular_entries_at_first():
    y = LayerNorm(64, dtype=C128)(numbers(5, 64) * (3 - 1j) + numbers(5, 64, seed=1).real)
    assert y.abs().square().mean(-1).sub(1).abs().max() < 1e-4
    assert y.square().mean(-1).abs().max() < 1e-4


def test_rms_norm_turns_with_its_input():
    layer = RMSNorm(6, dtype=C128)
    layer.weight.data = numbers(6)
    z = numbers(4, 6, seed=1)
    rms = z.abs().square().mean(-1, keepdim=True).add(1e-5).sqrt()
    torch.testing.assert_close(layer(z), layer.weight * z / rms)
    torch.testing.assert_close(layer(z * np.exp(0.7j)), layer(z) * np.exp(0.7j))


@DTYPES
@NORMS
@pytest.mark.parametrize("kind", ["zero", "real", "one phase", "large"])
def test_vectors_without_spread_have_finite_outputs_and_gradients(norm, kind, dtype):
    x = {
        "zero": torch.zeros(5, 4, dtype=dtype),
        "real": numbers(5, 4, dtype=dtype).real + 0j,
        "one phase": numbers(5, 4, dtype=dtype).real * 300 * np.exp(0.3j),
        "large": numbers(5, 4, dtype=dtype) * 1e6,
    }[kind].to(dtype)
    x.requires_grad_()
    layer = norm(4, dtype=dtype)
    y = layer(x)
    y.abs().pow(3).sum().backward()
    assert y.isfinite().all()
    assert y.abs().max() < 4
    for gradient in (x.grad, *(p.grad for p in layer.parameters())):
        assert gradient.isfinite().all()


@NORMS
def test_normalisations_stack(norm):
    assert_agrees(lambda: norm(4, dtype=C128), Stack, (5, 2, 4), C128, TOLERANCE[C128])


def attention(layer, x):
    """softmax(Re(Q K*ᵀ)/√d) V of each head of one image's vectors x [patches, width]."""
    q, k, v = (x @ layer.in_proj_weight.mT + layer.in_proj_bias).chunk(3, dim=-1)
    heads = []
    for h in range(layer.num_heads):
        of_head = slice(h * layer.head_dim, (h + 1) * layer.head_dim)
        q_h, k_h = layer.q_norm(q[:, of_head]), layer.k_norm(k[:, of_head])
        scores = (q_h @ k_h.mH).real / layer.head_dim**0.5
        heads.append(scores.exp() / scores.exp().sum(-1, keepdim=True) + 0j)
        heads[-1] = heads[-1] @ v[:, of_head]
    return torch.cat(heads, dim=-1) @ layer.out_proj.weight.mT + layer.out_proj.bias


@pytest.mark.parametrize("normalisation", ["layer", "rms"])
def test_it_is_the_formulas_written_out(normalisation):
    model = built((2, 8, 12), normalisation=normalisation)
    x = numbers(2, 2, 8, 12)
    for image, output in zip(x, model(x), strict=True):
        patches = [image[:, top : top + 4, left : left + 4] for top in (0, 4) for left in (0, 4, 8)]
        w, b = model.embedding.weight, model.embedding.bias
        vectors = torch.stack([(w * patch).sum(dim=(1, 2, 3)) + b for patch in patches])
        vectors = vectors + model.position
        for layer in model.layers:
            vectors = vectors + attention(layer.attn, layer.norm1(vectors))
            y = vectors
            for inner in layer.ffn:
                y = inner(y)
            vectors = vectors + y
        mean = model.norm(vectors).mean(dim=0)
        expected = mean @ model.head.weight.T + model.head.bias
        torch.testing.assert_close(output, expected, rtol=1e-11, atol=1e-12)


@DTYPES
@pytest.mark.parametrize("shape", [(8, 8), (3, 4, 12)])
def test_an_image_has_one_vector_of_outputs_whatever_the_others_are(shape, dtype):
    model = built(shape, dtype=dtype)
    x = numbers(5, *shape, dtype=dtype)
    y = model(x)
    assert (y.shape, y.dtype) == ((5, 3), dtype)
    torch.testing.assert_close(model(x[2:3]), y[2:3])


def test_it_is_purely_complex_with_rms_norm_alone():
    kinds = [
        count_parameters(built(normalisation=name).parameters()).kind for name in ("rms", "layer")
    ]
    assert kinds == ["purely complex", "mixed"]


def test_each_of_its_maps_has_the_variance_of_its_own_shape():
    torch.manual_seed(0)
    model = Vit((32, 32), 10, width=128, heads=4, mlp_width=256, dtype=C128)
    attn, ffn = model.layers[0].attn, model.layers[0].ffn
    weights = {
        model.embedding.weight: 2 / (16 + 16 * 128),
        model.position: 2 / (64 + 128),
        attn.out_proj.weight: 2 / 256,
        ffn[1].weight: 2 / 384,
        ffn[5].weight: 2 / 384,
    }
    for weight in attn.in_proj_weight.chunk(3):
        weights[weight] = 2 / 256
    for weight, variance in weights.items():
        assert weight.abs().square().mean().item() == pytest.approx(variance, rel=0.06)
    for name, parameter in model.named_parameters():
        assert not name.endswith("bias") or not parameter.any()


def test_dropout_is_for_training_alone():
    model = built(dropout=0.4)
    x = numbers(2, 8, 12)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), built().eval()(x))


@pytest.mark.parametrize("options", [{}, {"normalisation": "rms", "activation": "modReLU"}])
def test_a_stack_is_its_members(options):
    assert_stacks(lambda: Vit((8, 8), 3, **SMALL, **options, dtype=C128), numbers(4, 8, 8))


def test_a_member_of_a_stack_has_the_masks_it_has_alone():
    def make():
        return Vit((8, 8), 3, **SMALL, dropout=0.3, dtype=C128)

    assert_agrees(make, Stack, (4, 8, 8), C128, 1e-11)


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((8, 6), {}, "patch_size=4: should divide height and width of the images, 8×6"),
        ((8, 8), {"patch_size": 0}, "patch_size=0: should divide height and width"),
        ((8, 8), {"heads": 4}, "width=6: should be a multiple of heads=4"),
        ((8, 8), {"heads": 0}, "width=6: should be a multiple of heads=0"),
        ((8, 8), {"heads": 6}, "heads=6: should be less than width=6, as layer norm makes 0"),
        ((8, 8), {"layers": 0}, "layers=0: should be at least 1"),
        ((8, 8), {"dropout": 1.0}, r"dropout=1\.0: should be at least 0 and less than 1"),
        ((8, 8), {"normalisation": "batch"}, "normalisation=batch: should be one of layer, rms"),
        ((8, 8), {"activation": "gelu"}, "activation=gelu: should be one of Cardioid"),
        ((8, 8), {"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64"),
        ((8,), {}, r"input_shape=\[8\]: should be that of images"),
    ],
)
def test_what_makes_no_network_is_refused(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        built(shape, **arguments)


def test_what_does_not_fit_is_a_line():
    with pytest.raises(InputError, match="model: Vit refuses its arguments: patch_size=3: should"):
        cvtrain.configure("model=vit", "model.patch_size=3")


def test_both_engines_train_it_to_the_same_weights(tmp_path):
    small = ["model.layers=1", "model.heads=2", "model.width=16", "model.mlp_width=5"]
    assert_engines_agree(tmp_path, "model=vit", "model.dropout=0.1", *small)
