"""The torch.optim face: state that survives saving, gradients left alone, bad input refused."""

import copy
import io
import math
import pickle

import pytest
import torch

from cvtrain import optim


class FlatMuon(optim.Muon):
    """Muon of parameters of every shape, stacked vectors too."""

    flatten: bool = True


OPTIMIZERS = [
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    (optim.AdamW, {"betas": (0.8, 0.9)}),
    (optim.RMSprop, {"lr": 0.1, "momentum": 0.9, "centered": True}),
    (optim.Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.1}),
    (optim.NAdam, {"lr": 0.1}),
    (optim.RAdam, {"betas": (0.8, 0.9)}),
    (optim.Adamax, {"lr": 0.1}),
    (optim.Adadelta, {"lr": 0.5}),
    (optim.Rprop, {"lr": 0.1}),
    (optim.ASGD, {"lr": 0.1, "t0": 2.0}),
    (optim.Lion, {"lr": 0.1}),
    (optim.SignSGD, {"lr": 0.1, "momentum": 0.5}),
    (FlatMuon, {"lr": 0.1}),
]
SEMANTICS = pytest.mark.parametrize("semantics", ["split", "modulus"])


def parameter(seed: int = 0, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, dtype=dtype, generator=generator).requires_grad_()


def take_steps(p, optimizer, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)
        optimizer.step()


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@SEMANTICS
@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize(("optimizer", "hyperparameters"), OPTIMIZERS)
def test_training_goes_on_from_a_saved_state(optimizer, hyperparameters, stacked, semantics):
    if stacked:
        rates = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
        hyperparameters = hyperparameters | {"lr": rates}
    p = parameter()
    first = optimizer([p], **hyperparameters, semantics=semantics, stacked=stacked)
    take_steps(p, first, 5, seed=1)
    q = p.detach().clone().requires_grad_()
    second = optimizer([q], semantics=semantics, stacked=stacked)
    second.load_state_dict(through_a_file(first.state_dict()))
    take_steps(p, first, 5, seed=2)
    take_steps(q, second, 5, seed=2)
    assert torch.equal(p, q)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))]
)
def test_a_copy_is_an_optimizer_of_its_own(duplicate):
    p = parameter()
    original = optim.Adam([p])
    take_steps(p, original, 2, seed=1)
    twin = duplicate(original)
    (q,) = twin.param_groups[0]["params"]
    take_steps(p, original, 2, seed=2)
    take_steps(q, twin, 2, seed=2)
    assert torch.equal(p, q)


@SEMANTICS
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("optimizer", "hyperparameters"), OPTIMIZERS)
def test_the_gradient_is_neither_written_nor_kept(
    optimizer, hyperparameters, weight_decay, semantics
):
    p = parameter()
    if optimizer is not optim.Rprop:
        hyperparameters = hyperparameters | {"weight_decay": weight_decay}
    rule = optimizer([p], **hyperparameters, semantics=semantics)
    for _ in range(3):
        p.grad = torch.randn_like(p)
        before = p.grad.clone()
        rule.step()
        assert torch.equal(p.grad, before)
        state = {name: tensor.clone() for name, tensor in rule.state[p].items()}
        p.grad.zero_()
        assert all(torch.equal(rule.state[p][name], state[name]) for name in state)


@SEMANTICS
@pytest.mark.parametrize(("optimizer", "hyperparameters"), OPTIMIZERS)
def test_an_update_changes_none_of_its_arguments(optimizer, hyperparameters, semantics):
    made = optimizer([parameter()], **hyperparameters, semantics=semantics)
    rule, group = made.rule, made.param_groups[0]
    w, g = (parameter(seed).detach() for seed in (0, 1))
    _, state = rule.update(w, g, rule.init(w), group)
    arguments = {"w": w, "g": g, **state}
    before = {name: tensor.clone() for name, tensor in arguments.items()}
    rule.update(w, g, state, group)
    assert all(torch.equal(before[name], tensor) for name, tensor in arguments.items())
    assert all(tensor.shape[0] == w.shape[0] for tensor in state.values())
    assert made.semantics == semantics


def test_a_closure_is_evaluated_with_gradients_and_its_value_returned():
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        objective = (p.real**2 + p.imag**2).sum()
        objective.backward()
        return objective

    before = closure().item()
    assert optimizer.step(closure).item() == before
    assert closure().item() < before


def test_a_parameter_without_gradient_stays():
    p, q = parameter(0), parameter(1)
    start = q.detach().clone()
    take_steps(p, optim.Adam([p, q]), 2, seed=1)
    assert torch.equal(q, start)


def test_a_lazily_conjugated_gradient_is_taken():
    p, q = parameter(), parameter()
    g = torch.randn(3, 4, dtype=torch.complex64)
    p.grad, q.grad = g.conj(), g.conj().resolve_conj()
    optim.Adam([p]).step()
    optim.Adam([q]).step()
    assert torch.equal(p, q)


