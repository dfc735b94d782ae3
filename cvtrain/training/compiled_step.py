"""One update of a stack as a compiled function of real and imaginary parts.

Forward, backward, convention, clipping and the optimizer's rule of a block of members are traced
once as functions of complex tensors, and compiled by torch's Inductor as functions of their real
and imaginary parts. A stack is computed block by block with one program for any number of members,
so the bits of a run depend neither on that number nor on the other members.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from cvtrain.process.errors import first_line
from cvtrain.training.memory import is_out_of_memory
from cvtrain.training.planes import Planes, is_planes, parts_of
from cvtrain.training.pure_update import NotCompiled, PureUpdate, Settings
from cvtrain.training.real_program import RealProgram, real_program

Program: TypeAlias = tuple[RealProgram, Callable[..., Sequence[Tensor]]]
Programs: TypeAlias = dict[Any, Program]
"""Compiled updates of a block, by their choices and shapes."""


def inductor(graph: fx.GraphModule, arguments: list[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """Compile with a C++ compiler, or load an earlier result from torch's disk cache."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own code
        import torch._inductor as torch_inductor  # takes two seconds to import

        compiled: Callable[..., Any] = torch_inductor.compile(graph, [*arguments])
    return compiled


class BlockTensors(Mapping[str, Tensor]):
    """Tensors [K, …] by name, joined from those of blocks of members when they are read.

    Args:
        blocks: tensors of consecutive blocks of members, complex ones as `Planes`; all have the
            same names.
        others: tensors with other names.
    """

    def __init__(
        self,
        blocks: Sequence[Mapping[str, Tensor | Planes]],
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._blocks, self._others = blocks, others or {}
        self._joined: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._blocks[0]:
            return self._others[name]
        if name not in self._joined:
            self._joined[name] = _joined([block[name] for block in self._blocks])
        return self._joined[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._others or self._blocks[0])

    def __len__(self) -> int:
        return len(self._others or self._blocks[0])


@dataclass(frozen=True)
class Step:
    """The results of one update of K members.

    Attributes:
        losses: unscaled losses [K] at the weights before the update.
        coefficient: coefficient of the clipping, [K].
        total: [K], finite only if gradients and next weights are.
        gradients, transformed: [K, …] by name.
    """

    losses: Tensor
    coefficient: Tensor
    total: Tensor
    gradients: Mapping[str, Tensor]
    transformed: Mapping[str, Tensor]


class CompiledStep:
    """Makes updates of a stack by compiled programs instead of autograd and the optimizer.

    Args:
        update: the update of K members as a pure function.
        block: number of members that a program computes; K is a multiple of it.
        programs: programs of stacks with the same structure; new ones are added.
    """

    def __init__(self, update: PureUpdate, block: int, programs: Programs) -> None:
        self._update = update
        self._block, self._programs = block, programs
        self._checked: set[Any] = set()
        self._split: dict[str, _Split] = {}

    @torch.no_grad()
    def step(self, inputs: tuple[Tensor, ...], judged: Sequence[Tensor]) -> Step:
        """Make one update of the parameters and of the optimizer's state.

        Args:
            inputs: inputs of the networks, [K, B, …].
            judged: targets and, if there are any, weights, [K, B, …].

        Raises:
            NotCompiled: the step cannot be compiled; nothing has changed.
        """
        update, members = self._update, len(judged[0])
        settings, numbers = update.settings()
        results = []
        for index, begin in enumerate(range(0, members, self._block)):
            block = slice(begin, begin + self._block)
            arguments = (
                {name: self._piece(name, p, index) for name, p in update.trained.items()},
                {name: p.detach()[block] for name, p in update.frozen.items()},
                {
                    name: {k: self._piece(f"{name}/{k}", t, index) for k, t in state.items()}
                    for name, state in update.states().items()
                },
                tuple(tensor[block] for tensor in inputs),
                tuple(tensor[block] for tensor in judged),
                tuple(number.expand(members)[block] for number in numbers),
            )
            results.append(self._computed(settings, arguments))
        return self._take(results)

    def _computed(self, settings: Settings, arguments: Any) -> Any:
        taken = parts_of(arguments)
        names = pytree.tree_structure(arguments, is_leaf=is_planes)
        key = settings, names, tuple((tensor.shape, tensor.dtype) for tensor in taken)
        if key not in self._checked:
            self._prepare(key, settings, arguments, taken)
            self._checked.add(key)
        program, compiled = self._programs[key]
        return program.results(compiled(*taken))

    def _prepare(self, key: Any, settings: Settings, arguments: Any, taken: list[Tensor]) -> None:
        """Compile a program if there is none yet, and compare it with the eager step."""
        update = self._update
        plain = pytree.tree_map(_whole, arguments, is_leaf=is_planes)
        try:
            reference = update.checked(settings, plain)
            if key not in self._programs:
                program = real_program(partial(update.of, settings), plain)
                self._programs[key] = program, inductor(program.graph, taken)
            program, compiled = self._programs[key]
            results = program.results(compiled(*taken))
        except NotCompiled:
            raise
        except Exception as error:  # torch's compiler may raise anything
            if is_out_of_memory(error):
                raise
            raise NotCompiled(first_line(error) or type(error).__name__) from error
        plain_results = pytree.tree_map(_whole, results, is_leaf=is_planes)
        update.compare(settings, plain, plain_results, reference)

    def _piece(self, name: str, tensor: Tensor, index: int) -> Tensor | Planes:
        """A block of a tensor [K, …], its parts as they were computed or split off before."""
        known = self._split.get(name)
        if known is None or not known.is_of(tensor):
            pieces = [_in_parts(block) for block in torch.split(tensor.detach(), self._block)]
            self._split[name] = known = _Split.of(tensor, pieces)
        return known.pieces[index]

    def _take(self, results: list[Any]) -> Step:
        """Store the next weights and state."""
        update = self._update
        for name, p in update.trained.items():
            if name in results[0]["weights"]:
                pieces = [result["weights"][name] for result in results]
                p.data = _joined(pieces)
                self._split[name] = _Split.of(p, pieces)
            state = {}
            for key in results[0]["state"].get(name, ()):
                pieces = [result["state"][name][key] for result in results]
                state[key] = _joined(pieces)
                self._split[f"{name}/{key}"] = _Split.of(state[key], pieces)
            if state:
                update.optimizer.state[p] = state
        gradients = BlockTensors([result["gradients"] for result in results])
        return Step(
            losses=torch.cat([result["losses"] for result in results]),
            coefficient=torch.cat([result["coefficient"] for result in results]),
            total=torch.cat([result["total"] for result in results]),
            gradients=gradients,
            transformed=BlockTensors([result["transformed"] for result in results], gradients),
        )


@dataclass(frozen=True)
class _Split:
    """Pieces of a tensor [K, …], complex ones in parts, as long as it is unchanged.

    The memory is held, so that no other tensor can have its address.
    """

    memory: Tensor
    version: int
    pieces: Sequence[Tensor | Planes]

    @classmethod
    def of(cls, tensor: Tensor, pieces: Sequence[Tensor | Planes]) -> _Split:
        return cls(tensor.detach(), tensor._version, pieces)

    def is_of(self, tensor: Tensor) -> bool:
        return (self.memory.data_ptr(), self.version) == (tensor.data_ptr(), tensor._version)


def _whole(value: Any) -> Any:
    return torch.complex(value.re, value.imag) if isinstance(value, Planes) else value


def _in_parts(tensor: Tensor) -> Tensor | Planes:
    if not tensor.is_complex():
        return tensor
    return Planes(tensor.real.contiguous(), tensor.imag.contiguous())


def _joined(pieces: Sequence[Tensor | Planes]) -> Tensor:
    """The pieces of consecutive members as one tensor [K, …]."""
    planes = [Planes.of(piece) for piece in pieces]
    first: Tensor = planes[0].re
    if planes[0].im is None:
        return torch.cat([piece.re for piece in planes])
    sizes = [len(piece.re) for piece in planes]
    joined = first.new_empty((sum(sizes), *first.shape[1:]), dtype=first.dtype.to_complex())
    for piece, block in zip(planes, torch.split(joined, sizes), strict=True):
        torch.complex(piece.re, piece.imag, out=block)
    return joined
