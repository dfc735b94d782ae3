"""The optimizers in torch's own tables: the inputs and errors that PyTorch's test_optim runs.

For every class of torch that has one here under the same name: the same bits from the same
arguments (Muon apart, which torch iterates in bfloat16), the same errors, states that go on in
either, and what test_optim asks of any optimizer.
"""

import copy
import inspect
import sys
import unittest
from itertools import product
from types import ModuleType

import pytest
import torch
from torch import nn

from cvtrain import optim
from cvtrain.optim.hyperparameters import REFUSED_SWITCHES, SWITCHES
from cvtrain.optim.torch_equivalents import OF_TORCH
from tests.optim.test_rules_equal_torch import assert_same_bits

if "expecttest" not in sys.modules:  # the base class of torch's own tests, which do not run here
    sys.modules["expecttest"] = ModuleType("expecttest")
    sys.modules["expecttest"].TestCase = unittest.TestCase
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

# Importing torch's tests forbids setting its flags, which Lightning and other tests do.
torch.backends.disable_global_flags.__globals__["__allow_nonbracketed_mutation_flag"] = True

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
EQUIVALENTS = OF_TORCH | {torch.optim.Muon: optim.Muon}
TABLES = [info for info in optim_db if info.optim_cls in EQUIVALENTS]
every_table = pytest.mark.parametrize("table", TABLES, ids=lambda info: info.optim_cls.__name__)


def own_class(table):
    return EQUIVALENTS[table.optim_cls]


def arguments(table, dtype=torch.float32):
    """The keyword arguments of every input in a table, and each with `maximize`."""
    kwargs = [entry.kwargs for entry in table.optim_inputs_func("cpu", dtype)]
    if "maximize" in inspect.signature(table.optim_cls).parameters:
        kwargs += [entry | {"maximize": True} for entry in kwargs if "maximize" not in entry]
    return kwargs


def is_muon(table):
    return table.optim_cls is torch.optim.Muon


def parameters(dtype, shapes=((2, 3), (3, 1))):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(s, dtype=dtype, generator=generator)) for s in shapes]


def take_steps(weights, optimizer, count=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        for p in weights:
            p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        optimizer.step()


def copies(kwargs):
    """Arguments for an optimizer of its own: torch keeps tensors, and counts in them."""
    return copy.deepcopy(kwargs)


@every_table
def test_every_input_gives_torchs_bits(table):
    dtypes = [dtype for dtype in DTYPES if table.supports_complex or not dtype.is_complex]
    for kwargs, dtype in product(arguments(table), dtypes):
        own, torchs = parameters(dtype), parameters(dtype)
        take_steps(own, own_class(table)(own, **copies(kwargs)))
        loop = {} if is_muon(table) else {"foreach": False}
        take_steps(torchs, table.optim_cls(torchs, **copies(kwargs), **loop))
        for p, q in zip(own, torchs, strict=True):
            if is_muon(table):
                torch.testing.assert_close(p, q, rtol=0.02, atol=0.02)
            else:
                assert_same_bits(p, q)


@every_table
def test_every_error_is_refused_by_the_same_kind_of_error(table):
    """Three kinds are taken here, where nothing speaks against them: a learning rate that is a
    tensor with `foreach`, β of which one is a tensor, and a complex matrix in Muon."""
    taken = ("foreach", "betas must be either both floats", "does not support complex")
    for entry in table.optim_error_inputs_func("cpu", torch.float32):
        arguments = entry.optimizer_error_input
        weights = parameters(torch.float32) if arguments.params is None else arguments.params
        expected = entry.error_type
        if any(words in f"{arguments.desc} {entry.error_regex}" for words in taken):
            own_class(table)(weights, **arguments.kwargs)
            continue
        check = pytest.warns if issubclass(expected, Warning) else pytest.raises
        assert entry.error_on is OptimizerErrorEnum.CONSTRUCTION_ERROR
        with check(expected):
            own_class(table)(weights, **arguments.kwargs)


@every_table
def test_a_state_goes_on_in_either_class_as_in_torchs(table):
    """torch loads a number of the state other than `step` in the parameter's precision, so NAdam's
    product of momenta, kept in float32, goes on in float64: the comparison is with torch's own
    state in torch's own class."""
    if is_muon(table):
        pytest.skip("torch's iterates in bfloat16")
    for kwargs, dtype in product(arguments(table), DTYPES):
        states, ends = {}, []
        for kind in (table.optim_cls, own_class(table)):
            p = parameters(dtype)
            optimizer = kind(p, **copies(kwargs), foreach=False)
            take_steps(p, optimizer)
            states[kind] = copy.deepcopy(optimizer.state_dict()), p
        for (state, weights), kind in product(states.values(), states):
            p = [nn.Parameter(w.detach().clone()) for w in weights]
            optimizer = kind(p, foreach=False)
            optimizer.load_state_dict(copy.deepcopy(state))
            take_steps(p, optimizer, seed=2)
            ends.append((kind, p))
        reference = ends[0][1]
        for kind, end in ends:
            for p, q in zip(end, reference, strict=True):
                if table.optim_cls is torch.optim.NAdam and kind in OF_TORCH.values():
                    torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)
                else:
                    assert_same_bits(p, q)


