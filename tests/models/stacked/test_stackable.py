"""A stack of members under vmap: each is what it is when run alone."""

import pytest
import torch
import torchcvnn.nn as cnn
from torch import nn

from cvtrain.models.activation import ACTIVATIONS, activation
from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.network import stackable
from tests.models.member_networks import (
    C64,
    C128,
    KINDS,
    Attention,
    K,
    Scaled,
    Stack,
    assert_agrees,
    assert_same_bits,
    members,
    network,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class OwnForward(nn.Dropout):
    def forward(self, x):
        return 2 * x


@KINDS
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Linear(3, 4, dtype=C128), (5, 3)),
        (lambda: nn.Conv1d(3, 4, 3, padding=1, dtype=C128), (5, 3, 6)),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1, dtype=C128), (5, 3, 6, 6)),
        (lambda: nn.Conv2d(4, 4, 3, groups=2, bias=False, dtype=C128), (5, 4, 5, 5)),
        (lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, dtype=C128), (5, 3, 4, 4)),
        (lambda: cnn.ConvTranspose2d(3, 2, 3, stride=2), (5, 3, 4, 4)),
        (lambda: cnn.LayerNorm((2, 4)), (5, 2, 4)),
        (lambda: cnn.RMSNorm(4), (5, 2, 4)),
        (lambda: Attention(cnn.LayerNorm), (5, 3, 4)),
        (lambda: Attention(cnn.RMSNorm), (5, 3, 4)),
        (lambda: Attention(cnn.RMSNorm, dropout=0.3), (5, 3, 4)),
        (lambda: cnn.TransformerEncoderLayer(4, 2, 8, dropout=0.2), (5, 3, 4)),
        (lambda: nn.Sequential(Scaled(), cnn.MaxPool2d(2)), (2, 3, 4, 4)),
        (lambda: nn.Sequential(Scaled(), cnn.AvgPool2d(2, 2, 0)), (2, 3, 4, 4)),
        (network, (4, 2, 5, 5)),
    ],
)
def test_other_layers_agree_with_a_loop(make, shape, kind):
    assert_agrees(make, kind, shape, C128, 1e-10)


@pytest.mark.parametrize("make", [activation, lambda name: getattr(cnn, name)()])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_a_loop(make, name):
    assert_agrees(lambda: nn.Sequential(Scaled(), make(name)), Stack, (5, 4), C128, 1e-10)


def test_a_nan_stays_with_its_member_and_raises_nothing():
    def run(poison):
        stack = Stack(members(network, C64))
        stack.parameters["0.weight"].data[1] *= poison
        xs = torch.randn(K, 4, 2, 5, 5, dtype=C64, generator=torch.Generator().manual_seed(0))
        ys = [stack(xs) for _ in range(2)]
        torch.stack(ys).abs().pow(3).sum().backward()
        stack.train(False)
        gradients = {f"{name}.grad": tensor for name, tensor in stack.gradients().items()}
        return {"y": ys[-1], "evaluated": stack(xs)} | gradients | stack.buffers

    healthy, poisoned = run(1.0), run(torch.nan)
    for name, expected in healthy.items():
        for k in (0, 2):
            assert_same_bits(poisoned[name][k], expected[k])
    for name in ("y", "evaluated", "0.weight.grad", "1.running_mean", "1.running_var"):
        assert poisoned[name][1].isnan().any()
        assert not healthy[name].isnan().any()


def test_the_running_statistics_of_a_plain_network_diverge_with_an_error():
    with pytest.raises(RuntimeError, match="Running mean divergence"):
        network()(torch.full((4, 2, 5, 5), torch.nan, dtype=C64))


def test_a_state_dict_goes_from_a_member_to_the_plain_network_and_back():
    plain, other = network(), network()
    adapted = stackable(plain, MemberGenerators([0]))
    adapted(torch.randn(4, 2, 5, 5, dtype=C64))
    state = adapted.state_dict()
    assert list(state) == list(plain.state_dict())
    assert [name for name, _ in adapted.named_modules()] == [n for n, _ in plain.named_modules()]
    other.load_state_dict(state)
    adapted.load_state_dict(plain.state_dict())
    assert not torch.equal(other[1].running_mean, plain[1].running_mean)
    assert_same_bits(adapted[1].running_mean, plain[1].running_mean)


def test_the_network_itself_is_left_as_it_was():
    plain = network()
    adapted = stackable(plain, MemberGenerators([0]))
    assert type(plain[1]) is cnn.BatchNorm2d
    assert type(adapted[1]) is not cnn.BatchNorm2d
    assert isinstance(adapted[1], cnn.BatchNorm2d)
    assert {id(p) for p in adapted.parameters()}.isdisjoint(id(p) for p in plain.parameters())


def test_a_network_that_is_stackable_may_be_given_other_generators():
    once = stackable(nn.Dropout(0.5), MemberGenerators([0]))
    y = stackable(once, MemberGenerators([3]))(torch.ones(64))
    assert_same_bits(y, stackable(nn.Dropout(0.5), MemberGenerators([3]))(torch.ones(64)))


def test_a_forward_of_ones_own_is_kept():
    x = torch.ones(8)
    assert_same_bits(stackable(OwnForward(0.5), MemberGenerators([0]))(x), 2 * x)
