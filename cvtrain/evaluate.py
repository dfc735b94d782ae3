"""`python -m cvtrain.evaluate`: a run's network on any split of its data.

    python -m cvtrain.evaluate outputs/default/… --split validation --predictions outputs.npz

The exit status is 0, or 2 for bad input. Nothing in the run's files is executed.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from cvtrain.config import Config
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import AnySplit
from cvtrain.engine.device_data import DeviceData
from cvtrain.engine.single import EVALUATION_PIECE
from cvtrain.errors import InputError
from cvtrain.metrics import measured
from cvtrain.models.parameters import put_weights
from cvtrain.modulus_metrics import ModulusMetrics
from cvtrain.record.checkpoint import checkpoint_path, load_checkpoint
from cvtrain.record.recorded_run import read_run
from cvtrain.task import build_model, build_objective, load_dataset

BAD_INPUT = 2
SPLITS = ("train", "validation", "test")
CHECKPOINTS = ("best", "last", "average")
MOST_CLASSES = 20
"""Of a confusion matrix at a terminal."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network makes of a split.

    Attributes:
        step: updates that its weights have had.
        outputs: [N, …], as the network returns them.
        targets: of the split.
        values: loss and metrics by name.
        class_names: of the classes, where they have names.
        confusion: [classes, classes] counts, true classes in rows; None in a regression.
    """

    step: int
    outputs: Tensor
    targets: Tensor
    values: dict[str, float]
    confusion: Tensor | None
    class_names: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate the run that `arguments` name (the process's own, where None).

    Returns:
        the exit status: 0, or 2 for bad input.
    """
    try:
        asked = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
        evaluation = evaluate(asked.run, asked.split, asked.checkpoint, tuple(asked.trust))
        if asked.predictions is not None:
            save_predictions(evaluation, asked.predictions)
    except InputError as error:
        print(f"cvtrain.evaluate: {error}", file=sys.stderr)
        return BAD_INPUT
    title = f"{asked.split} split, weights after {evaluation.step} updates ({asked.checkpoint})"
    _show(evaluation, title)
    return 0


def evaluate(
    directory: Path, split: str = "test", checkpoint: str = "best", trusted: tuple[str, ...] = ()
) -> Evaluation:
    """Run a trained network over a split of the data that it was trained on.

    Args:
        directory: of the run.
        split: ``train``, ``validation`` or ``test``.
        checkpoint: ``best`` (lowest validation loss), ``last`` or ``average``.
        trusted: packages of the user's own that the run's `_target_`s may name.

    Raises:
        InputError: the run's files cannot be used, or do not fit together.
    """
    _, config = read_run(directory, trusted)
    dataset = load_dataset(config)
    path = checkpoint_path(directory, checkpoint)
    weights, step = load_checkpoint(path)
    model = build_model(config, dataset)
    try:
        put_weights(model, weights)
    except ValueError as error:
        raise InputError(f"{path}: is not of this run's network: {error}") from None
    return _evaluated(config, model, dataset, getattr(dataset, split), step)


@torch.no_grad()
def _evaluated(
    config: Config, model: nn.Module, dataset: Dataset, split: AnySplit, step: int
) -> Evaluation:
    model.eval()
    functions = measured(dataset, build_objective(config))
    sums: dict[str, list[Tensor]] = {name: [] for name in functions}
    on_moduli = ModulusMetrics(dataset)
    outputs, targets = [], []
    for piece in DeviceData(dataset, ()).pieces(split, torch.device("cpu"), EVALUATION_PIECE):
        output = model(piece.inputs)
        for name, function in functions.items():
            sums[name].append(function.sums(output, piece.targets))
        on_moduli.update(output, piece.targets)
        outputs.append(output)
        targets.append(piece.targets)
    values = {
        name: function.of_sums(torch.stack(sums[name]).sum(dim=0)).item()
        for name, function in functions.items()
    }
    return Evaluation(
        step,
        torch.cat(outputs),
        torch.cat(targets),
        values | on_moduli.compute(),
        on_moduli.confusion(),
        dataset.class_names,
    )


def save_predictions(evaluation: Evaluation, path: Path) -> None:
    """Write `outputs` and `targets` as NumPy arrays into one file (.npz), complex as they are.

    Raises:
        InputError: it cannot be written, or exists.
    """
    if path.suffix != ".npz":
        raise InputError(f"--predictions {path}: should end in .npz")
    outputs, targets = evaluation.outputs.numpy(), evaluation.targets.numpy()
    try:
        with path.open("xb") as file:
            np.savez(file, outputs=outputs, targets=targets)
    except OSError as error:
        raise InputError(f"--predictions {path}: {error.strerror}") from None


def _show(evaluation: Evaluation, title: str) -> None:
    console = Console()
    console.print(title, highlight=False, soft_wrap=True)
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
    console.print("classes: true in rows, predicted in columns", highlight=False)
    names = evaluation.class_names or tuple(map(str, range(len(confusion))))
    matrix = Table()
    for heading in ("", *names):
        matrix.add_column(heading, justify="right")
    for name, row in zip(names, confusion.tolist(), strict=True):
        matrix.add_row(name, *(str(count) if count else "·" for count in row))
    console.print(matrix)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help shows what is taken")


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="python -m cvtrain.evaluate",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
    )
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


if __name__ == "__main__":
    sys.exit(main())
