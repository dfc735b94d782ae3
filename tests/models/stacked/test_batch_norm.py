"""Batch norm in a stack of members under vmap: each is what it is when run alone."""

import pytest
import torch
import torchcvnn.nn as cnn
from torch import nn

from cvtrain.models.parameters import cast_parameters
from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.network import stackable
from tests.models.member_networks import (
    C128,
    COMPLEX,
    KINDS,
    REAL,
    SEEDS,
    TOLERANCE,
    K,
    Loop,
    assert_agrees,
    assert_near,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def with_unit_affine(layer):
    """The affine map torchcvnn cannot do without, as one that does nothing."""
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2).expand_as(layer.weight))
        layer.bias.zero_()
    return layer


@KINDS
@COMPLEX
@pytest.mark.parametrize(
    ("layer", "shape", "options"),
    [
        (cnn.BatchNorm1d, (7, 3), {}),
        (cnn.BatchNorm1d, (7, 3, 5), {"momentum": 0.7, "eps": 1e-2}),
        (cnn.BatchNorm2d, (4, 3, 5, 2), {"momentum": 0.3}),
        (cnn.BatchNorm2d, (4, 1, 5, 2), {"track_running_stats": False}),
    ],
)
def test_complex_batch_norm_has_torchcvnns_numbers(layer, shape, options, dtype, kind):
    assert_agrees(lambda: layer(shape[1], **options), kind, shape, dtype, TOLERANCE[dtype])


@KINDS
@COMPLEX
@pytest.mark.parametrize(
    ("layer", "shape"), [(cnn.BatchNorm1d, (7, 3)), (cnn.BatchNorm2d, (4, 3, 5, 2))]
)
def test_complex_batch_norm_without_affine_only_whitens(layer, shape, dtype, kind):
    networks = [layer(shape[1], affine=False) for _ in SEEDS]
    references = [with_unit_affine(layer(shape[1])) for _ in SEEDS]
    for network in (*networks, *references):
        cast_parameters(network, dtype)
    plain, tested = Loop(references), kind(networks)
    for training in (True, True, False):
        xs = torch.randn(1, *shape, dtype=dtype).expand(K, *shape)
        plain.train(training)
        tested.train(training)
        assert_near(tested(xs), plain(xs), TOLERANCE[dtype])


def test_complex_batch_norm_in_doubles_rounds_epsilon_as_torchcvnn_does():
    network = cnn.BatchNorm1d(2)
    cast_parameters(network, C128)
    x = 1e-3 * torch.randn(6, 2, dtype=C128)
    assert_near(stackable(network, MemberGenerators([0]))(x), network(x), 1e-12)


@KINDS
@REAL
@pytest.mark.parametrize("momentum", [0.3, None])
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.BatchNorm1d, (7, 3)), (nn.BatchNorm2d, (4, 3, 5, 2))]
)
def test_real_batch_norm_has_torchs_numbers(layer, shape, momentum, dtype, kind):
    assert_agrees(lambda: layer(shape[1], momentum=momentum), kind, shape, dtype, TOLERANCE[dtype])
