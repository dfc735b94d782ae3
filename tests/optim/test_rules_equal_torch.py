"""`split` gives the bits of torch.optim (foreach=False), weights and state, at every step; and it
treats Re and Im as two real parameters."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from cvtrain import optim
from cvtrain.gradients.stacked_number import power

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
SHAPES = ((), (7, 5), (33,))
STEPS = 12

SGD_CASES = [
    {"lr": 0.11, "momentum": mu, "dampening": tau, "weight_decay": wd, "nesterov": nesterov}
    for mu, tau, wd, nesterov in itertools.product(
        (0.0, 0.9, 0.37), (0.0, 0.3), (0.0, 0.017), (False, True)
    )
    if not nesterov or (mu > 0 and tau == 0)
]
ADAM_CASES = [
    {"lr": 0.013, "betas": betas, "eps": eps, "weight_decay": wd, "amsgrad": amsgrad}
    for (betas, eps), wd, amsgrad in itertools.product(
        (((0.9, 0.999), 1e-8), ((0.9, 0.999), 0.1), ((0.0, 0.5), 0.0), ((0.3, 0.97), 1e-3)),
        (0.0, 0.017),
        (False, True),
    )
]
RMSPROP_CASES = [
    {"lr": 0.013, "alpha": alpha, "eps": eps, "weight_decay": wd, "momentum": mu, "centered": c}
    for (alpha, eps), wd, mu, c in itertools.product(
        ((0.99, 1e-8), (0.37, 0.1), (0.0, 1e-3)), (0.0, 0.017), (0.0, 0.9), (False, True)
    )
]
ADAGRAD_CASES = [
    {"lr": 0.13, "lr_decay": ld, "eps": eps, "weight_decay": wd, "initial_accumulator_value": s}
    for ld, eps, wd, s in itertools.product((0.0, 0.1), (1e-10, 0.1), (0.0, 0.017), (0.0, 0.3))
]
MOMENT_CASES = [
    {"lr": 0.013, "betas": betas, "eps": eps, "weight_decay": wd}
    for (betas, eps), wd in itertools.product(
        (((0.9, 0.999), 1e-8), ((0.9, 0.9), 0.1), ((0.0, 0.5), 1e-3), ((0.3, 0.97), 1e-3)),
        (0.0, 0.017),
    )
]
ADADELTA_CASES = [
    {"lr": lr, "rho": rho, "eps": eps, "weight_decay": wd}
    for lr, (rho, eps), wd in itertools.product(
        (1.0, 0.3), ((0.9, 1e-6), (0.37, 0.1), (0.0, 1e-3)), (0.0, 0.017)
    )
]
RPROP_CASES = [
    {"lr": 0.013},
    {"lr": 0.3, "etas": (0.4, 1.37), "step_sizes": (1e-3, 0.5)},
]
ASGD_CASES = [
    {"lr": 0.03, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": wd}
    for lambd, alpha, t0, wd in itertools.product(
        (1e-4, 0.3), (0.75, 0.5), (1e6, 5.0, 0.0), (0.0, 0.017)
    )
]
DECOUPLED = {"decoupled_weight_decay": True, "weight_decay": 0.03}
CASES = [
    *((optim.SGD, torch.optim.SGD, case) for case in SGD_CASES),
    *((optim.Adam, torch.optim.Adam, case) for case in ADAM_CASES),
    *((optim.AdamW, torch.optim.AdamW, case) for case in ADAM_CASES),
    *((optim.RMSprop, torch.optim.RMSprop, case) for case in RMSPROP_CASES),
    *((optim.Adagrad, torch.optim.Adagrad, case) for case in ADAGRAD_CASES),
    *((optim.NAdam, torch.optim.NAdam, case) for case in MOMENT_CASES),
    *((optim.NAdam, torch.optim.NAdam, case | DECOUPLED) for case in MOMENT_CASES[::3]),
    (optim.NAdam, torch.optim.NAdam, {"momentum_decay": 0.3}),
    *((optim.RAdam, torch.optim.RAdam, case) for case in MOMENT_CASES),
    *((optim.RAdam, torch.optim.RAdam, case | DECOUPLED) for case in MOMENT_CASES[::3]),
    *((optim.Adamax, torch.optim.Adamax, case) for case in MOMENT_CASES),
    *((optim.Adadelta, torch.optim.Adadelta, case) for case in ADADELTA_CASES),
    *((optim.Rprop, torch.optim.Rprop, case) for case in RPROP_CASES),
    *((optim.ASGD, torch.optim.ASGD, case) for case in ASGD_CASES),
    (optim.Adam, torch.optim.Adam, DECOUPLED),
    (optim.SGD, torch.optim.SGD, {}),
    (optim.Adam, torch.optim.Adam, {}),
    (optim.AdamW, torch.optim.AdamW, {}),
    (optim.RMSprop, torch.optim.RMSprop, {}),
    (optim.Adagrad, torch.optim.Adagrad, {}),
    (optim.NAdam, torch.optim.NAdam, {}),
    (optim.RAdam, torch.optim.RAdam, {}),
    (optim.Adamax, torch.optim.Adamax, {}),
    (optim.Adadelta, torch.optim.Adadelta, {}),
    (optim.Rprop, torch.optim.Rprop, {}),
    (optim.ASGD, torch.optim.ASGD, {}),
]


def bits(tensor: Tensor) -> Tensor:
    """The tensor as integers, so that −0 differs from +0; all NaN alike."""
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    integers = torch.int32 if real.dtype == torch.float32 else torch.int64
    return real.nan_to_num(nan=12345.0, posinf=math.inf, neginf=-math.inf).view(integers)


def assert_same_bits(own: Tensor, torchs: Tensor) -> None:
    assert own.dtype == torchs.dtype
    assert torch.equal(bits(own.detach().clone()), bits(torchs.detach().clone()))


def twins(shapes=SHAPES) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters of every dtype, for cvtrain's class and for torch's."""
    torch.manual_seed(3)
    start = [torch.randn(shape, dtype=dtype) for dtype in DTYPES for shape in shapes]
    return [t.clone().requires_grad_() for t in start], [t.clone().requires_grad_() for t in start]


