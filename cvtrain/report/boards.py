"""A sweep as a whole in TensorBoard: means over seeds, and curves over the learning rate.

Besides its trained runs, a sweep has derived runs in `FOLDER`: one per arm, whose steps are octaves
of the learning rate, and one per cell with mean and spread over its replicates. The run `report`
holds verdict and figures. All are computed from run directories alone, and again with every report.

The name of a derived run says what distinguishes it: ``SGD/scale_0.5,wirtinger`` is an arm of the
group SGD, ``SGD/scale_0.5,wirtinger/lr=2^-4`` one of its cells, ``…/best_lr=2^-3`` its best cell.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import FRACTIONS, label_runs
from cvtrain.analysis.best_lr import SCORE, best_rate, scored_runs
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.metric import ACCURACY
from cvtrain.report.cells import rate_text, replace_exponents
from cvtrain.report.document import Document
from cvtrain.report.export import markdown, markdown_table
from cvtrain.runs.safe_names import AGGREGATE, FORMER_AGGREGATE, NAME_BEGINS, shortened
from cvtrain.runs.tensorboard.events import scalar_events
from cvtrain.runs.tensorboard.layout import GRADIENT_NORMS, band_layout
from cvtrain.runs.tensorboard.writer import TensorBoardFile

FOLDER = AGGREGATE
BEST, OVER_OCTAVE = "best_", "over_octave"
RESULTS = re.compile(r"(val|test)/[^/]+|convergence/(steps_to_target|loss_auc)")
"""Signals that become columns of HPARAMS."""
MAIN = re.compile(
    rf"train/loss|{'|'.join(GRADIENT_NORMS)}|grad/complex_share|(update|weight)/norm|update/ratio"
    rf"|weight/error|{RESULTS.pattern}"
)
"""Signals that are aggregated; few, so that a sweep can be browsed."""
OVER_OCTAVES = (SCORE, ACCURACY, "test/loss", "test/nmse", "convergence/steps_to_target")
APART = 1e-4
"""Seconds between the start times of cells. SCALARS orders and colours runs by start time."""
FINEST = 8
"""Largest number of steps per octave: learning rates are resolved to an eighth of an octave."""


@dataclass(frozen=True)
class Board:
    """A derived run of TensorBoard.

    Attributes:
        name: path of its directory below `FOLDER`.
        table: one column per signal, indexed by step.
        began: start time in seconds since 1970, by which SCALARS orders runs.
        hyperparameters: hyperparameters of a cell for HPARAMS; empty for an arm.
    """

    name: str
    table: pd.DataFrame
    began: float
    hyperparameters: Mapping[str, float | str | bool] = field(default_factory=dict)


def aggregate(sweep: Sweep) -> list[Board]:
    """Compute the boards of a sweep's cells and arms, without writing them.

    Returns:
        one board per arm with several learning rates, and one per cell that has several replicates
        or is the best of its arm; none for a single run.

    Raises:
        InputError: a metrics.csv cannot be read.
    """
    begun = scored_runs(sweep)
    if len(begun) < 2:
        return []
    runs = label_runs(begun, sweep.config_keys)
    before = pd.to_datetime(begun["started"], format="ISO8601", utc=True).min().timestamp() - 1
    return [*_arms(runs, before), *_cells(sweep, runs, before)]


def write_boards(boards: Sequence[Board], sweep: Sweep, document: Document, folder: Path) -> None:
    """Write the boards below `FOLDER` in the sweep's directory, and the run `report`.

    Args:
        boards: boards as returned by `aggregate`.
        sweep: the sweep whose directory gets the boards; those of an earlier report are replaced.
        document: the report on the sweep, with figures as PNG files in `folder`.
        folder: folder of the report.
    """
    for name in (FOLDER, FORMER_AGGREGATE):
        if (sweep.directory / name).exists():
            shutil.rmtree(sweep.directory / name)
    for board in boards:
        _write_board(sweep.directory / FOLDER / board.name, board)
    _write_report(document, folder)


def mean_and_spread(tables: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Means and standard deviations over replicates, by step.

    Args:
        tables: one table per replicate, with a column `step` and one per signal.

    Returns:
        a table indexed by step with, per signal `<tag>`, its mean over the finite values at that
        step, and `spread/<tag>/low` and `…/high`, one standard deviation (n − 1) below and above
        the mean (NaN for fewer than two values). `replicates` is the number of rows at that step,
        which falls after a run diverged.
    """
    joined = pd.concat(tables.values()).replace([math.inf, -math.inf], math.nan)
    by_step = joined.groupby("step")
    mean, deviation = by_step.mean(), by_step.std()
    low = (mean - deviation).set_axis([f"spread/{tag}/low" for tag in mean], axis="columns")
    high = (mean + deviation).set_axis([f"spread/{tag}/high" for tag in mean], axis="columns")
    return pd.concat([mean, low, high, by_step.size().rename("replicates")], axis=1)


