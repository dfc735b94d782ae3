"""Convolutional classifiers: torchcvnn's example layer by layer, and what residual blocks are."""

from __future__ import annotations

import pytest
import torch
import torchcvnn.nn as c_nn
from torch import nn

import cvtrain
from cvtrain.models.cnn import Cnn
from cvtrain.models.convolution import convolution
from cvtrain.models.resnet import ResidualBlock, ResNet
from cvtrain.process.errors import InputError
from tests.models.member_networks import assert_engines_agree

DTYPE = torch.complex128


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=DTYPE, generator=torch.Generator().manual_seed(0))


def mnist_example() -> nn.Sequential:
    """The network that torchcvnn's examples/mnist.py trains."""

    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1, dtype=DTYPE),
            c_nn.Cardioid(),
            nn.Conv2d(outputs, outputs, 3, padding=1, dtype=DTYPE),
            c_nn.Cardioid(),
            c_nn.AvgPool2d(kernel_size=2, stride=2, padding=0),
        ]

    head = [nn.Linear(576, 124, dtype=DTYPE), c_nn.Cardioid(), nn.Linear(124, 10, dtype=DTYPE)]
    return nn.Sequential(*block(1, 16), *block(16, 32), *block(32, 64), nn.Flatten(), *head)


def layer_outputs(layers: list[nn.Module], x: torch.Tensor) -> list[torch.Tensor]:
    outputs = []
    for layer in layers:
        x = layer(x)
        outputs.append(x)
    return outputs


def test_the_defaults_are_torchcvnns_mnist_network_layer_by_layer():
    theirs, ours = mnist_example(), Cnn((28, 28), 10, dtype=DTYPE)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = images(5, 28, 28)
    expected = layer_outputs(list(theirs), x.unsqueeze(1))
    outputs = layer_outputs([*ours.blocks, nn.Flatten(), *ours.head], x.unsqueeze(1))
    assert len(expected) == len(outputs)
    for theirs_there, ours_there in zip(expected, outputs, strict=True):
        torch.testing.assert_close(ours_there, theirs_there, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(ours(x).abs(), c_nn.Mod()(expected[-1]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_complex_convolution_is_four_real_ones(stride):
    layer = convolution(2, 3, stride=stride, initialisation="glorot", dtype=DTYPE)
    x = images(4, 2, 7, 6)

    def real(a: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(a, w, stride=stride, padding=1)

    w = layer.weight
    re = real(x.real, w.real) - real(x.imag, w.imag)
    im = real(x.real, w.imag) + real(x.imag, w.real)
    torch.testing.assert_close(layer(x), torch.complex(re, im))


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size=4: should be odd"):
        convolution(1, 1, kernel_size=4, initialisation="glorot", dtype=DTYPE)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 3, 1), (3, 5, 1), (3, 5, 2)])
def test_a_residual_block_without_residual_is_its_shortcut(inputs, outputs, stride):
    block = ResidualBlock(
        inputs,
        outputs,
        stride=stride,
        activation="CReLU",
        initialisation="he",
        normalisation="none",
        dtype=DTYPE,
    )
    nn.init.zeros_(block.residual[-1].weight)
    x = images(2, inputs, 6, 6)
    shortcut = x if (inputs, stride) == (outputs, 1) else block.shortcut(x)
    assert torch.equal(block(x), c_nn.CReLU()(shortcut))
    assert block(x).shape == (2, outputs, 6 // stride, 6 // stride)


def test_every_stage_but_the_first_halves_the_image():
    sizes = []
    model = ResNet((9, 8), 4, channels=(2, 3, 4), blocks=2, dtype=DTYPE)
    for layer in model.layers:
        if isinstance(layer, ResidualBlock):
            layer.register_forward_hook(lambda _, __, y: sizes.append(tuple(y.shape[1:])))
    assert model(images(3, 9, 8)).shape == (3, 4)
    assert sizes == [(2, 9, 8)] * 2 + [(3, 5, 4)] * 2 + [(4, 3, 2)] * 2


@pytest.mark.parametrize("model", ["cnn", "resnet"])
def test_both_engines_train_it_to_the_same_weights(tmp_path, model):
    small = {"cnn": ("model.channels=[2,3]", "model.hidden=5"), "resnet": ("model.channels=[2,3]",)}
    assert_engines_agree(tmp_path, f"model={model}", *small[model])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["model=cnn", "model.channels=[2,2,2,2]"], "images of 8×8 cannot be halved 4 times"),
        (["model=resnet", "model.channels=[]"], "channels=[]: should be at least one"),
        (
            ["model=cnn", "data=system_id", "objective=complex_mse"],
            "input_shape=[8]: should be that of images",
        ),
        (["model=resnet", "model.activation=relu"], "activation=relu: should be one of"),
    ],
)
def test_what_makes_no_network_is_a_line(given, message):
    with pytest.raises(InputError) as refused:
        cvtrain.configure(*given)
    assert message in str(refused.value)
