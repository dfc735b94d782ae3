"""torch's operations on complex tensors as operations on their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from cvtrain.training.planes import NoRealForm, Pairs, Planes

aten = torch.ops.aten


def _sum(*terms: tuple[int, Any]) -> Any:
    """Σ sign·term over the terms that are not None; None if there is none."""
    known = sorted((term for term in terms if term[1] is not None), key=lambda term: -term[0])
    if not known:
        return None
    (sign, total), rest = known[0], known[1:]
    if sign < 0:
        total = -total
    for sign, term in rest:
        total = total + term if sign > 0 else total - term
    return total


def _bilinear(function: Callable[[Any, Any], Any], a: Any, b: Any) -> Planes:
    """f(a, b) for a real bilinear f, such as a product of numbers or matrices."""
    a, b = Planes.of(a), Planes.of(b)

    def of(x: Any, y: Any) -> Any:
        absent = any(part is None or (isinstance(part, float) and part == 0) for part in (x, y))
        return None if absent else function(x, y)

    re = _sum((1, of(a.re, b.re)), (-a.sign * b.sign, of(a.im, b.im)))
    im = _sum((b.sign, of(a.re, b.im)), (a.sign, of(a.im, b.re)))
    return Planes(torch.zeros_like(im) if re is None else re, im)


def _conjugate(z: Any) -> Planes:
    planes = Planes.of(z)
    return Planes(planes.re, planes.im, -planes.sign)


def _plus(a: Any, b: Any, alpha: Any = 1, sign: int = 1) -> Planes:
    a, b = Planes.of(a), Planes.of(b)
    if alpha != 1:
        b = _bilinear(lambda x, y: x * y, b, alpha)
    return Planes(_sum((1, a.re), (sign, b.re)), _sum((a.sign, a.im), (sign * b.sign, b.im)))


def _times(a: Any, b: Any) -> Planes:
    return _bilinear(lambda x, y: x * y, a, b)


def _modulus(z: Planes) -> Tensor:
    modulus: Tensor = z.re.abs() if z.im is None else torch.hypot(z.re, z.im)
    return modulus


def _sgn(z: Planes) -> Planes:
    modulus = _modulus(z)
    divisor = torch.where(modulus == 0, 1, modulus)
    return z.each(lambda part: part / divisor)


def _divided(a: Any, b: Any) -> Planes:
    if not isinstance(b, Planes):
        return Planes.of(a).each(lambda part: part / b)
    numerator = _times(a, Planes(b.re, b.im, -b.sign))
    square = b.re * b.re if b.im is None else b.re * b.re + b.im * b.im
    return numerator.each(lambda part: part / square)


def _where(condition: Tensor, a: Any, b: Any) -> Planes:
    a, b = Planes.of(a), Planes.of(b)
    return Planes(torch.where(condition, a.re, b.re), torch.where(condition, a.imag, b.imag))


def _cast(z: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
    planes = Planes.of(z)
    if dtype is None:
        return planes
    if dtype == torch.bool:
        return planes.re != 0 if planes.im is None else (planes.re != 0) | (planes.im != 0)
    if not dtype.is_complex:
        raise NoRealForm(f"a cast of complex numbers to {dtype}, which loses the imaginary part")
    return planes.each(lambda part: part.to(dtype.to_real()))


def _joined(function: Callable[..., Any]) -> Callable[..., Planes]:
    def of_tensors(tensors: Sequence[Any], *args: Any) -> Planes:
        planes = [Planes.of(tensor) for tensor in tensors]
        re = function([z.re for z in planes], *args)
        return Planes(re, function([z.imag for z in planes], *args))

    return of_tensors


def _constant(value: float) -> Callable[..., Any]:
    """Tensors like a complex one, or of another size, that hold one real value."""

    def filled(z: Planes, *size: Any, dtype: torch.dtype | None = None, **_: Any) -> Any:
        re = z.re.new_full(size[0] if size else z.re.shape, value)
        if dtype is None or dtype.is_complex:
            return Planes(re if dtype is None else re.to(dtype.to_real()))
        return re.to(dtype)

    return filled


def _norm(
    z: Planes, order: float = 2, dims: Sequence[int] | None = None, keeps: bool = False
) -> Tensor:
    if order != 2:
        raise NoRealForm(f"a norm of order {order} of complex numbers")
    square = z.re.square() if z.im is None else z.re.square() + z.im.square()
    norm: Tensor = square.sum(dims, keeps).sqrt()
    return norm


_COMPLEX: dict[Any, Callable[..., Any]] = {
    aten._conj.default: _conjugate,
    aten._conj_physical.default: _conjugate,
    aten.conj_physical.default: _conjugate,
    aten.mul.Tensor: _times,
    aten.mul.Scalar: _times,
    aten.bmm.default: lambda a, b: _bilinear(torch.bmm, a, b),
    aten.mm.default: lambda a, b: _bilinear(torch.mm, a, b),
    aten.add.Tensor: _plus,
    aten.sub.Tensor: lambda a, b, alpha=1: _plus(a, b, alpha, sign=-1),
    aten.neg.default: lambda z: z.each(lambda part: -part),
    aten.addcmul.default: lambda a, b, c, value=1: _plus(a, _times(b, c), value),
    aten.div.Tensor: _divided,
    aten.abs.default: _modulus,
    aten.sgn.default: _sgn,
    aten.where.self: _where,
    aten.cat.default: _joined(torch.cat),
    aten.stack.default: _joined(torch.stack),
    aten._to_copy.default: _cast,
    aten.new_ones.default: _constant(1.0),
    aten.new_zeros.default: _constant(0.0),
    aten.ones_like.default: _constant(1.0),
    aten.zeros_like.default: _constant(0.0),
    aten.linalg_vector_norm.default: _norm,
    aten.complex.default: lambda re, im: Planes(re, im),
    aten.view_as_real.default: lambda z: Pairs(z.re, z.imag),
    aten.view_as_complex.default: lambda pairs: Planes(*_both(pairs)),
}
"""Operations on `Planes`, by function of torch."""

_RESHAPED = {aten.view.default, aten._unsafe_view.default, aten.reshape.default}
_OF_EACH_PART = {
    *_RESHAPED,
    aten.expand.default,
    *(aten.permute.default, aten.transpose.int, aten.t.default, aten.unsqueeze.default),
    *(aten.squeeze.dim, aten.squeeze.dims, aten.select.int, aten.slice.Tensor),
    *(aten.clone.default, aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default),
    *(aten.sum.default, aten.sum.dim_IntList, aten.mean.dim, aten.index_select.default),
    *(aten.select_backward.default, aten.slice_backward.default, aten.flip.default),
    *(aten.constant_pad_nd.default, aten.index.Tensor, aten.embedding.default),
}
"""Linear operations of one tensor that have real coefficients."""


def complex_operation(target: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operation of torch on `Planes`, or of one that makes complex numbers from
    real ones.

    Raises:
        NoRealForm: the operation has no form on parts here.
    """
    if target in _COMPLEX:
        return _COMPLEX[target](*args, **kwargs)
    if target in _OF_EACH_PART:
        return Planes.of(args[0]).each(lambda part: target(part, *args[1:], **kwargs))
    raise NoRealForm(f"{target} of complex numbers")


