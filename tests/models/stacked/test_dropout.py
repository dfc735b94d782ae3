"""Dropout in a stack of members under vmap: each draws what it draws when run alone."""

from functools import partial

import pytest
import torch
import torchcvnn.nn as cnn
from torch import nn
from torch.nn import functional as F

from cvtrain.models.stacked.generators import MemberGenerators
from cvtrain.models.stacked.network import stackable
from tests.models.member_networks import (
    C64,
    C128,
    F32,
    F64,
    KINDS,
    SEEDS,
    K,
    Loop,
    Scaled,
    Stack,
    assert_same_bits,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class FunctionalDropout(nn.Module):
    def __init__(self, p=0.5, func=F.dropout):
        super().__init__()
        self.p, self.func = p, func

    def forward(self, x):
        return self.func(input=x, p=self.p, training=self.training)


class AlwaysDropping(Scaled):
    def forward(self, x):
        return F.dropout(super().forward(x))


class Noisy(Scaled):
    def forward(self, x):
        return super().forward(x) + torch.randn_like(x)


class NoForward(nn.Dropout):
    pass


@KINDS
@pytest.mark.parametrize(
    ("layer", "shape", "dtype", "p"),
    [
        # 0.42: among float32, dividing by 1 − p is not the same as multiplying by its inverse.
        *((nn.Dropout, (7, 3), F32, p) for p in (0.0, 0.42, 0.5, 1.0)),
        (nn.Dropout, (5, 3, 2), F64, 0.42),
        (nn.Dropout1d, (4, 6, 5), F32, 0.42),
        (nn.Dropout1d, (24, 5), F64, 0.42),
        (nn.Dropout2d, (4, 6, 5, 2), F32, 0.42),
        (nn.Dropout3d, (4, 6, 2, 2, 2), F64, 0.42),
        (nn.Dropout3d, (24, 2, 2, 2), F32, 0.42),
        *((cnn.Dropout, (7, 3), C64, p) for p in (0.0, 0.42, 1.0)),
        (cnn.Dropout, (4, 3, 5), C128, 0.42),
        (cnn.Dropout2d, (4, 6, 5, 2), C64, 0.42),
        (cnn.Dropout2d, (4, 6, 5, 2), C128, 1.0),
        (NoForward, (7, 3), F32, 0.42),
        (FunctionalDropout, (7, 3), F32, 0.42),
        (partial(FunctionalDropout, func=F.dropout2d), (4, 6, 5, 2), F64, 0.42),
    ],
)
def test_dropout_has_the_bits_of_each_member_alone(layer, shape, dtype, p, kind):
    networks = [nn.Sequential(Scaled(), layer(p), layer(p)) for _ in SEEDS]
    plain, tested = Loop(networks), kind(networks)
    for training in (True, True, False, True):
        xs = torch.randn(1, *shape, dtype=dtype).expand(K, *shape)
        outputs = []
        for runs in (plain, tested):
            runs.train(training)
            outputs.append(runs(xs))
        assert_same_bits(outputs[1], outputs[0])
        assert_same_bits(tested.state(), plain.state())
        if training and 0 < p < 1:
            assert len({tuple((output == 0).flatten().tolist()) for output in outputs[1]}) == K


@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_in_place_is_in_place(inplace):
    x, alone = torch.ones(50), torch.ones(50)
    y = stackable(nn.Dropout(0.5, inplace), MemberGenerators([3]))(x)
    torch.manual_seed(3)
    assert_same_bits(y, nn.Dropout(0.5, inplace)(alone))
    assert (y is x) == inplace


def test_a_complex_input_of_torchs_dropout_keeps_both_parts():
    y = stackable(nn.Dropout(0.5), MemberGenerators([3]))(torch.full((40,), 1 + 2j))
    assert set(y.tolist()) == {0, 2 + 4j}


@pytest.mark.parametrize(
    ("seeds", "position"), [((5,), 0), ((5, 7, 9), 0), ((1, 5), 1), ((5, 5), 1)]
)
def test_a_members_masks_depend_on_its_seed_alone(seeds, position):
    def masks(seeds, position):
        network = nn.Sequential(Scaled(), nn.Dropout(0.5), cnn.Dropout(0.2))
        stack = Stack([network] * len(seeds), seeds)
        return torch.stack([stack(torch.ones(64), None)[position] for _ in range(3)])

    assert_same_bits(masks(seeds, position), masks((2, 3, 5, 8), 2))


def test_masks_continue_from_a_restored_state_and_repeat_after_seeding():
    stack = Stack([nn.Sequential(Scaled(), nn.Dropout(0.5))] * K)
    x = torch.ones(64)
    first, state, second = stack(x, None), stack.state(), stack(x, None)
    assert not torch.equal(first, second)
    stack.generators.restore(state)
    assert_same_bits(stack(x, None), second)
    stack.generators.seed(SEEDS)
    assert_same_bits(stack(x, None), first)
    assert state.dtype == torch.uint8
    other = MemberGenerators((0,) * K)
    other.restore(state)
    assert_same_bits(other.state(), state)


def test_masks_leave_torchs_global_state_alone():
    before = torch.get_rng_state()
    Stack([nn.Sequential(Scaled(), nn.Dropout(0.5))] * K)(torch.ones(64), None)
    assert_same_bits(torch.get_rng_state(), before)


def evaluated(network):
    stack = Stack([network] * K)
    stack(torch.ones(K, 8))
    stack.train(False)
    stack(torch.ones(K, 8))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stack([Noisy()] * K)(torch.ones(K, 8)), "random numbers by randn_like"),
        (lambda: evaluated(AlwaysDropping()), "draws masks of dropout in evaluation mode"),
        (lambda: Stack([nn.Dropout()] * K, (1, 2))(torch.ones(K, 8)), "over the 2 members"),
        (lambda: Stack([nn.Dropout()] * K).network(torch.ones(8)), "generators of 3 members"),
        (lambda: Stack([nn.Dropout1d()] * K)(torch.ones(K, 8)), "Expected 2D or 3D input"),
    ],
)
def test_draws_that_belong_to_no_member_are_refused(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_states_of_another_number_of_members_are_refused():
    with pytest.raises(ValueError, match="2 random states: should be 3, one per member"):
        MemberGenerators(SEEDS).restore(MemberGenerators((1, 2)).state())
