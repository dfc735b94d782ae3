"""Find the gradient convention of a user's network, and what a factor 2 does to its training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from cvtrain.analysis import inspection_table
from cvtrain.analysis.inspected_network import InspectedNetwork, Pieces
from cvtrain.analysis.inspection_sentences import (
    Effect,
    InspectedParameter,
    effect_sentence,
    faults_of,
    notes_of,
    part_sentence,
)
from cvtrain.analysis.share_along_training import ShareAlongTraining, share_along_training
from cvtrain.gradients.culprits import Culprit, dropped_imaginary_parts
from cvtrain.gradients.directional import read_gradients
from cvtrain.gradients.measured_gradient import GradientReading
from cvtrain.gradients.textbook_losses import RecognisedLoss
from cvtrain.process.errors import InputError
from cvtrain.theory import factor_octaves

PROBED = 8
"""Number of samples on which derivatives are measured."""
PIECE = 512
"""Largest number of samples whose gradient is computed at once."""
SECONDS = 40.0
"""Time after which no further piece is added to a gradient, in seconds."""
UNREAD = ("zero", "unused", "unclear", "kink")
"""States of a reading from which no convention follows."""


@dataclass(frozen=True, repr=False)
class Inspection:
    """Result of `inspect`; shown as a table in a terminal and in a notebook.

    Attributes:
        parameters: parameters of the network, in its order.
        faults: what is wrong, one sentence per fault; empty if nothing is.
        notes: remarks that are no faults.
        culprits: code that causes the faults.
        loss: the textbook loss that the loss equals, or None if it is not recognised.
        convention: name in `CONVENTIONS` of the convention of all complex parameters; None without
            complex parameters, or if they differ.
        complex_share: share s of the squared gradient over all samples that complex parameters
            carry; None without a gradient.
        effect: effect of a factor 2 in the gradient of complex parameters under SGD: a
            ``relabelling`` of the learning rate, ``nothing``, or a ``shift`` of the curve over the
            learning rate.
        octaves: shift −log₂(1 − s/2) of the learning-rate curve by half the gradient.
        along: the share averaged along a short training; None if not requested, or if `effect` is
            known without it.
        samples: number of samples whose gradients were computed.
        available: number of samples in the data.
        dtype: precision in which derivatives were measured.
    """

    parameters: tuple[InspectedParameter, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    culprits: tuple[Culprit, ...]
    loss: RecognisedLoss | None
    convention: str | None
    complex_share: float | None
    effect: Effect
    octaves: float | None
    along: ShareAlongTraining | None
    samples: int
    available: int
    dtype: torch.dtype

    @property
    def ok(self) -> bool:
        """Whether no fault was detected."""
        return not self.faults

    @property
    def average_octaves(self) -> float | None:
        """Shift −log₂(1 − s/2) for the share s averaged along a training; None without one."""
        return None if self.along is None else factor_octaves(self.along.share)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings as sentences: faults first, then the effect of the factor 2."""
        effect = effect_sentence(self.effect, self.complex_share, self.along)
        part = part_sentence(self.samples, self.available)
        return (*(f"WRONG: {fault}" for fault in self.faults), *self.notes, *part, effect)

    def __str__(self) -> str:
        return inspection_table.as_text(self.parameters, self.sentences)

    def __repr__(self) -> str:
        return (
            f"Inspection(ok={self.ok}, convention={self.convention!r}, effect={self.effect!r},"
            f" complex_share={self.complex_share}, octaves={self.octaves})"
        )

    def _repr_html_(self) -> str:
        return inspection_table.as_html(self.parameters, self.sentences)


def inspect(
    module: nn.Module,
    inputs: Any,
    targets: Any,
    loss: Callable[[Any, Any], Tensor],
    steps: int = 0,
) -> Inspection:
    """Find which gradient convention a network has, and what the factor 2 does to its training.

    The gradient of each parameter is compared with derivatives of the loss along random directions,
    in double precision. The network is copied and keeps its mode (training or evaluation). Every
    call uses the same random masks, and buffers are restored.
    Args:
        module: the network, with the weights at which it is inspected.
        module: the network, with the weights at which it is inspected.
        inputs: a tensor [N, …], or a tuple of such tensors, which `module` takes as arguments. All
            samples count in the shares of the squared gradient, so pass the training set.
        targets: a tensor [N, …], or any object that `loss` takes.
        loss: function of outputs and targets that returns a real number, or one per sample, whose
            mean is taken.
        steps: number of SGD updates of a short training of the copy, along which the share is
            averaged; 0: none.

    Raises:
        InputError: network or loss raise an error, or the loss is not a real number.
    """
    count = len(tree_leaves(inputs)[0])

    def piece(begin: int, end: int) -> tuple[Any, Any]:
        def cut(leaf: Any) -> Any:
            return leaf[begin:end] if isinstance(leaf, Tensor) and leaf.dim() else leaf

        return tree_map(cut, inputs), tree_map(cut, targets)

    def pieces() -> Iterator[tuple[Any, Any]]:
        return (piece(begin, begin + PIECE) for begin in range(0, count, PIECE))

    return inspect_pieces(module, piece(0, PROBED), pieces, loss, count, steps)