def over_octaves(rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The results of an arm by learning rate.

    Args:
        rows: runs of the arm.

    Returns:
        a table indexed by step, with means over the finished runs at each learning rate and the
        share of runs that `diverged`; and the number of steps per octave: 1, or 2, 4, 8 if rates
        are closer. Step 0 is the reference learning rate of the optimizer.
    """
    lr = rows["optimizer.lr"].to_numpy(dtype=np.float64)
    reference = rows.get("optimizer.reference_lr", pd.Series(1.0, index=rows.index))
    octaves = np.log2(lr / reference.to_numpy(dtype=np.float64))
    eighths = pd.Series((FINEST * octaves).round().astype(int), index=rows.index)
    finest = int(np.gcd.reduce([FINEST, *eighths]))
    tags = [tag for tag in OVER_OCTAVES if tag in rows and rows[tag].notna().any()]
    finished = rows[tags].where(rows["status"] == "finished").astype(float)
    finished = finished.replace([math.inf, -math.inf], math.nan)
    step = (eighths // finest).rename("step")
    table = finished.groupby(step).mean()
    table["diverged"] = (rows["status"] == "diverged").groupby(step).mean()
    return table, FINEST // finest


def _arms(runs: pd.DataFrame, began: float) -> Iterator[Board]:
    for (group, arm), rows in runs.groupby(["group", "arm"], sort=False):
        if rows["optimizer.lr"].nunique() < 2:
            continue
        table, per_octave = over_octaves(rows)
        # One chart per group: its arms are compared with each other, and there are enough colours.
        section = OVER_OCTAVE if per_octave == 1 else f"{OVER_OCTAVE}_x{per_octave}"
        section = f"{section}/{run_name(str(group))}"
        tags = {tag: f"{section}/{str(tag).replace('/', '_')}" for tag in table}
        yield Board(board_name(group, arm), table.rename(columns=tags), began)


def _cells(sweep: Sweep, runs: pd.DataFrame, began: float) -> Iterator[Board]:
    best = {key: best_rate(rows) for key, rows in runs.groupby(["group", "arm"], sort=False)}
    # SCALARS assigns colours in this order, so that arms at one rate get different colours.
    by_rate = runs.sort_values("optimizer.lr", kind="stable")
    grouped = by_rate.groupby(["group", "optimizer.lr", "arm"], sort=False)
    for index, ((group, lr, arm), cell) in enumerate(grouped):
        is_best = lr == best[group, arm]
        if len(cell) < 2 and not is_best:  # TensorBoard already shows its one run
            continue
        tables = sweep.signals(lambda tag: MAIN.fullmatch(tag) is not None, cell)
        if tables:
            rate = f"{BEST if is_best else ''}lr={rate_text(float(str(lr)))}"
            yield Board(
                f"{board_name(group, arm)}/{run_name(rate)}",
                mean_and_spread(tables),
                began + index * APART,
                {
                    "arm": str(arm),
                    "init_jitter": float(cell["init_jitter"].iloc[0]),
                    "lr": float(str(lr)),
                    "optimizer": str(group),
                    "replicates": float(len(cell)),
                },
            )


def _write_report(document: Document, folder: Path) -> None:
    for path in folder.glob(f"{NAME_BEGINS}*"):
        path.unlink()
    board = TensorBoardFile(folder)
    texts = [markdown(str(text)) for text in document.verdict]
    texts += [] if document.answer is None else [markdown_table(document.answer)]
    board.text("verdict", "\n\n".join(texts))
    for picture in document.pictures:
        board.image(picture.name, (folder / f"{picture.name}.png").read_bytes())
    board.summary(0, band_layout([SCORE, "train/loss", *GRADIENT_NORMS]))
    board.close()


def _write_board(directory: Path, content: Board) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    board, table = TensorBoardFile(directory, content.began), content.table
    if content.hyperparameters:
        results = [str(tag) for tag in table if RESULTS.fullmatch(str(tag))]
        board.hparams(content.hyperparameters, results)
    ordered = table.sort_index()
    tags = np.array([str(tag) for tag in ordered])
    for step, row in zip(ordered.index, ordered.to_numpy(dtype=np.float64), strict=True):
        known = ~np.isnan(row)
        values = row[known][:, None]
        (event,) = scalar_events(int(step), content.began, tags[known].tolist(), values)
        board.add(event)
    if content.hyperparameters:
        board.ended(succeeded=True)
    board.close()


def board_name(group: object, arm: object) -> str:
    """The path of an arm's board below `FOLDER`."""
    return f"{run_name(str(group))}/{run_name(str(arm))}"


def run_name(label: str) -> str:
    """Make a label a directory name that needs no quotes in a shell."""
    for value, fraction in FRACTIONS.items():
        label = label.replace(fraction, f"{value:g}")
    plain = re.sub(r"[^A-Za-z0-9.,=^+_-]+", "_", replace_exponents(label, "^{}"))
    return shortened(re.sub(",[,_]*", ",", plain))
