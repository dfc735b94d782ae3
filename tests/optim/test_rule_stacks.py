"""A stack of points with different hyperparameters gives the bits of its points trained alone.

Bitwise for every stack size, odd ones too: a rule's arithmetic does not depend on the position.
"""

import pytest
import torch
from torch import Tensor

from cvtrain import optim

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
SHAPES = ((), (7, 5))
REPEATS = 7
TOLERANCE = {
    torch.float32: 1e-3,
    torch.complex64: 1e-3,
    torch.float64: 1e-10,
    torch.complex128: 1e-10,
}

SGD_AXES = {
    "lr": (0.1, 0.25, 0.013, 1.0, 0.1),
    "momentum": (0.9, 0.0, 0.5, 0.37, 0.0),
    "dampening": (0.0, 0.3, 0.0, 0.1, 0.0),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
}
NESTEROV_AXES = {"lr": (0.1, 0.2, 0.4), "momentum": (0.9, 0.1, 0.37), "nesterov": True}
ADAM_AXES = {
    "lr": (0.1, 0.25, 0.013, 1e-3, 0.1),
    "betas": ((0.9, 0.3, 0.0, 0.9, 0.7), (0.999, 0.97, 0.5, 0.9, 0.0)),
    "eps": (1e-8, 0.0, 0.1, 1e-8, 1e-3),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
}
RMSPROP_AXES = {
    "lr": (0.1, 0.25, 0.013, 1e-3, 0.1),
    "alpha": (0.99, 0.3, 0.5, 0.9, 0.7),
    "eps": (1e-8, 1e-2, 0.1, 1e-8, 1e-3),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
    "momentum": (0.9, 0.0, 0.5, 0.37, 0.0),
}
ADAGRAD_AXES = {
    "lr": (0.1, 0.25, 0.013, 1e-3, 0.1),
    "lr_decay": (0.0, 0.3, 0.01, 0.0, 1.0),
    "eps": (1e-10, 1e-2, 0.1, 1e-8, 1e-3),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
    "initial_accumulator_value": (0.9, 0.0, 0.5, 0.37, 0.0),
}
MOMENT_AXES = {
    "lr": (0.1, 0.25, 0.013, 1e-3, 0.1),
    "betas": ((0.9, 0.3, 0.0, 0.9, 0.7), (0.999, 0.97, 0.5, 0.9, 0.8)),
    "eps": (1e-8, 1e-3, 0.1, 1e-8, 1e-3),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
}
ADADELTA_AXES = {
    "lr": (1.0, 0.25, 0.013, 0.5, 0.1),
    "rho": (0.9, 0.3, 0.0, 0.5, 0.9),
    "eps": (1e-6, 1e-3, 0.1, 1e-8, 1e-3),
    "weight_decay": (0.0, 0.01, 0.3, 0.0, 0.0),
}
RPROP_AXES = {
    "lr": (0.01, 0.25, 0.013),
    "etas": ((0.5, 0.3, 0.7), (1.2, 1.1, 1.37)),
    "step_sizes": ((1e-6, 1e-2, 0.1), (50.0, 1.0, 0.3)),
}
ASGD_AXES = {
    "lr": (0.1, 0.25, 0.013),
    "lambd": (1e-4, 0.3, 0.0),
    "alpha": (0.75, 0.5, 1.0),
    "t0": (1e6, 4.0, 0.0),
    "weight_decay": (0.0, 0.1, 0.0),
}
LION_AXES = {
    "lr": (0.1, 0.25, 0.013),
    "betas": ((0.9, 0.3, 0.0), (0.99, 0.5, 0.0)),
    "weight_decay": (0.0, 0.1, 0.3),
}
MUON_AXES = {
    "flatten": True,
    "lr": (0.1, 0.25, 0.013),
    "momentum": (0.95, 0.3, 0.0),
    "weight_decay": (0.0, 0.1, 0.3),
    "eps": (1e-7, 1e-3, 10.0),
    "ns_steps": (5, 2, 7),
}
CASES = [
    (optim.SGD, SGD_AXES),
    (optim.SGD, NESTEROV_AXES),
    (optim.SGD, {"lr": (0.1, 0.2, 0.4), "momentum": 0.9, "weight_decay": 0.1}),
    (optim.Adam, ADAM_AXES),
    (optim.Adam, ADAM_AXES | {"amsgrad": True}),
    (optim.AdamW, ADAM_AXES),
    (optim.Adam, {"lr": (0.1, 0.2, 0.4)}),
    (optim.RMSprop, RMSPROP_AXES),
    (optim.RMSprop, RMSPROP_AXES | {"centered": True}),
    (optim.RMSprop, {"lr": (0.1, 0.2, 0.4), "momentum": 0.9}),
    (optim.Adagrad, ADAGRAD_AXES),
    (optim.Adagrad, {"lr": (0.1, 0.2, 0.4)}),
    *((kind, MOMENT_AXES) for kind in (optim.NAdam, optim.RAdam, optim.Adamax)),
    (optim.NAdam, MOMENT_AXES | {"momentum_decay": (4e-3, 0.0, 0.1, 1.0, 0.3)}),
    *(
        (kind, MOMENT_AXES | {"decoupled_weight_decay": True})
        for kind in (optim.NAdam, optim.RAdam)
    ),
    (optim.Adadelta, ADADELTA_AXES),
    (optim.Rprop, RPROP_AXES),
    (optim.ASGD, ASGD_AXES),
    (optim.Lion, LION_AXES),
    (optim.SignSGD, {"lr": (0.1, 0.2, 0.4), "momentum": (0.0, 0.5, 0.9)}),
    (optim.Muon, MUON_AXES),
    (optim.Muon, MUON_AXES | {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}),
]
SPLIT_AND_MODULUS = [
    (kind, axes | {"semantics": semantics})
    for kind, axes in CASES
    for semantics in ("split", "modulus")
]


