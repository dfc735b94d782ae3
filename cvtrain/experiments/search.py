"""The experiment `search`: the best trials, and the best ones of each reading of the gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cvtrain.analysis.arms import ARM_KEYS, OTHER_KEYS, label_runs
from cvtrain.analysis.best_lr import scored_runs
from cvtrain.analysis.load import Sweep
from cvtrain.experiments.registry import Experiment
from cvtrain.report.cells import Column, Record, number, rate_text, words
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.style import paper_style, style_of
from cvtrain.report.figures.ticks import common_limits, logarithmic, octave_axis

SHOWN = 10
"""Number of rows of the table of best trials."""
NOT_CHOSEN = (*ARM_KEYS, *OTHER_KEYS, "optimizer.reference_lr", "lr_octave", "pause_at", "resume")


def report_search(sweep: Sweep) -> Document:
    """Report the trials with the lowest validation loss, of all arms and by arm, and the course of
    the search."""
    runs = scored_runs(sweep)
    labelled = label_runs(runs, sweep.config_keys, ablations=False)
    chosen = _sampled_keys(labelled, sweep.config_keys)
    arms = [_arm(arm, rows) for arm, rows in labelled.groupby("arm", sort=True)]
    best = labelled[labelled["score"] < math.inf].nsmallest(SHOWN, ["score", "run"])
    trials = [_trial(row, chosen) for _, row in best.iterrows()]
    picture = Picture(
        "search",
        "Validation loss by trial, and over the learning rate",
        search_figure(labelled),
        _seen(labelled),
    )
    return Document(
        title="Search",
        verdict=tuple(_sentences(labelled, arms)),
        sections=(
            Section(
                "Where the best trials are",
                tables=(_arms_table(arms), _trials_table(trials, chosen)),
                pictures=(picture,),
            ),
        ),
        facts={"best": trials[0] if trials else None},
    )


def _seen(runs: pd.DataFrame) -> str:
    """The main observation in the course of the search, as a sentence."""
    finished = runs[runs["score"] < math.inf]
    if not len(finished):
        return "No trial has finished."
    best = finished.nsmallest(1, ["score", "run"]).iloc[0]
    lr = rate_text(float(best["optimizer.lr"]))
    return (
        f"The lowest validation loss, {best['score']:.4g}, is that of trial {best['run']} of"
        f" {len(runs)}, at {lr} ({best['arm']}); one seed each."
    )


def _sampled_keys(runs: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The keys other than the arm's that differ among the trials."""
    return [key for key in keys if key not in NOT_CHOSEN and runs[key].map(repr).nunique() > 1]


def _arm(arm: object, rows: pd.DataFrame) -> Record:
    finished = rows[rows["score"] < math.inf]
    counts = rows["status"].value_counts()
    best = finished.iloc[int(finished["score"].argmin())] if len(finished) else None
    return {
        "arm": str(arm),
        "trials": len(rows),
        "pruned": int(counts.get("pruned", 0)),
        "diverged": int(counts.get("diverged", 0)),
        "best trial": None if best is None else str(best["directory"]),
        "lr": math.nan if best is None else float(best["optimizer.lr"]),
        "val loss": math.nan if best is None else float(best["score"]),
        "test metric": math.nan if best is None else _test_metric(best),
    }


def _test_metric(row: pd.Series) -> float:
    """Test accuracy in %, or NMSE in dB; NaN without either."""
    if not math.isnan(row.get("test/accuracy", math.nan)):
        return 100 * float(row["test/accuracy"])
    nmse = float(row.get("test/nmse", math.nan))
    return 10 * math.log10(nmse) if nmse > 0 else math.nan


def _trial(row: pd.Series, chosen: Sequence[str]) -> Record:
    keys = {key: row[key] for key in chosen}
    return {"trial": row["directory"], "arm": row["arm"], **keys, "val loss": row["score"]}


def _arms_table(arms: Sequence[Record]) -> Table:
    return Table(
        name="arms",
        title="Best trial of each reading of the gradient",
        columns=(
            words("arm", "arm"),
            number("trials", "trials", "d"),
            number("pruned", "pruned", "d"),
            number("diverged", "diverged", "d"),
            number("lr", "lr"),
            number("val loss", "val loss"),
            number("test metric", "test metric", ".2f"),
        ),
        records=tuple(arms),
        caption="test metric: accuracy in %, or NMSE in dB; one seed each",
        numbered=True,
    )


def _trials_table(trials: Sequence[Record], chosen: Sequence[str]) -> Table:
    def sampled(key: str) -> Column:
        return Column(key.removeprefix("optimizer."), lambda record: _text(record[key]))

    return Table(
        name="trials",
        title="The best trials",
        columns=(words("arm", "arm"), *map(sampled, chosen), number("val loss", "val loss")),
        records=tuple(trials),
    )


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _sentences(runs: pd.DataFrame, arms: Sequence[Record]) -> list[Sentence]:
    ended = runs["status"].isin(["finished", "diverged", "pruned", "failed"]).sum()
    pruned = int((runs["status"] == "pruned").sum())
    sentences = [Sentence(f"{ended} of {len(runs)} trials have ended, {pruned} of them pruned.")]
    for row, arm in enumerate(arms, start=1):
        if arm["best trial"] is not None:
            text = (
                f"{arm['arm']}: the best of {arm['trials']} trials has lr"
                f" {arm['lr']:.4g} and validation loss {arm['val loss']:.4g}."
            )
            sentences.append(Sentence(text, (f"arms {row}",)))
    sentences.append(
        Sentence(
            "A search shows where good trials are, not whether readings differ: its trials are of"
            " one seed, and not the same for all. Sweeps with held-out seeds compare (verdict)."
        )
    )
    return sentences


@paper_style
def search_figure(runs: pd.DataFrame) -> Panels:
    """Validation loss by number of the trial, with the best so far, and over the learning rate.

    Args:
        runs: runs with columns `arm` and `score` (the validation loss, infinite if a trial did not
            finish). Pruned trials are small crosses at their last validation loss, failed ones are
            in a band.
    """
    figure = Panels(1, 2)
    finished = runs[np.isfinite(runs["score"])]
    pruned = runs[(runs["status"] == "pruned") & np.isfinite(runs["val/loss"])]
    failed = runs[runs["status"].isin(["diverged", "failed"])]
    arms = sorted(set(runs["arm"]))
    for axes, key in zip(figure.grid[0], ("run", "optimizer.lr"), strict=True):
        for index, arm in enumerate(arms):
            style = style_of(index) | {"linestyle": "none"}
            rows, lost = (table[table["arm"] == arm] for table in (finished, failed))
            if len(rows):
                axes.plot(rows[key], rows["score"], label=str(arm), **style)
            figure.mark_failed(axes, lost[key], index)
        if len(pruned):
            axes.plot(
                *(pruned[key], pruned["val/loss"]), "x", markersize=3, color="0.6", label="pruned"
            )
        axes.set_ylabel("validation loss")
    by_trial, by_rate = figure.grid[0]
    ordered = finished.sort_values("run")
    by_trial.step(
        ordered["run"], ordered["score"].cummin(), where="post", color="0.2", label="best so far"
    )
    by_trial.set_xlabel("trial")
    octave_axis(by_rate, "learning rate")
    for axes in (by_trial, by_rate):
        logarithmic(axes)
    common_limits((by_trial, by_rate), "y")
    return figure.finish("in the band: trials that diverged or failed")


EXPERIMENT = Experiment(report_search)
