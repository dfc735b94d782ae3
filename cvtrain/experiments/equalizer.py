"""The experiment `equalizer`: mean squared errors of networks, of least squares in monomials of the
inputs, and of publications on the same channel."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import pandas as pd

from cvtrain.analysis.arms import label_runs
from cvtrain.analysis.best_lr import judged_runs, scored_runs, tuned
from cvtrain.analysis.load import Sweep
from cvtrain.config.sections import TargetConfig
from cvtrain.data.load import build_dataset
from cvtrain.data.split import Split, in_memory
from cvtrain.experiments.claims import Claim, pairs_of_laws
from cvtrain.experiments.registry import Experiment
from cvtrain.process.errors import InputError
from cvtrain.report.cells import Record, number, words
from cvtrain.report.document import Document, Section, Sentence, Table
from cvtrain.report.lr_sweep import report_retuning

Array = npt.NDArray[np.complex128]

CHANNEL = "cvtrain.data.equalizer.equalizer"
PUBLISHED = {
    "CRBF": 0.5972,
    "C-ELM": 0.5772,
    "FC-RBF": 0.4142,
    "FLANN": 0.3010,
    "CFLN": 0.1419,
    "RFLN": 0.1367,
}
"""Test MSE at delay 1, 3 taps and 20 dB of radial basis functions, an extreme learning machine and
functional links, as listed in a thesis (see also Amin et al. 2012, Neural Networks 32:257)."""
POLYNOMIALS = ((1, False), (4, False), (1, True), (3, True))
"""Order of each polynomial, and whether it also contains x*."""
DELAY, TAPS, SNR_DB = 1, 3, 20.0


def report_equalizer(sweep: Sweep) -> Document:
    """The report on the sweep's arms, preceded by a table of mean squared errors.

    Raises:
        InputError: the runs have other data or another loss.
    """
    runs = scored_runs(sweep)
    for key, wanted in (("data._target_", CHANNEL), ("objective.loss", "complex_mse")):
        others = set(runs[key]) - {wanted}
        if others:
            raise InputError(
                f"{sweep.directory}: analysis=equalizer compares mean squared errors on its own"
                f" channel; there are runs with {key}={sorted(map(str, others))[0]}"
            )
    trained = _trained(label_runs(runs, sweep.config_keys))
    known = [*_polynomials(runs), *_published(runs)]
    table = Table(
        name="published",
        title="Mean squared error on test symbols",
        columns=(words("method", "method"), words("", "kind"), number("MSE", "mse", ".4f")),
        records=tuple(sorted([*trained, *known], key=lambda record: float(record["mse"]))),
        caption="trained here: mean over seeds at the learning rate that validation chose;"
        " published: as a thesis lists them, of other draws and lengths of training; whether all of"
        " them are mean squares is not known",
        numbered=True,
    )
    document = report_retuning(sweep)
    section = Section("Comparison with published results", (_sentence(table),), (table,))
    return replace(document, sections=(section, *document.sections))


def _trained(runs: pd.DataFrame) -> list[Record]:
    """One record per optimizer: the reference's mean at the learning rate that validation chose."""
    records: list[Record] = []
    for (group, arm), rows in runs.groupby(["group", "arm"], sort=False):
        best = tuned(judged_runs(rows)[0]).best
        if arm == rows["reference"].iloc[0] and len(best):
            rate = best["test/symbol_error_rate"].mean()
            kind = f"trained here ({len(best)} seeds; symbol error rate {100 * rate:.2f} %)"
            records.append({"method": str(group), "kind": kind, "mse": best["test/loss"].mean()})
    return records


def _polynomials(runs: pd.DataFrame) -> list[Record]:
    """One record per polynomial, fitted by least squares to the data of the first run."""
    keys = [str(key) for key in runs if str(key).startswith("data.")]
    # `tolist` returns Python numbers.
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
    """The published records; none if the runs have another channel."""
    for key, value in (("delay", DELAY), ("taps", TAPS), ("snr_db", SNR_DB)):
        if not (runs[f"data.{key}"] == value).all():
            return []
    return [{"method": n, "kind": "published", "mse": mse} for n, mse in PUBLISHED.items()]


def _sentence(table: Table) -> Sentence:
    """The best network compared with the best polynomial. Published results are left out, since
    they have other data and shorter training."""

    def best(kind: str) -> tuple[int, float]:
        rows = [
            (index, float(record["mse"]))
            for index, record in enumerate(table.records)
            if str(record["kind"]).startswith(kind)
        ]
        return min(rows, key=lambda row: row[1], default=(0, math.nan))

    (own_row, own), (fit_row, fit) = best("trained"), best("least squares")
    if math.isnan(own):
        return Sentence("No run of the reference was trained to its end.")
    than = "below" if own < fit else "above"
    return Sentence(
        f"The best network trained here has a test MSE of {own:.4f}, {than} that of the best"
        f" polynomial, {fit:.4f}.",
        (table.row_name(own_row), table.row_name(fit_row)),
    )


def monomials(x: Array, order: int) -> Array:
    """All products of up to `order` columns of x [N, d], including the constant 1.

    Returns:
        [N, binomial(d + order, order)].
    """
    columns = range(x.shape[1])
    chosen = (c for k in range(order + 1) for c in combinations_with_replacement(columns, k))
    return np.stack([x[:, list(factors)].prod(axis=1) for factors in chosen], axis=1)


def polynomial_mse(train: Split, test: Split, order: int, conjugates: bool) -> float:
    """Mean |ŷ − y|² on `test` of the polynomial ŷ that fits y on `train` best.

    Args:
        train, test: splits with inputs x [N, d] and targets y [N, out].
        order: order of the polynomial.
        conjugates: whether it is a polynomial in x and x* (widely linear for order 1), not in x
            alone.
    """

    def design(split: Split) -> Array:
        x = split.each_input[0].numpy().astype(np.complex128)
        return monomials(np.concatenate([x, x.conj()], axis=1) if conjugates else x, order)

    y, wanted = (split.targets.numpy().astype(np.complex128) for split in (train, test))
    coefficients, *_ = np.linalg.lstsq(design(train), y, rcond=None)
    error: Array = design(test) @ coefficients - wanted
    return float(np.mean(np.abs(error) ** 2))


EXPERIMENT = Experiment(
    report_equalizer,
    claims=(Claim("Runs that a law makes equal are equal, bit for bit.", pairs_of_laws),),
)