def is_pair(name: str) -> bool:
    return name in ("betas", "etas", "step_sizes")


def member(axes: dict, k: int) -> dict:
    """The hyperparameters of one point."""
    return {
        name: tuple(v[k] for v in values)
        if is_pair(name)
        else (values[k] if isinstance(values, tuple) else values)
        for name, values in axes.items()
    }


def stacked(axes: dict, repeats: int) -> dict:
    """The hyperparameters of a stack in which the points are repeated."""

    def axis(values) -> Tensor:
        return torch.tensor(values * repeats, dtype=torch.float64)

    return {
        name: tuple(axis(v) for v in values)
        if is_pair(name)
        else (axis(values) if isinstance(values, tuple) else values)
        for name, values in axes.items()
    }


@pytest.mark.parametrize(("optimizer", "axes"), SPLIT_AND_MODULUS)
def test_a_stack_has_the_bits_of_its_points(optimizer, axes):
    """Each point stands at seven places of an odd stack, in every dtype."""
    torch.manual_seed(5)
    points = len(axes["lr"])
    weights = [torch.randn(points, *shape, dtype=dtype) for dtype in DTYPES for shape in SHAPES]
    together = [torch.cat([w] * REPEATS).requires_grad_() for w in weights]
    alone = [[w[k].clone().requires_grad_() for w in weights] for k in range(points)]
    stack = optimizer(together, **stacked(axes, REPEATS), stacked=True)
    singles = [optimizer(alone[k], **member(axes, k)) for k in range(points)]
    for _ in range(8):
        for i, p in enumerate(together):
            gradients = torch.randn_like(weights[i])
            p.grad = torch.cat([gradients] * REPEATS)
            for k in range(points):
                alone[k][i].grad = gradients[k].clone()
        for made in (stack, *singles):
            made.step()
    for i, p in enumerate(together):
        twins = torch.cat([torch.stack([alone[k][i] for k in range(points)])] * REPEATS).detach()
        # A batch of matrix products may add up in another order than one.
        if optimizer is optim.Muon:
            rtol = TOLERANCE[p.dtype]
            torch.testing.assert_close(p.detach(), twins, rtol=rtol, atol=0)
        else:
            assert p.detach().numpy().tobytes() == twins.numpy().tobytes()


@pytest.mark.parametrize("semantics", ["split", "modulus"])
@pytest.mark.parametrize("optimizer", list(dict.fromkeys(kind for kind, _ in CASES)))
def test_a_neighbour_that_diverges_changes_nothing(optimizer, semantics):
    torch.manual_seed(6)
    weights = torch.randn(5, 7, 3, dtype=torch.complex64)
    healthy, diverging = (weights.clone().requires_grad_() for _ in range(2))
    rates = torch.full((5,), 0.1, dtype=torch.float64)
    optimizers = [
        optimizer([p], lr=rates, semantics=semantics, stacked=True) for p in (healthy, diverging)
    ]
    for _ in range(5):
        healthy.grad = torch.randn_like(healthy)
        diverging.grad = healthy.grad.clone()
        diverging.grad[2] = torch.nan
        for o in optimizers:
            o.step()
    others = [0, 1, 3, 4]
    assert torch.equal(healthy[others], diverging[others])
    # The sign of NaN is 0 in torch.
    signs = optimizer in (optim.Lion, optim.SignSGD, optim.Rprop) and semantics == "split"
    assert diverging[2].isnan().all() or (signs and not torch.equal(diverging[2], healthy[2]))


@pytest.mark.parametrize("factor", [0.5, 0.3])
def test_learning_rates_can_be_set_between_steps(factor):
    weights = torch.randn(3, 4, dtype=torch.complex64)
    p = weights.clone().requires_grad_()
    rates = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    stack = optim.SGD([p], lr=rates, stacked=True)
    stack.param_groups[0]["lr"] = rates * factor
    p.grad = torch.randn_like(p)
    stack.step()
    for k, rate in enumerate(rates.tolist()):
        assert torch.equal(p[k], torch.add(weights[k], p.grad[k], alpha=-(rate * factor)))


def test_numbers_for_another_stack_size_are_refused():
    p = torch.zeros(4, 2, requires_grad=True)
    with pytest.raises(ValueError, match="3 values should be 1, or 4 as members"):
        optim.SGD([p], lr=torch.ones(3), stacked=True)
    with pytest.raises(ValueError, match="4 values should be 1, or 1 as"):
        optim.Adam([p], betas=(0.9, torch.full((4,), 0.5)))
    with pytest.raises(ValueError, match="leading axis"):
        optim.SGD([torch.zeros((), requires_grad=True)], stacked=True)
