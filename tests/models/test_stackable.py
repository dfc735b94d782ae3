"""A stack of members under vmap: each is what it is when run alone."""

import pytest
import torch
import torchcvnn.nn as cnn
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from cvtrain.models.activation import ACTIVATIONS, activation
from cvtrain.models.parameters import cast_parameters
from cvtrain.models.stackable import stackable
from cvtrain.models.stackable_generators import MemberGenerators

SEEDS = (5, 0, 11)
K = len(SEEDS)
C64, C128 = torch.complex64, torch.complex128
F32, F64 = torch.float32, torch.float64
TOLERANCE = {C64: 2e-5, F32: 2e-5, C128: 1e-12, F64: 1e-12}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Scaled(nn.Module):
    """Gives a network that has no parameters one, of each member."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return self.scale * x


class Attention(nn.Module):
    def __init__(self, norm, dropout=0.0):
        super().__init__()
        self.attention = cnn.MultiheadAttention(4, 2, dropout=dropout, norm_layer=norm)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class FunctionalDropout(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, self.training)


class OwnForward(nn.Dropout):
    def forward(self, x):
        return 2 * x


class NoForward(nn.Dropout):
    pass


def members(make, dtype):
    """K networks with different parameters, none of them at its initial value."""
    torch.manual_seed(0)
    networks = [make() for _ in SEEDS]
    for network in networks:
        cast_parameters(network, dtype.to_complex())
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return networks


def network():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, dtype=C64),
        cnn.BatchNorm2d(3),
        cnn.Dropout2d(0.3),
        nn.Flatten(),
        cnn.Dropout(0.2),
    )


class Loop:
    """Each member alone, drawing from torch's global state after `manual_seed` of its seed."""

    def __init__(self, networks):
        self.networks = networks
        self.random = [torch.Generator().manual_seed(seed).get_state() for seed in SEEDS]

    def train(self, mode):
        for network in self.networks:
            network.train(mode)

    def __call__(self, xs):
        ys = []
        for k, (network, x) in enumerate(zip(self.networks, xs, strict=True)):
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(self.random[k])
                ys.append(network(x))
                self.random[k] = torch.get_rng_state()
        return torch.stack(ys)

    def state(self):
        return torch.stack(self.random)

    def named(self, which):
        each = [dict(getattr(network, which)()) for network in self.networks]
        return {name: torch.stack([named[name] for named in each]) for name in each[0]}

    def gradients(self):
        each = [dict(network.named_parameters()) for network in self.networks]
        return {name: torch.stack([named[name].grad for named in each]) for name in each[0]}


class Adapted(Loop):
    """Each member alone, made stackable, with a generator of its own."""

    def __init__(self, networks):
        self.generators = [MemberGenerators([seed]) for seed in SEEDS]
        pairs = zip(networks, self.generators, strict=True)
        self.networks = [stackable(network, generators) for network, generators in pairs]

    def __call__(self, xs):
        return torch.stack([n(x) for n, x in zip(self.networks, xs, strict=True)])

    def state(self):
        return torch.cat([generators.state() for generators in self.generators])


class Stack:
    """All members under vmap."""

    def __init__(self, networks, seeds=SEEDS):
        self.generators = MemberGenerators(seeds)
        self.network = stackable(networks[0], self.generators)
        self.parameters, self.buffers = stack_module_state(networks)

    def train(self, mode):
        self.network.train(mode)

    def __call__(self, xs, in_dim=0):
        def one(parameters, buffers, x):
            return functional_call(self.network, (parameters, buffers), (x,))

        batched = vmap(one, in_dims=(0, 0, in_dim), randomness="error")
        return batched(self.parameters, self.buffers, xs)

    def state(self):
        return self.generators.state()

    def named(self, which):
        return {"named_parameters": self.parameters, "named_buffers": self.buffers}[which]

    def gradients(self):
        return {name: parameter.grad for name, parameter in self.parameters.items()}


class SharedInput(Stack):
    """All members under vmap, their input not batched."""

    def __call__(self, xs):
        return super().__call__(xs[0], None)


def assert_near(actual, expected, tolerance):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance * (1 + expected.abs().max())


def assert_agrees(make, kind, shape, dtype, tolerance):
    """Outputs, gradients, buffers and random state over three steps, then in evaluation."""
    plain, tested = Loop(members(make, dtype)), kind(members(make, dtype))
    for step, training in enumerate((True, True, True, False)):
        generator = torch.Generator().manual_seed(step)
        xs = torch.randn(K, *shape, dtype=dtype, generator=generator)
        weight = torch.randn((), dtype=dtype, generator=generator)
        if kind is SharedInput:
            xs = xs[:1]
        before = {name: each.clone() for name, each in tested.named("named_buffers").items()}
        inputs, outputs = [], []
        for runs in (plain, tested):
            runs.train(training)
            inputs.append(xs.clone().requires_grad_())
            outputs.append(runs(inputs[-1].expand(K, *shape)))
            # Not Σ|y|², which a normalisation keeps constant.
            ((weight * outputs[-1]).real + outputs[-1].abs().pow(3)).sum().backward()
        assert_near(outputs[1], outputs[0], tolerance)
        assert_near(inputs[1].grad, inputs[0].grad, tolerance)
        assert inputs[1].grad.abs().max() > 0
        gradients = plain.gradients()
        for name, gradient in tested.gradients().items():
            assert_near(gradient, gradients[name], tolerance)
        buffers = plain.named("named_buffers")
        for name, buffer in tested.named("named_buffers").items():
            assert_near(buffer, buffers[name], tolerance)
            assert training or torch.equal(buffer, before[name])
        assert torch.equal(tested.state(), plain.state())


def assert_same_bits(actual, expected):
    assert actual.dtype == expected.dtype
    assert torch.equal(actual, expected)


def with_unit_affine(layer):
    """The affine map torchcvnn cannot do without, as one that does nothing."""
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2).expand_as(layer.weight))
        layer.bias.zero_()
    return layer


KINDS = pytest.mark.parametrize("kind", [Stack, SharedInput, Adapted])
COMPLEX = pytest.mark.parametrize("dtype", [C64, C128], ids=str)
REAL = pytest.mark.parametrize("dtype", [F32, F64], ids=str)


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


@KINDS
# 0.42: among float32, dividing by 1 − p is not the same as multiplying by its inverse.
@pytest.mark.parametrize("p", [0.0, 0.42, 0.5, 1.0])
@pytest.mark.parametrize(
    ("layer", "shape", "dtype"),
    [
        (nn.Dropout, (7, 3), F32),
        (nn.Dropout, (5, 3, 2), F64),
        (nn.Dropout1d, (4, 6, 5), F32),
        (nn.Dropout1d, (24, 5), F64),
        (nn.Dropout2d, (4, 6, 5, 2), F32),
        (nn.Dropout3d, (4, 6, 2, 2, 2), F64),
        (nn.Dropout3d, (24, 2, 2, 2), F32),
        (cnn.Dropout, (7, 3), C64),
        (cnn.Dropout, (4, 3, 5), C128),
        (cnn.Dropout2d, (4, 6, 5, 2), C64),
        (cnn.Dropout2d, (4, 6, 5, 2), C128),
        (NoForward, (7, 3), F32),
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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Stack([FunctionalDropout()] * K)(torch.ones(K, 8)), "randomness error mode"),
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
