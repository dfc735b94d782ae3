"""Measure the difference between the two sides of a conversion by training both."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cvtrain.gradients.clipping import Clip, ModulusClip, NoClip, NormClip, SplitClip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.transform import transform_gradients
from cvtrain.laws.conversion import Conversion, Side
from cvtrain.laws.table import Values, optimizer_class
from cvtrain.models.mixed_mlp import MixedMlp
from cvtrain.models.mlp import Mlp
from cvtrain.optim import RuleOptimizer

STEPS = 100
SAMPLES, BATCH, INPUTS, OUTPUTS, HIDDEN = 96, 16, 6, 3, (8,)


def distance(conversion: Conversion, dtype: torch.dtype = torch.complex128) -> float:
    """max |w − w'| / max |w| over the parameters of a small network that both sides train.

    The network is complex with 6-8-3 units (cardioid), or mixed (modReLU, real head), and is
    trained for 100 steps of 16 samples by the rules of the source; L-BFGS uses all 96 samples. 0
    means that all bits are equal. Differences between the rules of the sides are left out.

    Raises:
        ValueError: there are no hyperparameters for the target.
    """
    if conversion.values is None:
        raise ValueError("conversion.values=None: should be the target's hyperparameters")
    source = _trained(
        conversion, conversion.source, conversion.source_values, None, conversion.source_clip, dtype
    )
    target = _trained(
        conversion,
        conversion.target,
        conversion.values,
        conversion.real_values,
        conversion.clip,
        dtype,
    )
    return max(
        float((a - b).abs().max() / a.abs().max()) for a, b in zip(source, target, strict=True)
    )


def _trained(
    conversion: Conversion,
    side: Side,
    values: Values,
    real_values: Values | None,
    clip: Values | None,
    dtype: torch.dtype,
) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind = MixedMlp if conversion.mixed else Mlp
        network: nn.Module = kind(INPUTS, OUTPUTS, hidden=HIDDEN, dtype=dtype)
        inputs = torch.randn(SAMPLES, INPUTS, dtype=dtype)
        targets = network(inputs).detach().roll(1, 0)
    named = dict(network.named_parameters())
    optimizer = _optimizer(conversion, list(named.values()), values, real_values)
    convention = Convention(side.convention.scale, side.convention.conjugate)
    whole = isinstance(optimizer, torch.optim.LBFGS)

    def evaluate(chosen: Tensor) -> float:
        optimizer.zero_grad()
        error = network(inputs[chosen]) - targets[chosen]
        objective = side.loss_scale * (error.abs() ** 2).mean()
        torch.autograd.backward(objective)
        gradients = {name: p.grad.unsqueeze(0) for name, p in named.items() if p.grad is not None}
        transformed, _ = transform_gradients(gradients, convention, _clip(clip))
        for name, p in named.items():
            p.grad = transformed[name].squeeze(0)
        return float(objective.detach())

    for step in range(STEPS // 10 if whole else STEPS):
        begin = step * BATCH % SAMPLES
        chosen = torch.arange(SAMPLES if whole else BATCH) + (0 if whole else begin)
        optimizer.step(partial(evaluate, chosen))
    return [p.detach() for p in named.values()]


def _optimizer(
    conversion: Conversion, parameters: list[nn.Parameter], values: Values, real: Values | None
) -> torch.optim.Optimizer:
    kind = optimizer_class(conversion.optimizer)
    semantics: dict[str, Any] = {}
    if isinstance(kind, type) and issubclass(kind, RuleOptimizer):
        semantics = {"semantics": conversion.semantics or "split"}
    if real is None:
        return kind(parameters, **values, **semantics)
    groups = [
        {"params": [p for p in parameters if p.is_complex()], **values},
        {"params": [p for p in parameters if not p.is_complex()], **real},
    ]
    return kind(groups, **values, **semantics)


def _clip(values: Values | None) -> Clip:
    if values is None:
        return NoClip()
    if values["kind"] == "norm":
        return NormClip(values["threshold"], values["eps"])
    return (ModulusClip if values["kind"] == "modulus" else SplitClip)(values["threshold"])
