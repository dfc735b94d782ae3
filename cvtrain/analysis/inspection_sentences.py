"""Sentences on the inspection of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from cvtrain.analysis.share_along_training import ShareAlongTraining
from cvtrain.gradients.measured_gradient import GradientReading
from cvtrain.gradients.textbook_losses import RecognisedLoss
from cvtrain.theory import factor_octaves

Effect: TypeAlias = Literal["relabelling", "nothing", "shift"]


@dataclass(frozen=True)
class InspectedParameter:
    """A parameter of an inspected network.

    Attributes:
        name: name within the network.
        shape: shape of the parameter.
        is_complex: whether it is complex.
        reading: what ``w.grad`` is; None if it is not trained (``requires_grad=False``).
        norm: norm of its gradient over all samples.
        share: its share of the squared gradient of all parameters, over all samples.
        nonfinite: number of entries of the gradient that are NaN or infinite.
        units: number of slices along the first axis.
        dead: number of slices whose gradient is 0 over all samples while that of other slices is
            not.
    """

    name: str
    shape: tuple[int, ...]
    is_complex: bool
    reading: GradientReading | None
    norm: float
    share: float
    nonfinite: int
    units: int
    dead: int


IN_FORCE = {
    "pytorch": "w.grad of complex parameters is 2 ∂L/∂w*, PyTorch's convention.",
    "wirtinger": "w.grad of complex parameters is ∂L/∂w*, half of PyTorch's: the convention"
    " wirtinger is in force.",
}
ANOTHER = {
    "wirtinger": "half of PyTorch's gradient",
    "unconjugated": "the conjugate of PyTorch's gradient, which is no direction of descent",
    "unconjugated_wirtinger": "half of the conjugate of PyTorch's gradient, which is no direction"
    " of descent",
}
STATES = {
    "wrong": "is not the derivative of the loss",
    "detached": "is zero or missing, although the loss depends on the parameter",
    "unused": "is missing: the loss does not depend on the parameter",
    "not finite": "is NaN or infinite",
    "kink": "has no derivative to be compared with: the loss has a kink at these weights",
    "unclear": "is too small or the loss too rough to be compared with its derivative",
    "zero": "is zero, or too small to be told from rounding: the loss hardly depends on the"
    " parameter here",
}
FAULTS = ("wrong", "detached", "unused", "not finite")
MOST_NAMES = 4


def faults_of(parameters: Sequence[InspectedParameter], convention: str | None) -> tuple[str, ...]:
    """Sentences on what is wrong with the gradients."""
    names_by_fault: dict[str, list[str]] = {}
    for p in parameters:
        for text in _faults_of_one(p, convention):
            names_by_fault.setdefault(text, []).append(p.name)
    return tuple(f"w.grad {text}: {_listed(names)}." for text, names in names_by_fault.items())


def _faults_of_one(p: InspectedParameter, convention: str | None) -> Iterator[str]:
    r = p.reading
    if r is None:
        return
    if r.state in FAULTS:
        yield STATES[r.state]
    elif r.state == "factor":
        yield f"is {r.factor:.4g} × PyTorch's gradient"
    elif r.convention not in (None, "pytorch") and (r.convention, convention) != ("wirtinger",) * 2:
        yield f"is {ANOTHER[str(r.convention)]}"
    if p.nonfinite and r.state != "not finite":
        yield "has entries that are NaN or infinite over all samples"


def notes_of(
    parameters: Sequence[InspectedParameter],
    convention: str | None,
    loss: RecognisedLoss | None,
    dtype: torch.dtype,
) -> tuple[str, ...]:
    """Sentences on gradients and loss that report no fault."""
    notes = [IN_FORCE[convention]] if convention in IN_FORCE else []
    for state in ("kink", "unclear", "zero"):
        names = [p.name for p in parameters if p.reading is not None and p.reading.state == state]
        if names:
            notes.append(f"w.grad {STATES[state]}: {_listed(names)}.")
    dead = [f"{p.name} ({p.dead} of {p.units})" for p in parameters if p.dead]
    if dead:
        notes.append(f"Units without gradient over all samples: {_listed(dead)}.")
    if loss is None:
        notes.append("The loss is none of those known here, so a ½ in it would not be noticed.")
    else:
        notes.append(loss.sentence)
    if dtype != torch.complex128:
        notes.append(
            "Measured in single precision, as the network does not run in double; readings are less"
            " sharp."
        )
    return tuple(notes)


def part_sentence(samples: int, available: int) -> tuple[str, ...]:
    """A sentence if not all samples were used, else none."""
    if samples >= available:
        return ()
    return (
        f"Gradients and shares are of the first {samples:,} of {available:,} samples: more would"
        " take too long here.",
    )


def effect_sentence(
    effect: Effect, share: float | None, along: ShareAlongTraining | None = None
) -> str:
    """The effect of half the gradient of complex parameters on a training, and the reason."""
    if effect == "relabelling":
        return (
            "All trained parameters are complex, so the factor 2 is a relabelling: half the"
            " gradient is half the learning rate under SGD, exactly, and twice eps under Adam."
        )
    if effect == "nothing":
        return (
            "All trained parameters are real, so the factor 2 does nothing: every convention gives"
            " the same gradient."
        )
    if share is None:
        return "Complex and real parameters are trained, and there is no gradient to compare."
    octaves = factor_octaves(share)
    return (
        f"Complex parameters carry s = {share:.3g} of the squared gradient, so half their gradient"
        f" slows SGD to 1 − s/2 of its speed: the curve over the learning rate moves by about"
        f" −log₂(1 − s/2) = {octaves:.2f} octaves, to rates {2**octaves:.2f} times as large. This"
        " is to first order, and s is that of these weights; it changes along a training."
        f"{_along_sentence(along)}"
    )


def _along_sentence(along: ShareAlongTraining | None) -> str:
    if along is None:
        return ""
    octaves = factor_octaves(along.share)
    first, last = along.losses
    return (
        f" Averaged over {along.steps} updates of SGD at the rate {along.rate:.3g}, which brought"
        f" the loss from {first:.4g} to {last:.4g}, s = {along.share:.3g}: {octaves:.2f} octaves,"
        f" to rates {2**octaves:.2f} times as large."
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