def inspect_pieces(
    module: nn.Module,
    probe: tuple[Any, Any],
    pieces: Pieces,
    loss: Callable[[Any, Any], Tensor],
    available: int,
    steps: int = 0,
    size: Callable[[Any], float] | None = None,
) -> Inspection:
    """Inspect a network as `inspect` does, on data that come in pieces.

    Args:
        module: the network.
        probe: a few inputs and targets, on which derivatives are measured.
        pieces: inputs and targets of all samples.
        loss: function of outputs and targets.
        available: number of all samples. The gradient covers as many as `SECONDS` allow.
        steps: number of updates of a short training along which the share is averaged.
        size: weight of the targets of a piece in a mean; None: the number of samples.

    Raises:
        InputError: network or loss raise an error.
    """
    problem = InspectedNetwork.in_double(module, probe, loss)
    problem.size = size
    with dropped_imaginary_parts(problem.network) as dropped:
        value, repeated = problem.value(), problem.value()
        if not torch.equal(value, repeated) and not bool(repeated.isnan()):
            raise InputError(
                "module: the loss differs between two calls on the same weights, samples and random"
                f" numbers, {value.item():.9g} and {repeated.item():.9g}"
            )
        trained = {n: p for n, p in problem.network.named_parameters() if p.requires_grad}
        readings = read_gradients(problem.value, trained)
        contradicting = [name for name, reading in readings.items() if reading.contradicts]
        culprits = problem.culprits(contradicting) if contradicting else []
        samples = problem.accumulate(pieces(), SECONDS)
        recognised = problem.recognised()
    parameters = _inspected(problem.network, readings)
    share, convention = _complex_share(parameters), _convention(parameters)
    faults = faults_of(parameters, convention)
    culprits_said = tuple(f"Reason: {culprit}." for culprit in culprits)
    kinds = {p.is_complex for p in parameters if p.reading and p.reading.state != "unused"}
    effect: Effect = "shift" if len(kinds) == 2 else "relabelling" if True in kinds else "nothing"
    trains = steps > 0 and effect == "shift" and not faults
    return Inspection(
        parameters=parameters,
        faults=(
            *(f"There is {cast}." for cast in dropped),
            *faults,
            *(culprits_said if faults else ()),
        ),
        notes=notes_of(parameters, convention, recognised, problem.dtype)
        + (() if faults else culprits_said),
        culprits=(*dropped, *culprits),
        loss=recognised,
        convention=convention,
        complex_share=share,
        effect=effect,
        octaves=None if share is None else factor_octaves(share),
        along=share_along_training(problem, pieces, samples, steps) if trains else None,
        samples=samples,
        available=available,
        dtype=problem.dtype,
    )


def _inspected(
    network: nn.Module, readings: dict[str, GradientReading]
) -> tuple[InspectedParameter, ...]:
    gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    squares = {n: float(g.abs().square().nansum()) for n, g in gradients.items()}
    total = sum(squares.values())
    rows = []
    for name, p in network.named_parameters():
        g, square = gradients.get(name), squares.get(name, 0.0)
        dead = 0
        reading = readings.get(name)
        is_zero = reading is not None and reading.state == "zero"
        if g is not None and g.dim() and bool(g.any()) and not is_zero:
            dead = int((~g.reshape(len(g), -1).any(dim=1)).sum())
        rows.append(
            InspectedParameter(
                name=name,
                shape=tuple(p.shape),
                is_complex=p.is_complex(),
                reading=reading,
                norm=math.sqrt(square),
                share=square / total if total > 0 else 0.0,
                nonfinite=0 if g is None else int((~torch.isfinite(g)).sum()),
                units=len(p) if p.dim() else 1,
                dead=dead,
            )
        )
    return tuple(rows)


def _complex_share(parameters: Sequence[InspectedParameter]) -> float | None:
    share = math.fsum(p.share for p in parameters if p.is_complex)
    total = math.fsum(p.share for p in parameters)
    return min(1.0, share / total) if 0 < total < math.inf else None


def _convention(parameters: Sequence[InspectedParameter]) -> str | None:
    """The convention that all clearly measured complex parameters share, or None."""
    seen = {
        p.reading.convention
        for p in parameters
        if p.is_complex and p.reading is not None and p.reading.state not in UNREAD
    }
    return seen.pop() if len(seen) == 1 else None
