"""One run at a terminal: what it is, its progress, its result."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cvtrain.convention import convention_name
from cvtrain.engine.train import StackJob, train
from cvtrain.errors import RunFailed
from cvtrain.record.journal import TRACEBACK_FILE
from cvtrain.record.run_file import RunRecord
from cvtrain.task import describe_task


def train_and_show(job: StackJob) -> float:
    """Train a job of one point, and print its result.

    Returns:
        the validation loss at the end.

    Raises:
        RunFailed: with the place of the traceback.
    """
    (point,) = job.points
    console = Console()
    for line in describe_task(point.config):
        console.print(line, highlight=False)
    bar = Progress(
        TextColumn("steps"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not Console(stderr=True).is_terminal,
    )
    directory = job.root / point.directory
    try:
        with bar:
            task = bar.add_task("steps", total=point.config.max_steps)
            (record,) = train(job, lambda step: bar.update(task, completed=step))
    except Exception as error:
        where = directory / TRACEBACK_FILE
        raise RunFailed(f"the run failed: {type(error).__name__}: {error}; see {where}") from error
    console.print(result_table(record))
    console.print(
        f"{record.status} after {record.steps} updates; files in {_short(directory)}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"look:  tensorboard --logdir {_short(directory)}", highlight=False, soft_wrap=True
    )
    return record.final["val/loss"]


def result_table(record: RunRecord) -> Table:
    """Losses, metrics, first traces of gradient and weights: start, end and best."""
    config = record.config
    convention = convention_name(config["convention"]["scale"], config["convention"]["conjugate"])
    title = f"objective {config['objective']['scale']:g} × loss, convention {convention}"
    table = Table(title=title, title_justify="left")
    table.add_column("signal")
    table.add_column("last", justify="right")
    table.add_column("best", justify="right")
    names = [tag for tag in record.final if tag.startswith(("train/loss", "val/", "test/"))]
    names += [tag for tag in record.final if tag.startswith("convergence/steps")]
    names += [tag for tag in record.final if _traced(tag)][:8]
    for tag in names:
        best = record.best.get(tag)
        shown = f"{best['value']:.6g} at {best['step']}" if best else ""
        table.add_row(tag, f"{record.final[tag]:.6g}", shown)
    return table


def _traced(tag: str) -> bool:
    return tag.startswith(("grad/", "handed/", "weight/")) and "nonfinite" not in tag


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
