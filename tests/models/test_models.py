"""The networks: their shapes, what they can represent, what kind they are."""

import inspect
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from cvtrain.config.targets import resolve_target
from cvtrain.models import Linear, MixedMlp, Mlp, WidelyLinear, count_parameters

CONF = Path(__file__).parents[2] / "conf" / "model"
DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
HIDDEN = (5, 4)
NETWORKS = [
    (Linear, {}),
    (Linear, {"bias": True}),
    (WidelyLinear, {}),
    (WidelyLinear, {"bias": True}),
    (Mlp, {"hidden": HIDDEN}),
    (Mlp, {"hidden": HIDDEN, "activation": "modReLU"}),
    (Mlp, {"hidden": ()}),
    (MixedMlp, {"hidden": HIDDEN}),
    (MixedMlp, {"hidden": HIDDEN, "activation": "CReLU"}),
]
ALL = pytest.mark.parametrize(("network", "arguments"), NETWORKS)


def drawn(*shape: int, dtype: torch.dtype = torch.complex128, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def built(network, seed: int = 0, *, inputs=64, outputs=3, dtype=torch.complex128, **arguments):
    torch.manual_seed(seed)
    model: nn.Module = network(inputs, outputs, **arguments, dtype=dtype)
    return model


@DTYPES
@ALL
def test_inputs_are_flattened_and_outputs_are_complex_unless_the_head_is_real(
    network, arguments, dtype
):
    model = built(network, dtype=dtype, **arguments)
    x = drawn(7, 8, 8, dtype=dtype)
    y = model(x)
    assert y.shape == (7, 3)
    assert y.dtype == (dtype.to_real() if network is MixedMlp else dtype)
    assert torch.equal(y, model(x.reshape(7, 64)))
    for parameter in model.parameters():
        assert parameter.dtype == (dtype if parameter.is_complex() else dtype.to_real())


N, H1, H2, OUT = 64, *HIDDEN, 3
TRUNK = (N + 1) * H1 + (H1 + 1) * H2
COUNTS = [
    (N * OUT, 0),
    ((N + 1) * OUT, 0),
    (2 * N * OUT, 0),
    ((2 * N + 1) * OUT, 0),
    (TRUNK + (H2 + 1) * OUT, 0),
    (TRUNK + (H2 + 1) * OUT, 2),
    ((N + 1) * OUT, 0),
    (TRUNK, 2 + (2 * H2 + 1) * OUT),
    (TRUNK, (2 * H2 + 1) * OUT),
]


@pytest.mark.parametrize(
    ("network", "arguments", "counts"),
    [(*named, counts) for named, counts in zip(NETWORKS, COUNTS, strict=True)],
)
def test_parameters_are_as_many_as_the_widths_say_and_of_the_kind_expected(
    network, arguments, counts
):
    count = count_parameters(built(network, dtype=torch.complex64, **arguments).parameters())
    assert (count.complex, count.real) == counts
    assert count.kind == ("mixed" if counts[1] else "purely complex")


@DTYPES
@ALL
def test_every_parameter_gets_a_finite_gradient_even_where_all_weights_are_zero(
    network, arguments, dtype
):
    for initialisation in ("glorot", "zeros"):
        model = built(network, dtype=dtype, initialisation=initialisation, **arguments)
        model(drawn(7, 64, dtype=dtype)).abs().square().mean().backward()
        for parameter in model.parameters():
            assert parameter.grad.isfinite().all()
            assert initialisation == "zeros" or parameter.grad.any()


@ALL
def test_the_same_seed_gives_the_same_weights_and_another_one_others(network, arguments):
    weights, same, other = (built(network, seed, **arguments).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(same[name], w) for name, w in weights.items())
    assert not all(torch.equal(other[name], w) for name, w in weights.items())


@ALL
def test_a_stack_computes_what_its_members_compute_one_by_one(network, arguments):
    members = [built(network, seed, **arguments) for seed in range(3)]
    weights, buffers = stack_module_state(members)
    x = drawn(3, 7, 8, 8)
    skeleton = members[0]

    def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(skeleton, (weights, buffers), (x,)).abs().square().mean()

    stacked = vmap(loss)(weights, buffers, x)
    stacked.sum().backward()
    for k, member in enumerate(members):
        alone = member(x[k]).abs().square().mean()
        alone.backward()
        assert torch.allclose(stacked[k], alone, rtol=1e-12)
        for name, parameter in member.named_parameters():
            assert torch.allclose(weights[name].grad[k], parameter.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("w", "v", "function"), [(0.5, 0.5, lambda x: x.real + 0j), (0, 1, torch.conj)]
)
def test_widely_linear_maps_take_real_parts_and_conjugates_exactly(w, v, function):
    model = built(WidelyLinear, inputs=1, outputs=1)
    nn.init.constant_(model.weight, w)
    nn.init.constant_(model.conjugate_weight, v)
    x = drawn(9, 1)
    assert torch.equal(model(x), function(x))
    linear = built(Linear, inputs=1, outputs=1)
    nn.init.constant_(linear.weight, w)
    assert not torch.allclose(linear(x), function(x))


def test_widely_linear_is_any_real_map_of_re_and_im():
    model = built(WidelyLinear, inputs=4, bias=True)
    nn.init.constant_(model.bias, 1 - 2j)
    x = drawn(9, 4)
    total, difference = model.weight + model.conjugate_weight, model.weight - model.conjugate_weight
    top = torch.cat((total.real, -difference.imag), dim=1)
    bottom = torch.cat((total.imag, difference.real), dim=1)
    y = torch.cat((x.real, x.imag), dim=1) @ torch.cat((top, bottom)).T
    expected = torch.complex(y[:, :3] + 1, y[:, 3:] - 2)
    assert torch.allclose(model(x), expected, rtol=1e-13)


def test_without_bias_or_hidden_layers_a_network_is_a_matrix():
    x = drawn(9, 64)
    linear, mlp = built(Linear), built(Mlp, hidden=())
    assert torch.allclose(linear(x), x @ linear.weight.T, rtol=1e-12)
    assert torch.equal(mlp(x), linear(x))


def test_a_mixed_network_has_a_real_head_on_re_and_im():
    model = built(MixedMlp, hidden=HIDDEN)
    x = drawn(9, 64)
    h = model.trunk(x)
    expected = torch.cat((h.real, h.imag), dim=1) @ model.head.weight.T + model.head.bias
    assert torch.allclose(model(x), expected, rtol=1e-13)


@pytest.mark.parametrize("network", [Linear, WidelyLinear, Mlp, MixedMlp])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64"),
        ({"initialisation": "orthogonal"}, "initialisation=orthogonal: should be one of glorot"),
    ],
)
def test_a_real_dtype_and_an_unknown_initialisation_are_refused(network, bad, message):
    with pytest.raises(ValueError, match=message):
        built(network, **bad)


def test_a_trunk_without_a_layer_is_refused():
    with pytest.raises(ValueError, match="should have at least one width"):
        built(MixedMlp, hidden=())


NAMES = sorted({path.stem for path in CONF.glob("*.yaml")} - {"custom"})


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_states_the_defaults_of_every_network(name):
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    network = resolve_target("model", values.pop("_target_"), nn.Module)
    expected = {}
    for argument, parameter in inspect.signature(network).parameters.items():
        filled = parameter.default is parameter.empty
        default = None if filled else parameter.default
        expected[argument] = list(default) if isinstance(default, tuple) else default
    assert expected.pop("dtype", "missing") is None
    assert text.startswith("# ")
    assert list(values.items()) == list(expected.items())
