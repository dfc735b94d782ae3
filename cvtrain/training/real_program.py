"""Rewrite functions of complex tensors on real and imaginary parts, for compilers of real code.

A function is traced into a graph of torch's operations, and the graph is traced again with each
complex tensor in two real parts. An operation without such a form is an error, and so is a result
whose shape or dtype differs from that of the complex operation: no imaginary part is silently lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from cvtrain.training.plane_operations import complex_operation, is_split, operation_on_pairs
from cvtrain.training.planes import NoRealForm, Pairs, Planes, is_planes, parts_of


@dataclass(frozen=True)
class RealProgram:
    """A function of complex tensors as a graph of real ones.

    Attributes:
        graph: graph that takes both parts of each complex argument, and real arguments, in their
            order.
        structure: structure of the flattened results.
        complex_results: which results are complex and returned as two tensors.
    """

    graph: fx.GraphModule
    structure: pytree.TreeSpec
    complex_results: tuple[bool, ...]

    def results(self, returned: Sequence[Tensor]) -> Any:
        """The results of the function from those of its graph; complex tensors as `Planes`."""
        rest = iter(returned)
        leaves = [Planes(next(rest), next(rest)) if z else next(rest) for z in self.complex_results]
        return pytree.tree_unflatten(leaves, self.structure)


def real_program(function: Callable[..., Any], arguments: tuple[Any, ...]) -> RealProgram:
    """Trace `function` and rewrite it on real and imaginary parts.

    Args:
        function: pure function of nested tuples and dicts of tensors; it may compute gradients.
        arguments: examples with the shapes for which the program is made.

    Raises:
        NoRealForm: an operation has no known form on parts.
        Exception: the function's Python code depends on the values of tensors.
    """
    leaves, structure = pytree.tree_flatten(arguments)
    traced = make_fx(function, tracing_mode="fake")(*arguments)

    def flat(*tensors: Tensor) -> Any:
        return traced(*pytree.tree_unflatten(list(tensors), structure))

    # In two passes, since gradients cannot be computed within `functionalize`.
    pure = make_fx(functionalize(flat), tracing_mode="fake")(*leaves)
    is_complex = [isinstance(leaf, Tensor) and leaf.is_complex() for leaf in leaves]
    shape: list[Any] = []

    def on_parts(*tensors: Tensor) -> list[Tensor]:
        rest = iter(tensors)
        taken = [Planes(next(rest), next(rest)) if z else next(rest) for z in is_complex]
        results = _OnParts(pure).run(*taken)
        flat_results, spec = pytree.tree_flatten(results, is_leaf=is_planes)
        shape[:] = spec, tuple(map(is_planes, flat_results))
        return parts_of(flat_results)

    graph = make_fx(on_parts, tracing_mode="fake")(*parts_of(leaves))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    if any(_is_complex(node) for node in graph.graph.nodes):
        raise NoRealForm("a complex tensor was left")
    spec, kinds = shape
    return RealProgram(graph, spec, kinds)


def _is_complex(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_complex()


class _OnParts(fx.Interpreter):
    """Runs a graph of complex operations with `Planes` instead of complex tensors."""

    _makes_complex = False

    def run_node(self, n: fx.Node) -> Any:
        expected = n.meta.get("val")
        self._makes_complex = isinstance(expected, Tensor) and expected.is_complex()
        result = super().run_node(n)
        if n.op == "call_function" and isinstance(expected, Tensor):
            _check_result(n, result, expected)
        return result

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        value = super().get_attr(target, args, kwargs)
        complex_one = isinstance(value, Tensor) and value.is_complex()
        return Planes.of(value) if complex_one else value

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        leaves = pytree.tree_leaves((args, kwargs), is_leaf=is_split)
        if self._makes_complex or any(isinstance(leaf, Planes | complex) for leaf in leaves):
            return complex_operation(target, args, kwargs)
        if any(isinstance(leaf, Pairs) for leaf in leaves):
            return operation_on_pairs(target, args, kwargs)
        return super().call_function(target, args, kwargs)


def _check_result(node: fx.Node, result: Any, expected: Tensor) -> None:
    if isinstance(result, Planes) and not isinstance(result.re, Tensor):
        return  # a Python number
    if isinstance(result, Planes):
        dtype, shape = result.re.dtype, result.re.shape
        fits = expected.is_complex() and dtype == expected.dtype.to_real()
    elif isinstance(result, Pairs):
        dtype = result.re.dtype
        shape = expected.shape if result.rows else (*result.re.shape, 2)
        fits = dtype == expected.dtype
    else:
        dtype, shape = result.dtype, result.shape
        fits = dtype == expected.dtype
    if not fits or tuple(shape) != tuple(expected.shape):
        raise NoRealForm(f"{node.target} on parts gives {list(shape)} {dtype}")