def give(gradients: list[Tensor], *lists: list[Tensor]) -> None:
    for parameters in lists:
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = g.clone()


def assert_same_state(own: optim.RuleOptimizer, torchs: torch.optim.Optimizer) -> None:
    states = zip(own.state.values(), torchs.state.values(), strict=True)
    for own_state, torch_state in states:
        filled = {name: t for name, t in torch_state.items() if t is not None}
        assert own_state.keys() == filled.keys()
        for name, tensor in filled.items():
            assert_same_bits(own_state[name], tensor)


@pytest.mark.parametrize(("own_class", "torch_class", "case"), CASES)
def test_weights_and_state_have_torchs_bits(own_class, torch_class, case):
    mine, torchs = twins()
    own_optimizer = own_class(mine, **case)
    torch_optimizer = torch_class(torchs, foreach=False, **case)
    for _ in range(STEPS):
        give([torch.randn_like(p) for p in mine], mine, torchs)
        own_optimizer.step()
        torch_optimizer.step()
    for p, q in zip(mine, torchs, strict=True):
        assert_same_bits(p, q)
    assert_same_state(own_optimizer, torch_optimizer)


SPECIAL = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40, -1e-40, 1.0, -2.5, 3e38])


def special(like: Tensor) -> Tensor:
    values = SPECIAL.to(like.dtype.to_real())[torch.randint(10, (41, 1 + like.is_complex()))]
    return torch.view_as_complex(values) if like.is_complex() else values[:, 0]


@pytest.mark.parametrize(("own_class", "torch_class", "case"), CASES[::3])
def test_signed_zeros_infinities_and_nan_have_torchs_bits(own_class, torch_class, case):
    mine, torchs = twins(shapes=((41,),))
    with torch.no_grad():
        for p, q in zip(mine, torchs, strict=True):
            q.copy_(p.copy_(special(p)))
    own_optimizer = own_class(mine, **case)
    torch_optimizer = torch_class(torchs, foreach=False, **case)
    for _ in range(4):
        give([special(p) for p in mine], mine, torchs)
        own_optimizer.step()
        torch_optimizer.step()
        for p, q in zip(mine, torchs, strict=True):
            assert_same_bits(p, q)


def test_groups_and_torchs_schedulers_work_as_with_torch():
    mine, torchs = twins()

    def groups(parameters: list[Tensor]) -> list[dict]:
        return [
            {"params": parameters[::2], "amsgrad": True},
            {"params": parameters[1::2], "lr": 0.3, "betas": (0.5, 0.7), "weight_decay": 0.1},
        ]

    optimizers = (optim.Adam(groups(mine)), torch.optim.Adam(groups(torchs), foreach=False))
    schedulers = [
        torch.optim.lr_scheduler.OneCycleLR(o, max_lr=[0.1, 0.4], total_steps=STEPS)
        for o in optimizers
    ]
    for _ in range(STEPS - 1):
        give([torch.randn_like(p) for p in mine], mine, torchs)
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
    for p, q in zip(mine, torchs, strict=True):
        assert_same_bits(p, q)


PAIRS = [
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, False),
    (optim.Adam, {"lr": 0.01, "weight_decay": 0.01, "amsgrad": True}, False),
    (optim.Adam, {"lr": 0.01}, True),
    (optim.Adam, {"lr": 0.01, "amsgrad": True}, True),
    (optim.AdamW, {"lr": 0.01}, True),
    (optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "centered": True}, True),
    (optim.Adagrad, {"lr": 0.1, "lr_decay": 0.1}, True),
]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize(("optimizer", "hyperparameters", "bitwise"), PAIRS)
def test_split_semantics_is_two_real_parameters(optimizer, hyperparameters, bitwise, dtype):
    """Bitwise for Adam; rounding apart where torch fuses a real multiply and add, and no complex
    one: in SGD, and in coupled weight decay."""
    torch.manual_seed(2)
    w = torch.randn(7, 5, dtype=dtype)
    z = w.clone().requires_grad_()
    pair = [part.clone().requires_grad_() for part in (w.real, w.imag)]
    optimizers = [optimizer([z], **hyperparameters), optimizer(pair, **hyperparameters)]
    assert optimizers[0].semantics == "split"
    for _ in range(20):
        z.grad = torch.randn_like(z)
        pair[0].grad, pair[1].grad = z.grad.real.clone(), z.grad.imag.clone()
        for o in optimizers:
            o.step()
    together = torch.complex(*(p.detach() for p in pair))
    if bitwise:
        assert torch.equal(z.detach(), together)
    else:
        rounding = 64 * torch.finfo(dtype).eps
        torch.testing.assert_close(z.detach(), together, rtol=rounding, atol=rounding)


def test_power_rounds_as_python_does():
    base = torch.rand(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for exponent in (0.5, 7.0, 1234.0):
        expected = [b**exponent for b in base.tolist()]
        assert power(base, exponent).tolist() == expected
    steps = torch.arange(1.0, 400.0)
    assert power(0.999, steps).tolist() == [0.999**t for t in steps.tolist()]
