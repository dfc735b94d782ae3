"""Maximal update: factors in the forward pass are learning rates per layer, and a learning rate
then changes every layer's features by as much at any width."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from cvtrain.models.mixed_mlp import MixedMlp
from cvtrain.models.mlp import Mlp
from cvtrain.models.parametrisation import ScaledLinear, width_factors

DTYPE = torch.complex128
BASE = 16


def mixed(parametrisation, width, **arguments):
    torch.manual_seed(0)
    return MixedMlp(
        8,
        3,
        hidden=(width, width),
        initialisation="he",
        parametrisation=parametrisation,
        reference_width=BASE,
        dtype=DTYPE,
        **arguments,
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(32, 8, dtype=DTYPE, generator=generator)
    return inputs, torch.randint(3, (32,), generator=generator)


def stepped(network, optimizer, steps=1):
    """The network after some steps on the one batch."""
    inputs, labels = batch()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return network


def linear_layers(network):
    """Name, layer and its factors of weight and bias, in a network of either parametrisation."""
    for module in (*network.trunk, network.head):
        if isinstance(module, ScaledLinear):
            yield module.layer, module.of_input * module.of_output, module.of_output
        elif hasattr(module, "weight"):
            yield module, 1.0, 1.0


@pytest.mark.parametrize("parametrisation", ["mup_sgd", "mup_adam"])
@pytest.mark.parametrize("network", [Mlp, MixedMlp])
def test_at_the_reference_width_it_is_the_standard_network(parametrisation, network):
    made = []
    for name in ("standard", parametrisation):
        torch.manual_seed(0)
        arguments = {"hidden": (16, 16), "initialisation": "he", "reference_width": 16}
        made.append(network(8, 3, **arguments, parametrisation=name, dtype=DTYPE))
    plain, scaled = made
    assert all(map(torch.equal, plain.state_dict().values(), scaled.state_dict().values()))
    assert torch.equal(plain(batch()[0]), scaled(batch()[0]))


@pytest.mark.parametrize(
    ("parametrisation", "rates"),
    [
        # Yang et al. 2022, table 3, for a width of 4 times the base: of weight and bias.
        ("mup_sgd", [(4, 4), (1, 4), (1 / 4, 1)]),
        ("mup_adam", [(1, 1), (1 / 4, 1), (1 / 4, 1)]),
    ],
)
def test_its_factors_are_learning_rates_of_layers(parametrisation, rates):
    """A step of one learning rate is a step of the weights as they act with a rate per layer."""
    scaled, plain = mixed(parametrisation, 4 * BASE), mixed("standard", 4 * BASE)
    with torch.no_grad():
        for (own, weight, bias), (acting, _, _) in zip(
            linear_layers(scaled), linear_layers(plain), strict=True
        ):
            acting.weight.copy_(weight * own.weight)
            acting.bias.copy_(bias * own.bias)
    lr = 0.01
    groups = [{"params": [plain.trunk[1].b, plain.trunk[3].b], "lr": lr}]
    for (layer, _, _), (of_weight, of_bias) in zip(linear_layers(plain), rates, strict=True):
        groups.append({"params": [layer.weight], "lr": lr * of_weight})
        groups.append({"params": [layer.bias], "lr": lr * of_bias})
    if parametrisation == "mup_sgd":
        rules = [torch.optim.SGD(p, lr=lr, momentum=0.5) for p in (scaled.parameters(), groups)]
    else:
        rules = [torch.optim.Adam(p, lr=lr, eps=1e-30) for p in (scaled.parameters(), groups)]
    stepped(scaled, rules[0], steps=3)
    stepped(plain, rules[1], steps=3)
    for (own, weight, bias), (acting, _, _) in zip(
        linear_layers(scaled), linear_layers(plain), strict=True
    ):
        torch.testing.assert_close(weight * own.weight, acting.weight, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(bias * own.bias, acting.bias, rtol=1e-9, atol=1e-12)


def test_weights_begin_with_the_deviations_of_maximal_update():
    """E|w|² of what acts: as in the standard network, but for the output's, which is 1/m of it."""
    for parametrisation in ("mup_sgd", "mup_adam"):
        scaled, plain = mixed(parametrisation, 16 * BASE), mixed("standard", 16 * BASE)
        ratios = [
            float(
                (weight * own.weight).detach().abs().square().mean()
                / layer.weight.detach().abs().square().mean()
            )
            for (own, weight, _), (layer, _, _) in zip(
                linear_layers(scaled), linear_layers(plain), strict=True
            )
        ]
        assert ratios == pytest.approx([1, 1, 1 / 16])


def features_moved(parametrisation, width):
    """How far a step of SGD moves the last hidden features, root mean square."""
    network = mixed(parametrisation, width, activation="cardioid")
    inputs, _ = batch()
    before = network.trunk(inputs).detach()
    stepped(network, torch.optim.SGD(network.parameters(), lr=0.05))
    return float((network.trunk(inputs).detach() - before).abs().square().mean().sqrt())


def test_a_step_moves_features_alike_at_any_width():
    widths = (64, 256, 1024)
    moved = {
        name: [math.log2(features_moved(name, width)) for width in widths]
        for name in ("standard", "mup_sgd")
    }
    slopes = {name: [(b - a) / 2 for a, b in pairwise(values)] for name, values in moved.items()}
    assert all(abs(slope) < 0.15 for slope in slopes["mup_sgd"]), slopes
    assert all(slope > 0.3 for slope in slopes["standard"]), slopes


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"parametrisation": "ntk"}, "parametrisation=ntk: should be one of standard, mup_sgd"),
        (
            {"parametrisation": "mup_sgd", "initialisation": "glorot"},
            "initialisation=glorot: should be he for parametrisation=mup_sgd",
        ),
        (
            {"parametrisation": "mup_adam", "initialisation": "he", "normalisation": "batch"},
            "normalisation=batch: should be none for parametrisation=mup_adam",
        ),
        ({"reference_width": 0}, "reference_width=0: should be at least 1"),
    ],
)
def test_what_maximal_update_does_not_cover_is_refused(bad, message):
    for network in (Mlp, MixedMlp):
        with pytest.raises(ValueError, match=message):
            network(8, 3, **bad, dtype=DTYPE)


def test_the_standard_parametrisation_has_no_factors():
    assert width_factors("standard", 4.0, 4.0) == width_factors("mup_sgd", 1.0, 1.0)
