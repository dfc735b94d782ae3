"""Real twins of complex networks: as many real numbers, the same architecture, real layers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import nn

import cvtrain
from cvtrain.models.activation import ACTIVATIONS, activation
from cvtrain.models.cnn import Cnn
from cvtrain.models.initialisation import initialise_
from cvtrain.models.mlp import Mlp
from cvtrain.models.parameters import cast_parameters, count_parameters
from cvtrain.models.real_cnn import RealCnn
from cvtrain.models.real_mlp import RealMlp
from cvtrain.models.real_resnet import RealResNet
from cvtrain.models.real_twin import matched_widths, nearest_widths
from cvtrain.models.real_unet import RealUnet
from cvtrain.models.resnet import ResNet
from cvtrain.models.unet import Unet
from cvtrain.process.errors import InputError
from tests.models.member_networks import C128, assert_engines_agree, assert_stacks

DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
SMALL = {
    "mlp": (RealMlp, 64, {"hidden": (6, 5)}),
    "cnn": (RealCnn, (8, 8), {"channels": (2, 3), "hidden": 5}),
    "resnet": (RealResNet, (8, 8), {"channels": (2, 3), "blocks": 1}),
    "unet": (RealUnet, (8, 8), {"channels": (2, 3)}),
}
TWINS = pytest.mark.parametrize("name", SMALL)


def images(*shape: int, dtype: torch.dtype = C128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def small(name: str, dtype: torch.dtype = C128, **options) -> nn.Module:
    twin, inputs, arguments = SMALL[name]
    return twin(inputs, 3, **arguments | options, dtype=dtype)


def degrees_of_freedom(model: nn.Module) -> int:
    return count_parameters(model.parameters()).real_degrees_of_freedom


@pytest.mark.parametrize("output", ["real", "complex"])
@pytest.mark.parametrize(
    ("network", "twin", "inputs", "given"),
    [
        (Mlp, RealMlp, 64, {}),
        (Mlp, RealMlp, 64, {"hidden": (32,)}),
        (Mlp, RealMlp, 8, {"hidden": (90, 30, 60), "normalisation": "batch"}),
        (Mlp, RealMlp, 64, {"activation": "zLeakyReLU"}),
        (Cnn, RealCnn, (8, 8), {}),
        (Cnn, RealCnn, (3, 28, 28), {"channels": (8, 16), "activation": "modReLU"}),
        (ResNet, RealResNet, (8, 8), {}),
        (Unet, RealUnet, (2, 16, 16), {}),
    ],
)
def test_a_twin_has_the_real_degrees_of_freedom_of_the_complex_network_within_two_per_cent(
    network, twin, inputs, given, output
):
    wanted = degrees_of_freedom(network(inputs, 10, **given, dtype=torch.complex64))
    model = twin(inputs, 10, **given, output=output, dtype=torch.complex64)
    assert count_parameters(model.parameters()).kind == "real"
    assert degrees_of_freedom(model) == pytest.approx(wanted, rel=0.02)


def test_wide_hidden_layers_are_scaled_by_the_root_of_two_and_wide_inputs_not_at_all():
    def width(inputs, *hidden):
        return RealMlp(inputs, 1, hidden=hidden, dtype=torch.complex64).layers[0].out_features

    assert width(1, 500, 500, 500) == pytest.approx(500 * 2**0.5, rel=0.005)
    assert width(10_000, 50) == 50


def test_a_degree_of_freedom_is_met_exactly_where_whole_widths_can():
    assert nearest_widths((8,), 33, lambda w: 3 * w[0]) == (11,)
    assert nearest_widths((4, 4, 4), 17, sum) == (6, 6, 5)
    assert nearest_widths((), 17, sum) == ()


@drawn(widths=st.lists(st.integers(1, 40), min_size=1, max_size=4), wanted=st.integers(1, 5000))
@settings(max_examples=50, deadline=None)
def test_no_factor_comes_nearer(widths, wanted):
    def count(found):
        return sum(a * b for a, b in zip(found, (3, *found[:-1]), strict=True)) + sum(found)

    found = abs(count(nearest_widths(widths, wanted, count)) - wanted)
    for step in range(1, 400):
        # By no rational factor, at which several widths may be rounded to even halves at once.
        scaled = tuple(max(1, round(step * math.pi / 60 * width)) for width in widths)
        assert found <= abs(count(scaled) - wanted)


def test_matching_draws_nothing():
    before = torch.get_rng_state()
    arguments = {"in_features": 5, "out_features": 2, "hidden": (7, 7), "dtype": torch.complex64}
    widths = matched_widths(Mlp, RealMlp, ("hidden",), output="complex", **arguments)
    assert torch.equal(torch.get_rng_state(), before)
    assert set(widths) == {"hidden"}
    torch.manual_seed(3)
    matched = RealMlp(**arguments, output="complex")
    torch.manual_seed(3)
    twin = RealMlp(**arguments | widths, output="complex", matched=False)
    for name, weight in twin.state_dict().items():
        assert torch.equal(matched.state_dict()[name], weight)


@DTYPES
@TWINS
def test_outputs_are_real_logits_or_pairs_of_them(name, dtype):
    x = images(4, 8, 8, dtype=dtype)
    shape = (4, 3, 8, 8) if name == "unet" else (4, 3)
    for output, kind in (("real", dtype.to_real()), ("complex", dtype)):
        model = small(name, dtype, output=output)
        y = model(x)
        assert (y.shape, y.dtype) == (shape, kind)
        assert {parameter.dtype for parameter in model.parameters()} == {dtype.to_real()}


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_an_mlp_is_real_layers_on_re_and_im(normalisation):
    model = RealMlp(6, 2, hidden=(5,), normalisation=normalisation, output="complex", dtype=C128)
    width = model.layers[0].out_features
    norm = [nn.BatchNorm1d(width)] if normalisation == "batch" else []
    twin = nn.Sequential(nn.Linear(12, width), *norm, nn.ReLU(), nn.Linear(width, 4)).double()
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in twin]
    twin.load_state_dict(model.layers.state_dict())
    x = images(7, 2, 3)
    y = twin(torch.cat((x.real.flatten(1), x.imag.flatten(1)), dim=1))
    torch.testing.assert_close(model(x), torch.complex(y[:, :2], y[:, 2:]))


def test_a_cnn_has_re_and_im_as_channels():
    model = small("cnn")
    x = images(3, 8, 8)
    features = torch.stack((x.real, x.imag), dim=1)
    for layer in (*model.blocks, nn.Flatten(), *model.head):
        assert not any(p.is_complex() for p in layer.parameters())
        features = layer(features)
    assert torch.equal(model(x), features)


@TWINS
def test_the_architecture_is_that_of_the_complex_network(name):
    network = {"mlp": Mlp, "cnn": Cnn, "resnet": ResNet, "unet": Unet}[name]
    twin, inputs, arguments = SMALL[name]
    arguments = arguments | {"activation": "CReLU", "normalisation": "batch", "dtype": C128}
    theirs = network(inputs, 3, **arguments).state_dict()
    ours = twin(inputs, 3, **arguments, matched=False).state_dict()
    assert list(ours) == list(theirs)
    kernels = [key for key, weight in ours.items() if weight.dim() >= 2]
    for key in kernels:
        out, into, *size = theirs[key].shape
        assert list(ours[key].shape) == [out, into * (2 if key == kernels[0] else 1), *size]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_a_real_counterpart(name):
    real, complex_one = activation(name, torch.float64), activation(name)
    for module in (real, complex_one):
        cast_parameters(module, C128)
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    y = real(x)
    assert y.dtype == torch.float64
    if name == "modReLU":
        assert torch.equal(y, x.relu())
    elif name in ("Cardioid", "zReLU", "zLeakyReLU"):
        # As the complex one along the diagonal in the first and the third quadrant, but for
        # cardioid, which is meant on the real axis.
        direction = 1 if name == "Cardioid" else 1 + 1j
        torch.testing.assert_close(complex_one(x * direction), y * direction)
    else:
        z = torch.complex(x, x.flip(0))
        torch.testing.assert_close(complex_one(z), torch.complex(y, y.flip(0)))


@pytest.mark.parametrize(("name", "variance"), [("glorot", 2 / (300 + 200)), ("he", 2 / 300)])
def test_real_weights_have_the_mean_square_of_complex_ones(name, variance):
    torch.manual_seed(0)
    w = torch.empty(200, 300, dtype=torch.float64)
    initialise_(w, name)
    assert w.square().mean().item() == pytest.approx(variance, rel=0.02)
    assert w.abs().max().item() == pytest.approx((3 * variance) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("output", ["real", "complex"])
@TWINS
def test_a_stack_is_its_members(name, output):
    assert_stacks(lambda: small(name, output=output, normalisation="batch"), images(4, 8, 8))


def test_a_residual_twin_corrects_the_image():
    model = RealUnet((2, 8, 8), 2, channels=(2, 3), residual=True, output="complex", dtype=C128)
    nn.init.zeros_(model.layers.head.weight)
    x = images(3, 2, 8, 8)
    assert torch.equal(model(x), x)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("mlp", {"output": "Complex"}, "output=Complex: should be one of real, complex"),
        ("mlp", {"hidden": (3, 0)}, r"widths \[3, 0\]: should be at least 1"),
        ("cnn", {"dtype": torch.float64}, "dtype=torch.float64: should be torch.complex64"),
        ("resnet", {"activation": "ReLU"}, "activation=ReLU: should be one of Cardioid"),
        ("unet", {"residual": True}, "residual=True: should be false where 3 outputs"),
        ("unet", {"initialisation": "lecun"}, "initialisation=lecun: should be one of glorot"),
    ],
)
def test_what_makes_no_twin_is_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        small(name, **given)


def test_a_real_residual_is_refused():
    with pytest.raises(ValueError, match="residual=True: images are complex, so it should be"):
        RealUnet((8, 8), 1, channels=(2, 3), residual=True, dtype=C128)


def test_both_engines_train_it_to_the_same_weights(tmp_path):
    assert_engines_agree(tmp_path, "model=real_mlp", "model.hidden=[6,5]")


def test_a_twin_regresses_on_complex_targets_if_it_is_told_to():
    arguments = ["data=system_id", "objective=complex_mse", "model=real_mlp"]
    with pytest.raises(InputError, match=r"it returns torch\.float32, should be complex"):
        cvtrain.configure(*arguments)
    assert (
        cvtrain.configure(*arguments, "model.output=complex").model.arguments["output"] == "complex"
    )
