"""Record the gradients that autograd computes, before other code changes `p.grad`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Variable
from torch.nn import Parameter


class AutogradGradients:
    """Copies the gradients of parameters at the end of every backward.

    Gradients that accumulate over several backward passes are added up as autograd would have added
    them, even if they were clipped in between. A gradient that is set to zero or None is dropped,
    as `zero_grad` intends.

    Args:
        parameters: parameters by name; those that need no gradient are ignored.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._followed = {n: _Followed(p) for n, p in parameters.items() if p.requires_grad}
        self._backward: int | None = None
        self._accumulated: dict[str, _Followed] = {}
        self._hooks: list[Any] = []
        for name, followed in self._followed.items():
            p: Any = followed.parameter  # torch does not annotate the two methods
            self._hooks.append(p.register_hook(followed.before))
            self._hooks.append(p.register_post_accumulate_grad_hook(partial(self._after, name)))

    def of(self, name: str) -> Tensor | None:
        """The gradient of parameter `name`, or None if no backward pass has computed one."""
        followed = self._followed.get(name)
        return None if followed is None else followed.gradient()

    def remove(self) -> None:
        """Remove the hooks: later backwards are ignored."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _after(self, name: str, parameter: Tensor) -> None:
        # Reset by the number of the backward, since one that fails calls no callback.
        backward = torch._C._current_graph_task_id()
        if backward != self._backward:
            self._backward, self._accumulated = backward, {}
            Variable._execution_engine.queue_callback(self._at_end)
        self._accumulated[name] = self._followed[name]

    def _at_end(self) -> None:
        # DistributedDataParallel averages in a callback of its own, queued later in this backward.
        Variable._execution_engine.queue_callback(self._keep)

    def _keep(self) -> None:
        for followed in self._accumulated.values():
            followed.keep()


class _Followed:
    """A parameter, and its gradient after the latest backward."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self._copy: Tensor | None = None
        self._subtracted: Tensor | None = None
        self._seen: tuple[Tensor, int] | None = None

    def before(self, incoming: Tensor) -> None:
        """Record what was subtracted from p.grad since the last backward pass, e.g. by clipping;
        autograd adds to the current value."""
        current = self.parameter.grad
        if self._copy is not None and current is not None and not self._untouched(current):
            self._subtracted = self._copy - current if bool(current.to_dense().any()) else None
        elif current is None:
            self._subtracted = None

    def keep(self) -> None:
        """Copy the gradient at the end of a backward."""
        current = self.parameter.grad
        if current is None:
            return
        self._seen = current, current._version
        gradient = current.detach().to_dense()
        self._copy = gradient.clone() if self._subtracted is None else gradient + self._subtracted

    def gradient(self) -> Tensor | None:
        """The gradient of the latest backward; None if there is none or it was dropped."""
        current = self.parameter.grad
        if current is None or self._copy is None:
            return None
        dropped = not self._untouched(current) and not bool(current.to_dense().any())
        return None if dropped else self._copy

    def _untouched(self, current: Tensor) -> bool:
        return (
            self._seen is not None
            and current is self._seen[0]
            and current._version == self._seen[1]
        )
