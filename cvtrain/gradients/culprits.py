"""Find the module, function or hook that makes a gradient wrong, and where it is defined."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from cvtrain.gradients.directional import read_gradients
from cvtrain.process.user_code import definition_place

Run = Callable[[Callable[[], Any]], Any]
"""Calls a function with the buffers and random numbers that every call gets."""


@dataclass(frozen=True)
class Culprit:
    """Code that does something wrong to gradients.

    Attributes:
        description: what the code is and does.
        module: name of the module within the network (empty: the network itself), and its class.
        location: file and line.
    """

    description: str
    module: str
    location: str

    def __str__(self) -> str:
        return f"{self.description} in {self.module} ({self.location})"


@dataclass(frozen=True)
class _Call:
    """The first call of a module: its detached arguments, and its output with graph."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


def gradient_culprits(network: nn.Module, forward: Callable[[], Any], run: Run) -> list[Culprit]:
    """Find the innermost modules whose own backward is not the derivative of their forward.

    Args:
        network: the network; its modules are tried one by one, on the arguments of their first
            call.
        forward: function that calls the network.
        run: function that makes calls repeatable.
    """
    calls = _calls(network, forward, run)
    by_depth = sorted(network.named_modules(), key=lambda item: -item[0].count(".") - bool(item[0]))
    culprits: list[Culprit] = []
    failed: list[str] = []
    for name, module in by_depth:
        inside = f"{name}." if name else ""
        if name not in calls or any(other.startswith(inside) for other in failed):
            continue
        if _contradicts(module, calls[name], run):
            failed.append(name)
            culprits += _culprits_in(name, module, calls[name], run)
    return culprits


def hook_culprits(network: nn.Module, contradicting: Container[str]) -> list[Culprit]:
    """Find hooks on the gradients of parameters, one culprit per place of definition.

    Args:
        network: the network.
        contradicting: names of the parameters whose hooks are wanted.
    """
    hooked: dict[str, list[str]] = {}
    for name, p in network.named_parameters():
        for hook in gradient_hooks(p) if name in contradicting else ():
            names = hooked.setdefault(definition_place(hook), [])
            names += [name] if name not in names else []
    return [
        Culprit(
            f"a hook on the gradient of {names[0]}"
            + (f" and {len(names) - 1} more" if len(names) > 1 else ""),
            type(network).__name__,
            location,
        )
        for location, names in hooked.items()
    ]


def gradient_hooks(parameter: Tensor) -> list[Callable[..., Any]]:
    """The hooks that `register_hook` added to a parameter."""
    return list((parameter._backward_hooks or {}).values())


@contextmanager
def dropped_imaginary_parts(network: nn.Module) -> Iterator[list[Culprit]]:
    """Context that collects the places at which torch casts complex numbers to real ones."""
    names = {id(module): name for name, module in network.named_modules()}
    culprits: list[Culprit] = []

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if "discards the imaginary part" not in str(message):
            show_others(message, category, filename, lineno, file, line)
            return
        module, frame = "the loss", sys._getframe()
        while frame.f_back is not None:
            frame = frame.f_back
            owner = frame.f_locals.get("self")
            if id(owner) in names and isinstance(owner, nn.Module):
                module = _title(names[id(owner)], owner)
                break
        location = f"{_relative(filename)}:{lineno}"
        culprit = Culprit("a cast that drops imaginary parts", module, location)
        if culprit not in culprits:
            culprits.append(culprit)

    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # otherwise torch warns once per process
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", message=".*discards the imaginary part.*")
            show_others, warnings.showwarning = warnings.showwarning, show
            yield culprits
    finally:
        torch.set_warn_always(always)


def _calls(network: nn.Module, forward: Callable[[], Any], run: Run) -> dict[str, _Call]:
    calls: dict[str, _Call] = {}
    hooks = []
    for name, module in network.named_modules():

        def keep(_: nn.Module, arguments: Any, keywords: Any, name: str = name) -> None:
            if name not in calls:
                calls[name] = _Call(_detached(arguments), _detached(keywords))

        hooks.append(module.register_forward_pre_hook(keep, with_kwargs=True))
    try:
        with torch.no_grad():
            run(forward)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _contradicts(module: nn.Module, call: _Call, run: Run) -> bool:
    """Whether a gradient of Re Σ v* y is wrong, for random v, in a parameter or an argument."""
    weights: list[Tensor] = []

    def projected() -> Tensor:
        outputs = _numbers(run(lambda: module(*call.arguments, **call.keywords)))
        if not weights:
            generator = torch.Generator().manual_seed(0)
            weights.extend(
                torch.randn(y.shape, dtype=y.dtype, generator=generator) for y in outputs
            )
        total = torch.zeros((), dtype=torch.float64)
        for v, y in zip(weights, outputs, strict=True):
            product = v.conj() * y
            total = total + (product.real if product.is_complex() else product).sum()
        return total

    arguments = [a for a in _numbers((call.arguments, call.keywords)) if a.is_leaf]
    variables: dict[str, Tensor] = {f"argument {i}": a for i, a in enumerate(arguments)}
    variables |= {name: p for name, p in module.named_parameters() if p.requires_grad}
    for argument in arguments:
        argument.requires_grad_()
    try:
        return any(r.contradicts for r in read_gradients(projected, variables).values())
    except RuntimeError:  # the module changes an argument in place
        return False
    finally:
        for argument in arguments:
            argument.requires_grad_(False)


def _culprits_in(name: str, module: nn.Module, call: _Call, run: Run) -> Iterator[Culprit]:
    title = _title(name, module)
    hooks = [*module._backward_hooks.values(), *module._backward_pre_hooks.values()]
    for hook in hooks:
        yield Culprit("a backward hook", title, definition_place(hook))
    functions = _custom_functions(module, call, run)
    for function in functions:
        description = f"the backward of {function.__name__}"
        yield Culprit(description, title, definition_place(function.backward))
    if not functions and not hooks:
        location = definition_place(type(module).forward)
        yield Culprit("a backward that is not the derivative of the forward", title, location)


def _custom_functions(module: nn.Module, call: _Call, run: Run) -> list[Any]:
    """The classes of `torch.autograd.Function` that a call of a module uses."""
    arguments = _numbers((call.arguments, call.keywords))
    for argument in arguments:
        argument.requires_grad_()
    with torch.enable_grad():
        outputs = _numbers(run(lambda: module(*call.arguments, **call.keywords)))
    for argument in arguments:
        argument.requires_grad_(False)
    return custom_functions(outputs)


def custom_functions(outputs: list[Tensor]) -> list[Any]:
    """The classes of `torch.autograd.Function` that the outputs were computed with."""
    functions: list[Any] = []
    nodes = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        function = getattr(type(node), "_forward_cls", None)
        if function is not None and function not in functions:
            functions.append(function)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return functions


def _detached(arguments: Any) -> Any:
    return tree_map(lambda a: a.detach().clone() if isinstance(a, Tensor) else a, arguments)


def _numbers(tree: Any) -> list[Tensor]:
    """The real and complex tensors of nested tuples, lists and dictionaries."""
    leaves = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.is_floating_point() or leaf.is_complex()]


def _title(name: str, module: nn.Module) -> str:
    kind = type(module).__name__
    return f"{name} ({kind})" if name else kind


def _relative(filename: str) -> str:
    try:
        return str(Path(filename).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return filename
