"""A single run in a terminal: its description, progress and result."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.table import Table

from cvtrain.config.overrides import as_override
from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.config.sections import AnyLoggerConfig
from cvtrain.data.idx_download import downloads_refused
from cvtrain.gradients.convention import convention_name
from cvtrain.process.errors import FilesChanged, InputError, Interrupted, RunFailed, failure_line
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import cvtrain_command, say
from cvtrain.runs.directory_lock import DirectoryLock
from cvtrain.runs.journal import ENDED, TRACEBACK_FILE, Journal
from cvtrain.runs.metrics_csv import FILE_NAME as METRICS_FILE
from cvtrain.runs.next_commands import LAST_LINES, SCREENFUL, evaluation_command, say_commands
from cvtrain.runs.run_json import RunRecord, load_run_config
from cvtrain.runs.safe_names import from_here
from cvtrain.runs.storage_errors import translate_storage_errors
from cvtrain.sweeps.progress import steps_shown
from cvtrain.sweeps.resume import KEY, how_to_go_on
from cvtrain.training.job import Job
from cvtrain.training.preflight import preflight
from cvtrain.training.train import train

RESULTS = (
    "train/loss",
    "val/",
    "test/",
    "test_best/",
    "convergence/steps_to_target",
    "weight/error",
)
NORMS = (
    "grad/norm",
    "grad/real_norm",
    "grad/imag_norm",
    "grad/circularity",
    "optimizer_grad/norm",
    "weight/norm",
)
"""Prefixes of the tags that are shown at the end of a run; its files have all tags."""
MOST_ROWS = SCREENFUL - LAST_LINES - 3
"""Largest number of rows in the table of a run; title and heading take the other lines."""

REAL_ENTRY = re.compile(r"(grad|optimizer_grad|weight)/(.+)/real((?:\[[\d,]+\])?)")
"""Tag of the real part of a traced entry; a parameter without axes has no index."""


def train_and_show(job: Job) -> float:
    """Train a job of one point, and print its result.

    Returns:
        the validation loss at the end.

    Raises:
        InputError: another command trains in its directory.
        RunFailed: the run failed; the message has the path of the traceback.
    """
    with DirectoryLock(job.root / job.points[0].directory):
        return _train_and_show(job)


def _train_and_show(job: Job) -> float:
    """Train and show a job whose directory is locked."""
    (point,) = job.points
    console = PlainConsole()
    for line in job.task.describe(point.config):
        console.print(line, soft_wrap=True)
    directory = job.root / point.directory
    try:
        with steps_shown(point.config.max_steps) as progressed:
            (record,) = train(job, progressed)
    except Interrupted:
        say(how_to_go_on(directory, not_of_a_file(point.config)), sys.stderr)
        raise
    except FilesChanged as error:
        raise RunFailed(f"the run failed: {error}") from error
    except Exception as error:
        where = directory / TRACEBACK_FILE
        raise RunFailed(f"the run failed: {failure_line(error)}; see {where}") from error
    console.print(result_table(record))
    console.print(
        f"{record.status} after {record.steps} updates; files in {from_here(directory)}",
        soft_wrap=True,
    )
    commands = {"report": cvtrain_command("report", from_here(directory))}
    if point.config.signals.tensorboard:
        commands["look"] = cvtrain_command("tensorboard", from_here(directory))
    commands["evaluate"] = evaluation_command(directory, point.config.trusted_modules)
    say_commands(commands)
    if record.status not in ENDED:  # pause_at
        say(how_to_go_on(directory, not_of_a_file(point.config)), sys.stderr)
    return record.final["val/loss"]


def not_of_a_file(config: Config) -> list[str]:
    """The overrides to type when resuming a run, since its run.json does not supply them: trusted
    packages and the logger."""
    trusted = [f"trusted_modules=[{','.join(config.trusted_modules)}]"]
    options = config.logger.model_dump(exclude={"kind"}, exclude_none=True)
    logger = [
        as_override("logger", config.logger.kind),
        *(as_override(f"logger.{name}", str(value)) for name, value in options.items()),
    ]
    return [
        *(trusted if config.trusted_modules else []),
        *(logger if config.logger.kind != "none" else []),
    ]


def go_on_and_show(
    directory: Path, trusted: tuple[str, ...], logger: AnyLoggerConfig | None = None
) -> None:
    """Resume a run from its last checkpoint.

    Args:
        directory: directory of the run.
        trusted: packages of the user; entries of the run's file on trust are ignored.
        logger: replaces the logger in the run's file, which is only taken if it is none.

    Raises:
        InputError: its run.json is not valid, or another command trains in its directory.
        RunFailed: the run failed; the message has the path of the traceback.
    """
    with translate_storage_errors(directory), DirectoryLock(directory), downloads_refused():
        # Read under the lock: another command may have trained the run to its end before.
        record, config = load_run_config(directory, trusted)
        if logger is not None:
            config = config.model_copy(update={"logger": logger})
        elif config.logger.kind != "none":
            raise InputError(
                f"{KEY}={directory}: its run.json sets logger={config.logger.kind}, which is not"
                " taken from a file (it sends numbers elsewhere); give logger=… and its options"
                f" beside {KEY}, or logger=none"
            )
        point = Point(0, config, (), directory.name)
        if Journal(directory.parent).ended(point) is not None:
            raise InputError(f"{KEY}={directory}: this run has ended ({record.status})")
        task = preflight([point]).of(config)
        _train_and_show(Job((point,), directory.parent, task=task))


def result_table(record: RunRecord) -> Table:
    """A table of losses and metrics, norms, and the complex entries of small parameters."""
    config = record.config
    convention = convention_name(config["convention"]["scale"], config["convention"]["conjugate"])
    title = f"objective {config['objective']['scale']:g} × loss, convention {convention}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("signal")
    table.add_column("last", justify="right")
    table.add_column("best", justify="right")
    final = record.final
    results: list[tuple[str, str, str]] = []
    norms: list[tuple[str, str, str]] = []
    for rows, beginnings in ((results, RESULTS), (norms, NORMS)):
        for tag in (tag for begins in beginnings for tag in final if tag.startswith(begins)):
            best = record.best.get(tag)
            best_text = f"{best['value']:.6g} at {best['step']}" if best else ""
            weights = record.tested.get(tag.partition("/")[0])
            shown = tag if weights is None else f"{tag} ({weights.partition(' after ')[0]})"
            rows.append((shown, _number(tag, final[tag]), best_text))
    entries = [
        (tag, f"{value.real:.6g}{value.imag:+.6g}j", "") for tag, value in complex_entries(final)
    ]
    few = len(results) + len(entries) < MOST_ROWS
    rows = [*results, *entries, *norms] if few else [*results, *norms, *entries]
    if len(rows) > MOST_ROWS:
        more = len(rows) - MOST_ROWS + 1
        rows[MOST_ROWS - 1 :] = [(f"… and {more} more in {METRICS_FILE}", "", "")]
    for row in rows:
        table.add_row(*row)
    return table


def complex_entries(final: Mapping[str, float]) -> list[tuple[str, complex]]:
    """``grad/weight[0,0]`` and its value for every parameter that is traced whole, and the same for
    the transformed gradient and the weight."""
    by_tensor: dict[tuple[str, str], list[tuple[str, complex]]] = {}
    for tag, real in final.items():
        if match := REAL_ENTRY.fullmatch(tag):
            group, name, index = match.groups()
            value = complex(real, final[f"{group}/{name}/imag{index}"])
            by_tensor.setdefault((group, name), []).append((f"{group}/{name}{index}", value))
    whole = {name for group, name in by_tensor if group == "optimizer_grad"}
    return [entry for (_, name), entries in by_tensor.items() if name in whole for entry in entries]


def _number(tag: str, value: float) -> str:
    if math.isinf(value) and tag.endswith("steps_to_target"):
        return "never"
    return f"{value:.6g}"