NOT_A_SIZE = (-1.0, math.nan, math.inf)
REFUSED = [
    *(
        (optimizer, {"lr": x})
        for optimizer in (optim.SGD, optim.Adam, optim.AdamW)
        for x in NOT_A_SIZE
    ),
    *(
        (optimizer, {"weight_decay": x})
        for optimizer in (optim.SGD, optim.Adam, optim.AdamW)
        for x in NOT_A_SIZE
    ),
    *((optim.SGD, {"momentum": x}) for x in NOT_A_SIZE),
    *((optim.SGD, {"momentum": 0.9, "dampening": x}) for x in (math.nan, math.inf, -math.inf)),
    *((optim.Adam, {"eps": x}) for x in NOT_A_SIZE),
    *((optim.Adam, {"betas": (x, 0.9)}) for x in (*NOT_A_SIZE, 1.0)),
    *((optim.AdamW, {"betas": (0.9, x)}) for x in (*NOT_A_SIZE, 1.0)),
    *(
        (optim.RMSprop, {name: x})
        for name in ("lr", "alpha", "eps", "weight_decay", "momentum")
        for x in NOT_A_SIZE
    ),
    *(
        (optim.Adagrad, {name: x})
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")
        for x in NOT_A_SIZE
    ),
    (optim.SGD, {"nesterov": True}),
    (optim.SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    *(
        (kind, {name: x})
        for kind in (optim.NAdam, optim.RAdam, optim.Adamax)
        for name in ("lr", "eps", "weight_decay")
        for x in NOT_A_SIZE
    ),
    *(
        (kind, {"betas": (0.9, 1.0)})
        for kind in (optim.NAdam, optim.RAdam, optim.Adamax, optim.Lion)
    ),
    *((optim.NAdam, {"momentum_decay": x}) for x in NOT_A_SIZE),
    *(
        (optim.Adadelta, {name: x})
        for name in ("lr", "rho", "eps", "weight_decay")
        for x in NOT_A_SIZE
    ),
    (optim.Adadelta, {"rho": 1.0}),
    *((optim.Rprop, {"lr": x}) for x in NOT_A_SIZE),
    *(
        (optim.Rprop, {"etas": etas})
        for etas in ((0.0, 1.2), (1.0, 1.2), (0.5, 1.0), (math.nan, 1.2))
    ),
    *((optim.Rprop, {"step_sizes": (x, 1.0)}) for x in NOT_A_SIZE),
    *(
        (optim.ASGD, {name: x})
        for name in ("lr", "lambd", "alpha", "t0", "weight_decay")
        for x in NOT_A_SIZE
    ),
    *((optim.Lion, {name: x}) for name in ("lr", "weight_decay") for x in NOT_A_SIZE),
    (optim.SignSGD, {"momentum": 1.0}),
    *((optim.Muon, {name: x}) for name in ("lr", "eps", "weight_decay") for x in NOT_A_SIZE),
    (optim.Muon, {"momentum": 1.0}),
    (optim.Muon, {"ns_coefficients": (1.0, 2.0)}),
    (optim.Muon, {"adjust_lr_fn": "twice"}),
]


@pytest.mark.parametrize(("optimizer", "hyperparameters"), REFUSED)
def test_a_bad_hyperparameter_is_refused(optimizer, hyperparameters):
    with pytest.raises(ValueError):
        optimizer([parameter()], **hyperparameters)


@pytest.mark.parametrize("bad", [-0.5, math.nan])
def test_one_bad_member_of_a_stack_is_refused(bad):
    rates = torch.tensor([0.1, bad, 0.1], dtype=torch.float64)
    with pytest.raises(ValueError, match="lr"):
        optim.SGD([parameter()], lr=rates, stacked=True)


@pytest.mark.parametrize(
    "optimizer", [optim.Adam, optim.SGD, optim.Lion, optim.Rprop, optim.Muon, optim.SignSGD]
)
def test_semantics_of_another_name_are_refused(optimizer):
    weight = torch.ones(2, 2, dtype=torch.complex64, requires_grad=True)
    with pytest.raises(ValueError, match="semantics='Modulus': should be split or modulus"):
        optimizer([weight], lr=0.1, semantics="Modulus")


def test_a_group_with_a_bad_hyperparameter_is_refused_and_not_added():
    optimizer = optim.Adam([parameter()])
    with pytest.raises(ValueError, match="eps"):
        optimizer.add_param_group({"params": [parameter(1)], "eps": -1.0})
    assert len(optimizer.param_groups) == 1


def test_no_parameters_are_refused():
    with pytest.raises(ValueError, match="empty"):
        optim.SGD([])


@SEMANTICS
@pytest.mark.parametrize(("optimizer", "hyperparameters"), OPTIMIZERS)
def test_a_lazily_conjugated_gradient_is_taken_as_what_it_is(optimizer, hyperparameters, semantics):
    ended = []
    for lazy in (True, False):
        p = parameter()
        made = optimizer([p], **hyperparameters, semantics=semantics)
        for seed in (1, 2, 3):
            g = parameter(seed).detach().conj()
            p.grad = g if lazy else g.resolve_conj()
            assert p.grad.is_conj() == lazy
            made.step()
        assert not any(t.is_conj() for t in made.state[p].values())
        ended.append(p.detach())
    assert torch.equal(*ended)


@SEMANTICS
@pytest.mark.parametrize(("optimizer", "hyperparameters"), OPTIMIZERS)
def test_a_stacked_parameter_gets_new_memory_and_a_plain_one_keeps_its_own(
    optimizer, hyperparameters, semantics
):
    for stacked in (True, False):
        p = parameter()
        made = optimizer([p], **hyperparameters, semantics=semantics, stacked=stacked)
        for seed in (1, 2):
            before, bits = p.detach(), p.detach().clone()
            take_steps(p, made, 1, seed=seed)
            assert not torch.equal(p, bits)
            assert torch.equal(before, bits if stacked else p)