def is_split(value: Any) -> bool:
    """Whether a value holds separate real and imaginary parts."""
    return isinstance(value, Planes | Pairs)


def _both(value: Any) -> tuple[Tensor, Tensor]:
    if isinstance(value, Pairs):
        return value.re, value.im
    return value[..., 0], value[..., 1]


def operation_on_pairs(target: Any, args: Any, kwargs: Any) -> Any:
    """The result of an operation of torch on real tensors, some of which are `Pairs`.

    Raises:
        NoRealForm: the operation has no form on parts here.
    """
    first = args[0]
    if target in (aten.detach.default, aten.alias.default):
        return first
    if isinstance(first, Pairs) and first.rows:
        return _of_rows(target, first, args[1:], kwargs)
    if isinstance(first, Pairs):
        last, both = first.re.dim(), (first.re, first.im)
        if target is aten.select.int and args[1] in (-1, last):
            return both[args[2]]
        if target is aten.slice.Tensor and args[1] in (-1, last):
            chosen = range(2)[slice(*args[2:4])]
            return torch.stack([both[i] for i in chosen], dim=-1)
        if target is aten.select_scatter.default and args[2] in (-1, last):
            re, im = (args[1] if args[3] % 2 == i else part for i, part in enumerate(both))
            return Pairs(re, im)
        if target in _RESHAPED and len(args[1]) == 2:
            re, im = (part.reshape(len(part), -1) for part in both)
            return Pairs(re, im, rows=True)
    if torch.Tag.pointwise in target.tags or target is aten.clone.default:
        of_parts = []
        for index in (0, 1):
            of_part = partial(_part, index=index)
            own_args, own = pytree.tree_map(of_part, (args, kwargs), is_leaf=is_split)
            of_parts.append(target(*own_args, **own))
        return Pairs(of_parts[0], of_parts[1])
    raise NoRealForm(f"{target} of view_as_real")


def _part(value: Any, index: int) -> Any:
    """The entry at `index` of the last axis of a broadcast argument."""
    if isinstance(value, Pairs):
        return _both(value)[index]
    if isinstance(value, Tensor) and value.dim():
        return value[..., index if value.shape[-1] == 2 else 0]
    return value


def _of_rows(target: Any, rows: Pairs, args: Any, kwargs: Any) -> Any:
    if target is aten.sum.dim_IntList and list(args[0]) == [1]:
        return target(rows.re, *args, **kwargs) + target(rows.im, *args, **kwargs)
    if target is aten.linalg_vector_norm.default and args[0] == 2:
        return (rows.re.square().sum(dim=1) + rows.im.square().sum(dim=1)).sqrt()
    raise NoRealForm(f"{target} of rows of both parts")
