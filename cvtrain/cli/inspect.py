"""`cvtrain inspect`: find the gradient convention of a network before it is trained.

    cvtrain inspect model=custom model._target_=mylab.networks.TwoLayers trusted_modules='[mylab]'
    cvtrain inspect model=mlp start_from=outputs/default/…

The words are overrides, as for training; with module=custom the loss is that of its training_step.
start_from takes the weights of a run. steps=50 trains a copy for this many updates, and averages
the share of the squared gradient along them. The exit status is 0, 1 if a gradient is wrong,
missing or not finite or an imaginary part is dropped, or 2 for bad input.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cvtrain.analysis.inspected_network import StepLoss
from cvtrain.analysis.inspection import PIECE, PROBED, Inspection, inspect_pieces
from cvtrain.cli.hydra_application import parse_arguments, start_hydra
from cvtrain.cli.parser import as_typed_here
from cvtrain.config.compose import CONFIG_NAME, Composer
from cvtrain.config.overrides import as_typed, check_spaces, composition_errors_explained
from cvtrain.data.draws import Draws
from cvtrain.experiments import registry
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import FAILED, run_command
from cvtrain.process.plain_text import say
from cvtrain.process.process_state import preserves_process_state
from cvtrain.process.signals import interruption
from cvtrain.sweeps.plan import single_point
from cvtrain.training.batch_loader import BatchLoader
from cvtrain.training.own_module import check_module, own_module
from cvtrain.training.own_steps import step_alone
from cvtrain.training.task import Task

NAME = "cvtrain inspect"
MOST_STEPS = 10**6


def main(arguments: Sequence[str] | None = None) -> int:
    """Inspect the network that `arguments` configure (None: the process's own).

    Returns:
        the exit status: 0, 1 (something is wrong), 2 (bad input), 130, 143 or 141 (ended by a
            signal, or since nobody reads the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Inspect a network, as `main` does, but raise errors instead of printing them."""
    words, steps = _without_steps(list(sys.argv[1:] if arguments is None else arguments))
    args = parse_arguments(list(map(as_typed, words)))
    if args.help:
        print(as_typed_here("inspect", __doc__ or ""))
        return 0
    check_spaces(args.overrides)
    import_from_working_directory()
    registry.register()
    with composition_errors_explained():
        composer = Composer(start_hydra(args).config_loader, args.config_name or CONFIG_NAME)
        overrides = composer.with_added_arguments(args.overrides)
        task = Task(single_point(composer, overrides).config)
    inspection = inspect_task(task, steps)
    for line in task.description[:2]:
        say(line, sys.stdout)
    print(inspection)
    return 0 if inspection.ok else FAILED


def _without_steps(words: list[str]) -> tuple[list[str], int]:
    """The words without ``steps=N``, and N; 0 if it is not among them."""
    steps = [word for word in words if word.startswith("steps=")]
    numbers = [word.partition("=")[2] for word in steps]
    for word, number in zip(steps, numbers, strict=True):
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= MOST_STEPS):
            raise InputError(f"{word}: should be a whole number from 1 to {MOST_STEPS:,}")
    return [word for word in words if word not in steps], int(numbers[-1]) if numbers else 0


@preserves_process_state
def inspect_task(task: Task, steps: int = 0) -> Inspection:
    """Inspect the network of a task, with its loss, on its training data.

    Args:
        task: task of the network.
        steps: number of updates of a short training, along which the share of the gradient is
            averaged.

    Raises:
        InputError: data, network or loss raise an error.
    """
    model, train, objective = task.model(), task.dataset.train, task.objective
    first = train.take(torch.arange(min(PROBED, len(train))))
    loader = BatchLoader(Draws([task.dataset]), ())
    if task.config.module.target is not None:
        check_module(task.config, model)
    own, step = own_module(task.config, model), None
    if own is not None:
        step = StepLoss(step_alone(task.config, own), own.training_step)

    def pieces() -> Iterator[tuple[Any, tuple[Tensor, ...]]]:
        for piece in loader.pieces(train, torch.device("cpu"), PIECE):
            interruption.check()
            yield piece.inputs if step is None else piece.batch, piece.judged

    def loss(outputs: Tensor, judged: Tensor | tuple[Tensor, ...]) -> Tensor:
        own = judged if isinstance(judged, tuple) else (judged,)
        return objective.loss_value(outputs, *own)

    def size(judged: tuple[Tensor, ...]) -> float:
        return float(judged[1].sum()) if len(judged) > 1 else len(judged[0])

    # Conventions and constants are those of the loss alone: the probed samples have no weights, or
    # equal ones for a step that takes weights.
    probe: tuple[Any, Any] = (first.inputs, first.targets)
    if step is not None:
        equal = () if first.weights is None else (torch.ones_like(first.weights),)
        probe = ((*probe, *equal), first.targets)
    return inspect_pieces(model, probe, pieces, step or loss, len(train), steps, size)
