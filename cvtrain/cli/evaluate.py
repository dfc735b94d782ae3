"""`cvtrain evaluate`: measure a run's network on any split of its data.

    cvtrain evaluate outputs/default/… --split validation --predictions outputs.npz

The exit status is 0, or 2 for bad input. Nothing in the run's files is executed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from cvtrain.cli.parser import CommandParser
from cvtrain.data.draws import SPLITS, Draws, SplitName
from cvtrain.data.idx_download import downloads_refused
from cvtrain.data.split import network_output
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError, describe_error
from cvtrain.process.exit_status import run_command
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.process_state import preserves_process_state
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import load_run_config
from cvtrain.training.batch_loader import BatchLoader
from cvtrain.training.evaluation_metrics import ModulusMetrics
from cvtrain.training.metrics import Totals, without_loss
from cvtrain.training.own_module import own_module
from cvtrain.training.own_steps import OwnEvaluation
from cvtrain.training.single import EVALUATION_PIECE
from cvtrain.training.task import Task
from cvtrain.training.trained_network import CHECKPOINTS, trained_network

NAME = "cvtrain evaluate"
WEIGHTS = {
    "best": "best weights (lowest validation loss)",
    "last": "last weights",
    "average": "averaged weights",
}
"""Names of the checkpoints' weights, as run.json uses them for tested weights."""
MOST_CLASSES = 20
"""Largest number of classes of a confusion matrix that is shown at a terminal."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Loss and metrics of a network on a split.

    Attributes:
        step: number of updates that its weights have had.
        values: loss and metrics by name.
        confusion: counts [classes, classes], true classes in rows; None for a regression.
        class_names: names of the classes, if they have any.
        predictions: outputs [N, …] of the network, and the split's targets; None if not requested.
        target_scale: number by which the targets were divided, and hence the unit of the
            predictions.
    """

    step: int
    values: dict[str, float]
    confusion: Tensor | None
    class_names: tuple[str, ...]
    predictions: tuple[Tensor, Tensor] | None
    target_scale: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate the run that `arguments` name (None: the process's own).

    Returns:
        the exit status: 0, 2 (bad input), 130, 143 or 141 (ended by a signal, or since nobody reads
            the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Evaluate a run, as `main` does, but raise errors instead of printing them."""
    asked = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    evaluation = evaluate(
        asked.run,
        asked.split,
        asked.checkpoint,
        tuple(asked.trust),
        predictions=asked.predictions is not None,
    )
    if evaluation.predictions is not None:
        save_predictions(*evaluation.predictions, asked.predictions, evaluation.target_scale)
    weights = WEIGHTS[asked.checkpoint]
    _show(evaluation, f"{asked.split} split, {weights} after {evaluation.step} updates")
    return 0


@preserves_process_state
def evaluate(
    directory: Path,
    split: SplitName = "test",
    checkpoint: str = "best",
    trusted: tuple[str, ...] = (),
    *,
    predictions: bool = False,
) -> Evaluation:
    """Run a trained network over a split of the data that it was trained on, piece by piece.

    Args:
        directory: directory of the run.
        split: ``train``, ``validation`` or ``test``.
        checkpoint: ``best`` (lowest validation loss), ``last`` or ``average``.
        trusted: packages of the user that the run's `_target_`s may name.
        predictions: whether to keep every output in memory.

    Raises:
        InputError: the run's files are not valid, or do not fit together.
    """
    import_from_working_directory()
    _, config = load_run_config(directory, trusted)
    with downloads_refused():
        task, model, step = trained_network(directory, config, checkpoint)
    try:
        return _evaluated(task, model, split, step, predictions)
    except InputError:
        raise
    except Exception as error:  # a user's network or a stranger's data may raise anything
        raise InputError(f"{directory}: cannot be evaluated: {describe_error(error)}") from error


@torch.no_grad()
def _evaluated(task: Task, model: nn.Module, name: SplitName, step: int, keep: bool) -> Evaluation:
    model.eval()
    dataset, metrics = task.dataset, task.metrics(task.objective)
    module = own_module(task.config, model)
    own = None if module is None else OwnEvaluation(module, name)
    totals = Totals(metrics if own is None else without_loss(metrics))
    on_moduli = ModulusMetrics(dataset)
    pairs: list[tuple[Tensor, Tensor]] = []
    data, split = BatchLoader(Draws([dataset]), ()), getattr(dataset, name)
    for number, piece in enumerate(data.pieces(split, torch.device("cpu"), EVALUATION_PIECE)):
        interruption.check()
        if own is not None:
            own.add(piece.batch, number)
        output = network_output(model, piece.inputs)
        totals.add(output, *piece.judged)
        on_moduli.update(output, piece.targets)
        if keep:
            pairs.append((output, piece.targets))
    values = totals.values() if own is None else {"loss": own.finish()[0], **totals.values()}
    counted = {name: value.item() for name, value in values.items()}
    outputs, targets = zip(*pairs, strict=True) if keep else ((), ())
    return Evaluation(
        step,
        counted | on_moduli.compute(),
        on_moduli.confusion(),
        dataset.class_names,
        (torch.cat(outputs), torch.cat(targets)) if keep else None,
        dataset.scales.get("targets", 1.0),
    )


def save_predictions(outputs: Tensor, targets: Tensor, path: Path, scale: float = 1.0) -> None:
    """Write the NumPy arrays `outputs` and `targets`, complex if they are, into one .npz file; if
    targets were divided by a `scale`, also `target_scale`.

    Raises:
        InputError: the file cannot be written, or exists.
    """
    if path.suffix != ".npz":
        raise InputError(f"--predictions {path}: should end in .npz")
    arrays: dict[str, Any] = {"outputs": outputs.numpy(), "targets": targets.numpy()}
    if scale != 1:
        arrays["target_scale"] = scale
    try:
        with path.open("xb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        new = "should be a new file: " if isinstance(error, FileExistsError) else ""
        raise InputError(f"--predictions {path}: {new}{error.strerror}") from None


def _show(evaluation: Evaluation, title: str) -> None:
    console = PlainConsole()
    console.print(title, soft_wrap=True)
    if evaluation.target_scale != 1:
        console.print(f"outputs and targets in units of {evaluation.target_scale:.6g}")
    table = Table()
    table.add_column("")
    table.add_column("value", justify="right")
    for name, value in evaluation.values.items():
        table.add_row(name, f"{value:.6g}")
    console.print(table)
    confusion = evaluation.confusion
    if confusion is None:
        return
    if len(confusion) > MOST_CLASSES:
        console.print(f"{len(confusion)} classes: --predictions has what a matrix is made of")
        return
    console.print("classes: true in rows, predicted in columns")
    names = evaluation.class_names or tuple(map(str, range(len(confusion))))
    matrix = Table()
    for heading in ("", *names):
        matrix.add_column(heading, justify="right")
    for name, row in zip(names, confusion.tolist(), strict=True):
        matrix.add_row(name, *(str(count) if count else "·" for count in row))
    console.print(matrix)


def _parser() -> CommandParser:
    parser = CommandParser("evaluate", str(__doc__))
    parser.add_argument("run", type=Path, help="directory of a run")
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument(
        "--checkpoint",
        choices=CHECKPOINTS,
        default="best",
        help="best: lowest validation loss",
    )
    parser.add_argument("--predictions", type=Path, metavar="FILE.npz", help="outputs and targets")
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="your own, if the run has it",
    )
    return parser
