"""What the experiment `equalizer` found, beside what was published on the same channel."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from cvtrain.analysis.arms import REFERENCE, label_runs
from cvtrain.analysis.best_lr import judged_runs, scored_runs, tuned
from cvtrain.analysis.load import Sweep
from cvtrain.config.sections import TargetConfig
from cvtrain.data.split import in_memory
from cvtrain.experiments.polynomial import polynomial_mse
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.document import Document, Record, Section, Sentence, Table, number, words
from cvtrain.report.lr_sweep import report_retuning
from cvtrain.training.task import build_dataset

CHANNEL = "cvtrain.data.equalizer.equalizer"
PUBLISHED = {
    "CRBF": 0.5972,
    "C-ELM": 0.5772,
    "FC-RBF": 0.4142,
    "FLANN": 0.3010,
    "CFLN": 0.1419,
    "RFLN": 0.1367,
}
"""Test MSE at delay 1, 3 taps and 20 dB, of radial basis functions, an extreme learning machine and
functional links, as a thesis lists them (see also Amin et al. 2012, Neural Networks 32:257)."""
POLYNOMIALS = ((1, False), (4, False), (1, True), (3, True))
"""Order, and whether in x* too."""
DELAY, TAPS, SNR_DB = 1, 3, 20.0


def report_equalizer(sweep: Sweep) -> Document:
    """The report on the sweep's arms, with a table of mean squared errors before it.

    Raises:
        InputError: the runs are of other data, or have another loss.
    """
    runs = scored_runs(sweep)
    for key, wanted in (("data._target_", CHANNEL), ("objective.loss", "complex_mse")):
        others = set(runs[key]) - {wanted}
        if others:
            raise InputError(
                f"{sweep.directory}: analysis=equalizer compares mean squared errors on its own"
                f" channel; there are runs with {key}={sorted(map(str, others))[0]}"
            )
    ours = _ours(label_runs(runs, sweep.config_keys))
    known = [*_polynomials(runs), *_published(runs)]
    table = Table(
        name="published",
        title="Mean squared error on test symbols",
        columns=(words("method", "method"), words("", "kind"), number("MSE", "mse", ".4f")),
        records=tuple(sorted([*ours, *known], key=lambda record: float(record["mse"]))),
        caption="ours: mean over seeds at the learning rate that validation chose",
        numbered=True,
    )
    document = report_retuning(sweep)
    section = Section("Beside what was published", (_sentence(table),), (table,))
    return replace(document, sections=(section, *document.sections))


def _ours(runs: pd.DataFrame) -> list[Record]:
    found: list[Record] = []
    for (group, arm), rows in runs.groupby(["group", "arm"], sort=False):
        best = tuned(judged_runs(rows)[0]).best
        if arm == REFERENCE and len(best):
            rate = best["test/symbol_error_rate"].mean()
            kind = f"trained here ({len(best)} seeds; symbol error rate {100 * rate:.2f} %)"
            found.append({"method": str(group), "kind": kind, "mse": best["test/loss"].mean()})
    return found


def _polynomials(runs: pd.DataFrame) -> list[Record]:
    """Least squares on the data of the first run."""
    keys = [str(key) for key in runs if str(key).startswith("data.")]
    # `tolist` gives Python's own numbers.
    slot = {key.removeprefix("data."): runs[key].tolist()[0] for key in keys}
    dataset = build_dataset(TargetConfig.model_validate(slot), "complex128")
    splits = in_memory(dataset.train), in_memory(dataset.test)
    return [
        {
            "method": f"polynomial of order {order} in x{' and x*' if conjugates else ''}",
            "kind": "least squares on the same data",
            "mse": polynomial_mse(*splits, order, conjugates),
        }
        for order, conjugates in POLYNOMIALS
    ]


def _published(runs: pd.DataFrame) -> list[Record]:
    """None where the channel's data are not those that were published on."""
    for key, value in (("delay", DELAY), ("taps", TAPS), ("snr_db", SNR_DB)):
        if not (runs[f"data.{key}"] == value).all():
            return []
    return [{"method": n, "kind": "published", "mse": mse} for n, mse in PUBLISHED.items()]


def _sentence(table: Table) -> Sentence:
    def best(kind: str) -> tuple[int, float]:
        rows = [
            (place, float(record["mse"]))
            for place, record in enumerate(table.records)
            if str(record["kind"]).startswith(kind)
        ]
        return min(rows, key=lambda row: row[1], default=(0, math.nan))

    (mine, mse), (theirs, published) = best("trained"), best("published")
    if math.isnan(mse):
        return Sentence("No run of the reference was trained to its end.")
    text = f"The best network trained here has a test MSE of {mse:.4f}"
    if math.isnan(published):
        return Sentence(f"{text}; figures were published for other data.", (table.row_name(mine),))
    than = "below" if mse < published else "above"
    return Sentence(
        f"{text}, {than} the best published, {published:.4f}.",
        (table.row_name(mine), table.row_name(theirs)),
    )


EXPERIMENT = Experiment(report_equalizer)