@every_table
def test_an_older_state_is_taken(table):
    """Without the switches that came later, and with step counts that are numbers."""
    for kwargs in arguments(table):
        p = parameters(torch.float32)
        optimizer = own_class(table)(p, **copies(kwargs))
        take_steps(p, optimizer)
        state = copy.deepcopy(optimizer.state_dict())
        for group in state["param_groups"]:
            for switch in table.not_og_supported_flags:
                del group[switch]
        for of_parameter in state["state"].values():
            if "step" in of_parameter:
                of_parameter["step"] = of_parameter["step"].item()
        q = [nn.Parameter(w.detach().clone()) for w in p]
        older = own_class(table)(q, **copies(kwargs))
        older.load_state_dict(state)
        take_steps(q, older, seed=2)
        take_steps(p, optimizer, seed=2)
        assert all(torch.equal(v, w) for v, w in zip(p, q, strict=True))


@every_table
def test_a_step_count_that_is_a_number_in_an_unpickled_state_is_counted_on(table):
    p = parameters(torch.float32)
    optimizer = own_class(table)(p)
    take_steps(p, optimizer)
    q = [nn.Parameter(w.detach().clone()) for w in p]
    other = own_class(table)(q)
    for v, w in zip(p, q, strict=True):
        other.state[w] = {
            name: value.item() if name == "step" else value.clone()
            for name, value in optimizer.state[v].items()
        }
    take_steps(p, optimizer, seed=2)
    take_steps(q, other, seed=2)
    assert all(torch.equal(v, w) for v, w in zip(p, q, strict=True))


@every_table
def test_nothing_moves_without_a_gradient_or_with_one_of_no_entries(table):
    for kwargs in arguments(table):
        p = parameters(torch.float32, ((2, 3), (0, 3), (3, 0)))
        optimizer = own_class(table)(p, **copies(kwargs))
        before = [w.detach().clone() for w in p]
        optimizer.step()
        assert all(torch.equal(v, w) for v, w in zip(p, before, strict=True))
        for w in p[1:]:
            w.grad = torch.zeros_like(w)
        optimizer.step()
        assert all(torch.equal(v, w) for v, w in zip(p, before, strict=True))


@pytest.mark.parametrize("name", ["SGD", "Adam", "Lion", "SignSGD", "Muon"])
def test_maximize_steps_along_the_other_gradient(name):
    ends = []
    for sign, kwargs in ((1, {"maximize": True}), (-1, {})):
        (p,) = parameters(torch.complex64, ((2, 3),))
        optimizer = getattr(optim, name)([p], lr=0.1, **kwargs)
        for seed in (1, 2):
            p.grad = sign * parameters(torch.complex64, ((2, 3),))[0].detach() * seed
            optimizer.step()
        ends.append(p.detach())
    assert torch.equal(*ends)


@every_table
def test_the_switches_of_torchs_signature_are_taken_or_refused_by_name(table):
    names = inspect.signature(table.optim_cls).parameters.keys()
    own = inspect.signature(own_class(table)).parameters.keys()
    assert names <= own
    for switch in SWITCHES:
        if switch in REFUSED_SWITCHES:
            with pytest.raises(ValueError, match=f"^{switch}=True: should be False in "):
                own_class(table)(parameters(torch.float32), **{switch: True})
        else:
            own_class(table)(parameters(torch.float32), **{switch: True})
    with pytest.raises(ValueError, match="fused=True: should be False where foreach=True"):
        own_class(table)(parameters(torch.float32), fused=True, foreach=True)


SPARSE_CASES = {
    torch.optim.SGD: ({"lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    torch.optim.Adagrad: ({"lr": 0.1}, {"lr": 0.1, "lr_decay": 0.5}),
}


def sparse_steps(weight, optimizer):
    for rows in ([0, 2, 2], [1, 1, 0]):
        optimizer.zero_grad()
        looked_up = nn.functional.embedding(torch.tensor(rows), weight, sparse=True)
        (looked_up * torch.arange(1.0, 4.0)[:, None]).sum().backward()
        assert weight.grad.is_sparse
        optimizer.step()


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's Adagrad
@every_table
def test_sparse_gradients_are_taken_where_torch_takes_them(table):
    if not table.supports_sparse:
        for kind in (table.optim_cls, own_class(table)):
            (weight,) = parameters(torch.float64, ((3, 2),))
            with pytest.raises(RuntimeError, match="does not support sparse gradients"):
                sparse_steps(weight, kind([weight]))
        return
    for kwargs in SPARSE_CASES[table.optim_cls]:
        ends = []
        for kind in (table.optim_cls, own_class(table)):
            (weight,) = parameters(torch.float64, ((3, 2),))
            sparse_steps(weight, kind([weight], **kwargs))
            ends.append(weight.detach())
        torch.testing.assert_close(*ends, rtol=1e-12, atol=0)
    (weight,) = parameters(torch.float64, ((3, 2),))
    with pytest.raises(RuntimeError, match="weight_decay option is not compatible with sparse"):
        sparse_steps(weight, own_class(table)([weight], weight_decay=0.1))


def test_muon_takes_matrices_alone_unless_it_flattens():
    for shape in ((3,), (), (2, 3, 4)):
        weights = parameters(torch.complex64, (shape,))
        with pytest.raises(ValueError, match=r"flatten=False: .* Muon only supports 2D parameters"):
            optim.Muon(weights)
        take_steps(weights, optim.Muon(weights, flatten=True))
