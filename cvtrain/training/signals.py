"""The logged signals of an update, for K runs at once (not signals of the operating system).

Tensors have a leading axis of K runs and the names of the plain module's parameters. Complex
quantities are never cast: they are split into real and imaginary parts, and the tag says which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

TRACED_ENTRIES = 4
"""Number of traced entries of a parameter that is too large to be traced whole."""

Tensors = Mapping[str, Tensor]


def measure(
    weights: Tensors,
    gradients: Tensors,
    transformed: Tensors,
    next_weights: Tensors,
    *,
    solution: Tensors | None = None,
    elementwise: int = TRACED_ENTRIES,
    per_parameter: bool = False,
) -> dict[str, Tensor]:
    """Signals of one update, each a real [K] tensor.

    Args:
        weights: parameters before the update, by name, [K, …].
        gradients: g = ∂L/∂Re w + i·∂L/∂Im w of the objective, as computed by autograd.
        transformed: gradients after convention and clipping, which the optimizer receives.
        next_weights: parameters after the update.
        solution: w° by name, [1, …] or [K, …], if it is known for every parameter.
        elementwise: complex parameters with at most this many entries are traced entry by entry,
            larger ones at `TRACED_ENTRIES` fixed entries.
        per_parameter: whether to add the gradient norms of each parameter.

    Returns:
        ``grad/{norm,real_norm,imag_norm,circularity,nonfinite}``,
        ``optimizer_grad/{norm,real_norm,imag_norm}``, ``update/{norm,ratio}``, the traces
        ``grad/<parameter>/{real,imag}[i,j]`` (for parameters traced whole under
        ``optimizer_grad/`` too) and the signals of `measure_weights`.
        ``grad/circularity`` = |Σg²| / Σ|g|² over the entries of complex parameters: 0 for a
        gradient without a preferred direction in the plane (or zero), 1 for one on a line.
    """
    real, imag = parts(gradients)
    norms = _norms(gradients, real, imag)
    signals = {f"grad/{name}": values for name, values in norms.items()}
    complex_entries = imag.shape[1]
    if complex_entries:
        signals["grad/circularity"] = circularity(real[:, :complex_entries], imag)
    signals["grad/nonfinite"] = nonfinite(real, imag)
    if per_parameter:
        for name, gradient in gradients.items():
            signals |= _parameter_norms(name, gradient)
    signals |= _traces("grad", gradients, elementwise)

    # If nothing is transformed, these are the same tensors, whose norms are known.
    if any(transformed[name] is not gradient for name, gradient in gradients.items()):
        norms = _norms(transformed, *parts(transformed))
    signals |= {f"optimizer_grad/{name}": values for name, values in norms.items()}
    signals |= _traces("optimizer_grad", transformed, elementwise, whole=True)
    update_norm = norm({name: next_weights[name] - weights[name] for name in weights})
    of_weights = measure_weights(weights, solution=solution, elementwise=elementwise)
    signals["update/norm"] = update_norm
    signals["update/ratio"] = update_norm / of_weights["weight/norm"]
    return signals | of_weights


def measure_weights(
    weights: Tensors, *, solution: Tensors | None = None, elementwise: int = TRACED_ENTRIES
) -> dict[str, Tensor]:
    """Signals of the weights alone, [K] by tag: ``weight/norm``, ``weight/error`` = ‖w−w°‖/‖w°‖ if
    the solution w° is known, and the traces ``weight/<parameter>/…``."""
    signals = {"weight/norm": norm(weights)}
    if solution:
        signals["weight/error"] = relative_error(weights, solution)
    return signals | _traces("weight", weights, elementwise)


def _norms(tensors: Tensors, real: Tensor, imag: Tensor) -> dict[str, Tensor]:
    """Norms [K] of tensors and of their `parts`."""
    return {
        "norm": norm(tensors),
        "real_norm": torch.linalg.vector_norm(real, dim=1),
        "imag_norm": torch.linalg.vector_norm(imag, dim=1),
    }


def norm(tensors: Tensors) -> Tensor:
    """√Σ|z|² over the entries z of all tensors [K, …]; real [K]."""
    norms = [torch.linalg.vector_norm(real_rows(tensor), dim=1) for tensor in tensors.values()]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def relative_error(weights: Tensors, solution: Tensors) -> Tensor:
    """‖w−w°‖/‖w°‖ over all parameters; real [K]. The solution w° is [1, …] or [K, …]."""
    error = norm({name: weights[name] - solution[name] for name in weights})
    return error / norm({name: solution[name] for name in weights})


def nonfinite(real: Tensor, imag: Tensor) -> Tensor:
    """Number of entries with a NaN or infinite part, int64 [K], from the result of `parts`."""
    # x − x is 0 for finite x, else NaN: takes half the time of `isfinite` of both parts.
    unusable = real - real
    unusable[:, : imag.shape[1]] += imag - imag
    return unusable.isnan().sum(dim=1)


def real_rows(stacked: Tensor) -> Tensor:
    """A tensor [K, …] as real [K, n], both parts of each complex entry side by side."""
    return rows(torch.view_as_real(stacked.resolve_conj()) if stacked.is_complex() else stacked)


def parts(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """Real parts [K, n] of all entries, complex parameters first, and imaginary parts [K, m ≤ n] of
    the complex entries in the same order."""
    complex_ones = [t for t in tensors.values() if t.is_complex()]
    real_ones = [t for t in tensors.values() if not t.is_complex()]
    real = [rows(t.real) for t in complex_ones] + [rows(t) for t in real_ones]
    imag = [rows(t.imag) for t in complex_ones]
    joined = torch.cat(real, dim=1)
    return joined, torch.cat(imag, dim=1) if imag else joined.new_empty(joined.shape[0], 0)


def rows(stacked: Tensor) -> Tensor:
    """A tensor [K, …] as [K, n]; a scalar parameter [K] has n = 1."""
    return stacked.reshape(stacked.shape[0], -1)


def circularity(real: Tensor, imag: Tensor) -> Tensor:
    """|Σz²| / Σ|z|² of z = real + i·imag over the last axis, [K]; 0 if all z are 0.

    The circularity quotient of Ollila, "On the circularity of a complex random variable", IEEE
    Signal Processing Letters 15, 2008.
    """
    energy_real, energy_imag = real.square().sum(-1), imag.square().sum(-1)
    pseudo = torch.hypot(energy_real - energy_imag, 2 * (real * imag).sum(-1))
    energy = energy_real + energy_imag
    return torch.where(energy > 0, pseudo / energy, torch.zeros_like(energy))


def _traces(
    group: str, tensors: Tensors, elementwise: int, whole: bool = False
) -> dict[str, Tensor]:
    """Traces ``<group>/<parameter>/{real,imag}[i,j]`` of complex tensors, [K] by tag; with `whole`
    only of those that are traced in every entry."""
    entries: list[Tensor] = []
    labels: list[str] = []
    for name, tensor in tensors.items():
        if not tensor.is_complex():
            continue
        columns, entry_labels = traced_entries(tuple(tensor.shape[1:]), elementwise)
        if whole and len(columns) < math.prod(tensor.shape[1:]):
            continue
        entries.append(rows(tensor).index_select(1, columns.to(tensor.device)))
        labels += [f"{name}/{{part}}{label}" for label in entry_labels]
    if not labels:
        return {}
    joined = torch.view_as_real(torch.cat(entries, dim=1).resolve_conj())
    signals: dict[str, Tensor] = {}
    for index, part in enumerate(("real", "imag")):
        tags = (f"{group}/{label.format(part=part)}" for label in labels)
        signals.update(zip(tags, joined[..., index].unbind(1), strict=True))
    return signals


@lru_cache
def traced_entries(shape: tuple[int, ...], elementwise: int) -> tuple[Tensor, list[str]]:
    """Flat positions of the traced entries, int64 [n], and their labels, such as ``[0,3]``.

    These are all entries of a parameter with at most `elementwise` entries; otherwise the first,
    the last and those at one and two thirds, so that every run of a sweep shows the same entries.
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
    """Real tensors [K, …] by tag for histograms: real and imaginary part, modulus and phase of
    complex tensors, and real tensors themselves."""
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
    norms = _norms({name: gradient}, *parts({name: gradient}))
    if not gradient.is_complex():
        del norms["imag_norm"]
    return {f"grad/{name}/{kind}": values for kind, values in norms.items()}
