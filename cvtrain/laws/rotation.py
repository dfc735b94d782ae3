"""Which rules commute with rotations: whether training on L(e^(−iφ) w) rotates every weight by φ.

A rule that treats a complex entry as one number commutes with w → e^(iφ) w for every φ. A rule that
treats Re and Im as two reals does so only for quarter turns, which merely exchange the two.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cvtrain.gradients.clipping import Clip, ModulusClip, NoClip, NormClip, SplitClip
from cvtrain.gradients.convention import Convention
from cvtrain.gradients.transform import transform_gradients
from cvtrain.laws.table import Values, optimizer_class

UNCLIPPED = NoClip()
STEPS, SAMPLES, BATCH, TAPS, OUTPUTS = 60, 96, 16, 6, 4
QUARTER, EIGHTH = math.pi / 2, math.pi / 4


@dataclass(frozen=True)
class Candidate:
    """A rule, with clipping before it, that may or may not commute with rotations.

    Attributes:
        name: name in the report.
        optimizer: its name in conf/optimizer.
        values: its hyperparameters.
        semantics: `split` or `modulus`; None for a rule that is linear and the same under both.
        clip: clipping of the gradient before the rule.
    """

    name: str
    optimizer: str
    values: Values
    semantics: str | None = None
    clip: Clip = UNCLIPPED


RULES: dict[str, Values] = {
    "adam": {"lr": 2**-6},
    "rmsprop": {"lr": 2**-7},
    "adagrad": {"lr": 2**-4},
    "adadelta": {"lr": 1.0},
    "adamax": {"lr": 2**-6},
    "rprop": {"lr": 2**-7},
    "lion": {"lr": 2**-7},
    "signsgd": {"lr": 2**-7},
}

CANDIDATES = (
    Candidate("SGD with momentum", "sgd", {"lr": 2**-5, "momentum": 0.9}),
    Candidate("Muon", "muon", {"lr": 2**-6}),
    *(
        Candidate(f"{optimizer_class(rule).__name__}, {semantics}", rule, values, semantics)
        for rule, values in RULES.items()
        for semantics in ("split", "modulus")
    ),
    Candidate("clip by norm", "sgd", {"lr": 2**-4}, clip=NormClip(1.0, 1e-6)),
    Candidate("clip Re and Im (split)", "sgd", {"lr": 2**-4}, clip=SplitClip(0.05)),
    Candidate("clip by modulus", "sgd", {"lr": 2**-4}, clip=ModulusClip(0.05)),
)


def rotation_errors(candidate: Candidate, *angles: float) -> tuple[float, ...]:
    """max |w' − e^(iφ) w| / max |w| after 60 steps of a linear regression, complex128.

    w' is trained from e^(iφ) w₀ on targets e^(iφ) y, which gives the losses of w on y.

    Args:
        candidate: the rule.
        angles: angles φ in radians; a rotation by `QUARTER` is exact.

    Returns:
        the error for each angle.
    """
    straight = _trained(candidate, 1.0)
    turns = [1j if angle == QUARTER else cmath.exp(1j * angle) for angle in angles]
    distances = [(_trained(candidate, turn) - turn * straight).abs().max() for turn in turns]
    return tuple(float(distance / straight.abs().max()) for distance in distances)


def _trained(candidate: Candidate, turn: complex) -> Tensor:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.complex128, generator=generator)

    inputs, solution = normal(SAMPLES, TAPS), normal(TAPS, OUTPUTS)
    targets = turn * (inputs @ solution + 0.1 * normal(SAMPLES, OUTPUTS))
    w = (turn * 0.1 * normal(TAPS, OUTPUTS)).requires_grad_()
    kind = optimizer_class(candidate.optimizer)
    semantics = {} if candidate.semantics is None else {"semantics": candidate.semantics}
    optimizer = kind([w], **candidate.values, **semantics)
    for step in range(STEPS):
        chosen = slice(step * BATCH % SAMPLES, step * BATCH % SAMPLES + BATCH)
        error = inputs[chosen] @ w.detach() - targets[chosen]
        # g = 2 ∂L/∂w* of the mean |error|², written out so that every operation rotates exactly.
        gradient = 2 * (inputs[chosen].mH @ error) / error.numel()
        transformed, _ = transform_gradients(
            {"w": gradient.unsqueeze(0)}, Convention(), candidate.clip
        )
        w.grad = transformed["w"].squeeze(0)
        optimizer.step()
    return w.detach()
