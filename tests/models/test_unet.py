"""The U-Net: what goes down and across, sizes, and images corrected."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import cvtrain
from cvtrain.models.parameters import cast_parameters, count_parameters
from cvtrain.models.unet import Unet
from cvtrain.process.errors import InputError
from tests.models.member_networks import C128, assert_engines_agree, assert_stacks

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)


def images(*shape: int, dtype: torch.dtype = C128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def built(*args, **options) -> Unet:
    torch.manual_seed(0)
    return Unet(*args, **{"channels": (2, 3, 4), "dtype": C128} | options)


@DTYPES
@pytest.mark.parametrize("shape", [(8, 12), (3, 4, 8)])
def test_every_pixel_has_outputs(shape, dtype):
    model = built(shape, 5, dtype=dtype)
    y = model(images(2, *shape, dtype=dtype))
    assert (y.shape, y.dtype) == ((2, 5, *shape[-2:]), dtype)


def test_each_depth_halves_the_image_and_hands_its_features_across():
    model, seen = built((16, 8), 5), []
    for block in (*model.layers.contracting, *reversed(model.layers.expanding)):
        block.register_forward_hook(
            lambda _, x, y: seen.append((tuple(x[0].shape[1:]), tuple(y.shape[1:])))
        )
    model(images(2, 16, 8))
    assert seen == [
        ((1, 16, 8), (2, 16, 8)),
        ((2, 8, 4), (3, 8, 4)),
        ((3, 4, 2), (4, 4, 2)),
        ((3 + 4, 8, 4), (3, 8, 4)),
        ((2 + 3, 16, 8), (2, 16, 8)),
    ]


def four_real(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    def real(a: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return F.conv2d(a, w, padding=layer.padding)

    w, b = layer.weight, layer.bias.reshape(-1, 1, 1)
    re = real(x.real, w.real) - real(x.imag, w.imag)
    im = real(x.real, w.imag) + real(x.imag, w.real)
    return torch.complex(re, im) + b


def test_it_is_real_convolutions_pooled_and_repeated():
    model = built((4, 6), 3, channels=(2, 3), normalisation="none")
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)

    def block(x, layers):
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                x = four_real(x, layer)
                x = torch.complex(x.real.relu(), x.imag.relu())
        return x

    x = images(2, 1, 4, 6)
    down, deep = model.layers.contracting
    across = block(x, down)
    pooled = across.reshape(2, 2, 2, 2, 3, 2).mean(dim=(3, 5))
    up = block(pooled, deep).repeat_interleave(2, -1).repeat_interleave(2, -2)
    features = block(torch.cat((across, up), dim=1), model.layers.expanding[0])
    expected = four_real(features, model.layers.head)
    torch.testing.assert_close(model(x[:, 0]), expected, rtol=1e-12, atol=1e-12)


def test_a_residual_one_corrects_the_image():
    plain, residual = built((2, 8, 8), 2), built((2, 8, 8), 2, residual=True)
    x = images(3, 2, 8, 8)
    assert torch.equal(residual(x), plain(x) + x)
    nn.init.zeros_(residual.layers.head.weight)
    assert torch.equal(residual(x), x)


def test_all_its_parameters_are_complex_but_those_of_batch_norm():
    model = built((8, 8), 3, channels=(2, 3))
    kernels = [(1, 2), (2, 2), (2, 3), (3, 3), (2 + 3, 2), (2, 2)]
    convolutions = sum((9 * a + 1) * b for a, b in kernels) + (2 + 1) * 3
    normalised = sum(outputs for _, outputs in kernels)
    count = count_parameters(model.parameters())
    assert (count.complex, count.real) == (convolutions + normalised, 4 * normalised)


def test_a_network_in_single_precision_is_the_one_in_double_precision_rounded():
    x = images(2, 8, 8)
    model = built((8, 8), 3)
    y = model(x)
    cast_parameters(model, torch.complex64)
    torch.testing.assert_close(
        model(x.to(torch.complex64)), y.to(torch.complex64), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("activation", ["CReLU", "modReLU", "cardioid"])
def test_a_stack_is_its_members(activation):
    assert_stacks(
        lambda: Unet((8, 8), 2, channels=(2, 3), activation=activation, dtype=C128), images(3, 8, 8)
    )


@pytest.mark.parametrize(
    ("shape", "outputs", "given", "message"),
    [
        (
            (8, 6),
            3,
            {},
            r"channels=\[2, 3, 4\]: should be fewer; images of 8×6 cannot be halved 2 times",
        ),
        ((8, 8), 3, {"channels": ()}, r"channels=\[\]: should be at least one"),
        (
            (8, 8),
            3,
            {"residual": True},
            "residual=True: should be false where 3 outputs would be added to images of 1",
        ),
        ((8,), 3, {}, r"input_shape=\[8\]: should be that of images"),
        ((8, 8), 3, {"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64"),
        ((8, 8), 3, {"normalisation": "layer"}, "normalisation=layer: should be one of none"),
    ],
)
def test_what_makes_no_network_is_refused(shape, outputs, given, message):
    with pytest.raises(ValueError, match=message):
        built(shape, outputs, **given)


def test_data_with_one_label_for_all_pixels_are_refused():
    with pytest.raises(InputError, match=r"it returns shape \[4, 10, 8, 8\], should be \[4, 10\]"):
        cvtrain.configure("data=digits_fft", "model=unet")


@pytest.mark.parametrize("model", ["unet", "real_unet"])
def test_both_engines_train_it_to_segment_with_the_same_weights(tmp_path, model):
    arguments = [
        "data=speckle",
        "data.size=8",
        "data.train_samples=32",
        "data.validation_samples=8",
    ]
    assert_engines_agree(tmp_path, *arguments, f"model={model}", "model.channels=[2,3]")
