"""What is measured at an update, for K runs at once.

Tensors carry a leading axis of K runs and are named as the plain module names its parameters. A
complex quantity is never cast: it is split, by name, into real and imaginary parts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

TRACED_ENTRIES = 4
"""How many entries of a parameter too large to be traced whole are traced."""

Tensors = Mapping[str, Tensor]


def measure(
    weights: Tensors,
    gradients: Tensors,
    handed: Tensors,
    next_weights: Tensors,
    *,
    solution: Tensors | None = None,
    elementwise: int = TRACED_ENTRIES,
    per_parameter: bool = False,
) -> dict[str, Tensor]:
    """Signals of one update, each a real [K] tensor.

    Args:
        weights: parameters before the update, by name, [K, …].
        gradients: g = ∂L/∂Re w + i·∂L/∂Im w of the objective, as autograd left it.
        handed: what the optimizer was handed, after convention and clipping.
        next_weights: parameters after the update.
        solution: w° by name, without the leading axis, where it is known for every parameter.
        elementwise: complex parameters of at most so many entries are traced entry by entry,
            larger ones at `TRACED_ENTRIES` fixed entries.
        per_parameter: add the gradient norms of each parameter.

    Returns:
        ``grad/{norm,real_norm,imag_norm,circularity,nonfinite}``, ``handed/norm``,
        ``update/{norm,ratio}``, the traces ``grad/<parameter>/{real,imag}[i,j]`` (under ``handed/``
        too for parameters traced whole) and the signals of `measure_weights`. ``grad/circularity``
        = |Σg²| / Σ|g|² over the entries of complex parameters (0 where they are all zero): 0 for a
        gradient without a preferred direction in the plane, 1 for one on a line.
    """
    signals: dict[str, Tensor] = {}
    real, imag = parts(gradients)
    real_norm, imag_norm = _norm(real), _norm(imag)
    signals["grad/norm"] = torch.hypot(real_norm, imag_norm)
    signals["grad/real_norm"] = real_norm
    signals["grad/imag_norm"] = imag_norm
    complex_entries = imag.shape[1]
    if complex_entries:
        signals["grad/circularity"] = circularity(real[:, :complex_entries], imag)
    unusable = ~real.isfinite()
    unusable[:, :complex_entries] |= ~imag.isfinite()
    signals["grad/nonfinite"] = unusable.sum(dim=1)
    if per_parameter:
        for name, gradient in gradients.items():
            signals |= _parameter_norms(name, gradient)
    shapes = complex_shapes(gradients)
    signals |= _traces("grad", shapes, real, imag, elementwise)

    handed_parts = parts(handed)
    signals["handed/norm"] = _norm(*handed_parts)
    signals |= _traces("handed", shapes, *handed_parts, elementwise, whole=True)
    weight_real, weight_imag = parts(weights)
    next_real, next_imag = parts(next_weights)
    update_norm = _norm(next_real - weight_real, next_imag - weight_imag)
    weight_norm = _norm(weight_real, weight_imag)
    signals["update/norm"] = update_norm
    signals["update/ratio"] = update_norm / weight_norm
    signals["weight/norm"] = weight_norm
    if solution:
        signals["weight/error"] = relative_error(weights, solution)
    return signals | _traces("weight", shapes, weight_real, weight_imag, elementwise)


def measure_weights(
    weights: Tensors, *, solution: Tensors | None = None, elementwise: int = TRACED_ENTRIES
) -> dict[str, Tensor]:
    """Signals of the weights alone: ``weight/norm``, the traces ``weight/<parameter>/…``, and
    ``weight/error`` = ‖w−w°‖/‖w°‖ where the solution w° is known."""
    real, imag = parts(weights)
    signals = {"weight/norm": _norm(real, imag)}
    if solution:
        signals["weight/error"] = relative_error(weights, solution)
    return signals | _traces("weight", complex_shapes(weights), real, imag, elementwise)


def relative_error(weights: Tensors, solution: Tensors) -> Tensor:
    """‖w−w°‖/‖w°‖ over all parameters, [K]; w° has no leading axis."""
    error = parts({name: weights[name] - solution[name] for name in weights})
    size = parts({name: solution[name].unsqueeze(0) for name in weights})
    return _norm(*error) / _norm(*size)


def parts(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """Real parts [K, n] of all entries, complex parameters first, and imaginary parts [K, m ≤ n]
    of the complex ones, in the same order."""
    complex_ones = [t for t in tensors.values() if t.is_complex()]
    real_ones = [t for t in tensors.values() if not t.is_complex()]
    real = [rows(t.real) for t in complex_ones] + [rows(t) for t in real_ones]
    imag = [rows(t.imag) for t in complex_ones]
    joined = torch.cat(real, dim=1)
    return joined, torch.cat(imag, dim=1) if imag else joined.new_empty(joined.shape[0], 0)


def rows(stacked: Tensor) -> Tensor:
    """[K, …] as [K, n]; a scalar parameter, [K], has n = 1."""
    return stacked.reshape(stacked.shape[0], -1)


def circularity(real: Tensor, imag: Tensor) -> Tensor:
    """|Σz²| / Σ|z|² of z = real + i·imag over the last axis; [K]; 0 where all z are 0.

    The circularity quotient of Ollila, "On the circularity of a complex random variable", IEEE
    Signal Processing Letters 15, 2008.
    """
    energy_real, energy_imag = real.square().sum(-1), imag.square().sum(-1)
    pseudo = torch.hypot(energy_real - energy_imag, 2 * (real * imag).sum(-1))
    energy = energy_real + energy_imag
    return torch.where(energy > 0, pseudo / energy, torch.zeros_like(energy))


Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def complex_shapes(tensors: Tensors) -> Shapes:
    """Names and shapes, without the leading axis, of the complex ones."""
    return tuple((name, tuple(t.shape[1:])) for name, t in tensors.items() if t.is_complex())


def _traces(
    group: str,
    shapes: Shapes,
    real: Tensor,
    imag: Tensor,
    elementwise: int,
    whole: bool = False,
) -> dict[str, Tensor]:
    """``<group>/<parameter>/{real,imag}[i,j]`` of the traced entries, from what `parts` gives;
    `whole`: only of parameters of which every entry is traced."""
    columns, labels = traced_columns(shapes, elementwise, whole)
    if not labels:
        return {}
    there = columns.to(real.device)
    signals: dict[str, Tensor] = {}
    for part, entries in (("real", real), ("imag", imag)):
        tags = (f"{group}/{name}/{part}{label}" for name, label in labels)
        signals.update(zip(tags, entries.index_select(1, there).unbind(1), strict=True))
    return signals


@lru_cache
def traced_columns(
    shapes: Shapes, elementwise: int, whole: bool
) -> tuple[Tensor, list[tuple[str, str]]]:
    """The columns of `parts` that hold traced entries, and their parameters and labels."""
    columns: list[Tensor] = []
    labels: list[tuple[str, str]] = []
    begin = 0
    for name, shape in shapes:
        count = math.prod(shape)
        if count <= elementwise or not whole:
            entries, told = traced_entries(shape, elementwise)
            columns.append(entries + begin)
            labels += [(name, label) for label in told]
        begin += count
    return torch.cat(columns) if columns else torch.empty(0, dtype=torch.int64), labels


def traced_entries(shape: tuple[int, ...], elementwise: int) -> tuple[Tensor, list[str]]:
    """Flat positions and labels such as ``[0,3]`` of the entries that are traced.

    All of them in a parameter of at most `elementwise` entries; else the first, the last and those
    at a third and two thirds, so that every run of a sweep shows the same ones.
    """
    count = math.prod(shape)
    if count <= elementwise:
        chosen = list(range(count))
    else:
        spread = (i * (count - 1) // (TRACED_ENTRIES - 1) for i in range(TRACED_ENTRIES))
        chosen = sorted(set(spread))
    return torch.tensor(chosen), [_label(position, shape) for position in chosen]


def _label(position: int, shape: tuple[int, ...]) -> str:
    indices: list[int] = []
    for size in reversed(shape):
        position, index = divmod(position, size)
        indices.insert(0, index)
    return f"[{','.join(map(str, indices))}]" if shape else ""


def histograms(group: str, tensors: Tensors) -> dict[str, Tensor]:
    """Real tensors [K, …] to draw: real, imag, abs and phase of complex ones, real ones alone."""
    drawn: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.is_complex():
            drawn[f"{group}/{name}/real"] = tensor.real
            drawn[f"{group}/{name}/imag"] = tensor.imag
            drawn[f"{group}/{name}/abs"] = tensor.abs()
            drawn[f"{group}/{name}/phase"] = tensor.angle()
        else:
            drawn[f"{group}/{name}"] = tensor
    return drawn


def _parameter_norms(name: str, gradient: Tensor) -> dict[str, Tensor]:
    real, imag = parts({name: gradient})
    signals = {f"grad/{name}/norm": _norm(real, imag), f"grad/{name}/real_norm": _norm(real)}
    if gradient.is_complex():
        signals[f"grad/{name}/imag_norm"] = _norm(imag)
    return signals


def _norm(*pieces: Tensor) -> Tensor:
    norms = [torch.linalg.vector_norm(piece, dim=1) for piece in pieces]
    return norms[0] if len(norms) == 1 else torch.hypot(*norms)
