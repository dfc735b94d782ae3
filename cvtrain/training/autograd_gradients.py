"""What autograd leaves in `p.grad`, whatever is made of it before the optimizer sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Variable
from torch.nn import Parameter


class AutogradGradients:
    """Follows every backward, and keeps the gradients as autograd left them.

    Gradients that accumulate over several backwards are added up as autograd would have added
    them, also where they were clipped in between. What is set to zero or to None is dropped, as
    `zero_grad` means it.

    Args:
        parameters: by name; those that need no gradient are left out.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._followed = {n: _Followed(p) for n, p in parameters.items() if p.requires_grad}
        self._backward: int | None = None
        self._accumulated: dict[str, _Followed] = {}
        self._hooks: list[Any] = []
        for name, each in self._followed.items():
            p: Any = each.parameter  # torch has not annotated the two
            self._hooks.append(p.register_hook(each.before))
            self._hooks.append(p.register_post_accumulate_grad_hook(partial(self._after, name)))

    def of(self, name: str) -> Tensor | None:
        """A parameter's gradient, or None where no backward has given it one."""
        followed = self._followed.get(name)
        return None if followed is None else followed.gradient()

    def remove(self) -> None:
        """Follow no further backward."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _after(self, name: str, parameter: Tensor) -> None:
        # Reset by number: a backward that fails calls no callback.
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
    """One parameter, and its gradient after the latest backward."""

    def __init__(self, parameter: Parameter) -> None:
        self.parameter = parameter
        self._kept: Tensor | None = None
        self._taken_away: Tensor | None = None
        self._left: tuple[Tensor, int] | None = None

    def before(self, incoming: Tensor) -> None:
        """Note what was taken away from p.grad since the latest backward; autograd adds to what is
        there now."""
        held = self.parameter.grad
        if self._kept is not None and held is not None and not self._untouched(held):
            self._taken_away = self._kept - held if bool(held.any()) else None
        elif held is None:
            self._taken_away = None

    def keep(self) -> None:
        """Copy what a backward left."""
        held = self.parameter.grad
        if held is None:
            return
        self._left = held, held._version
        left = held.detach()
        self._kept = left.clone() if self._taken_away is None else left + self._taken_away

    def gradient(self) -> Tensor | None:
        """What autograd left; None where it was dropped, or there is none."""
        held = self.parameter.grad
        if held is None or self._kept is None:
            return None
        dropped = not self._untouched(held) and not bool(held.any())
        return None if dropped else self._kept

    def _untouched(self, held: Tensor) -> bool:
        return self._left is not None and held is self._left[0] and held._version == self._left[1]
