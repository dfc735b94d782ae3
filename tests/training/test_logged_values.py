"""What a callback logs with `self.log` is in the rows of its run."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cvtrain.config.point import Point
from cvtrain.runs.metrics_csv import MetricsFile
from cvtrain.training.job import Job
from tests.training.test_continuation import began, stopped
from tests.training.trained_runs import Trained, configured, trained

SHORT = (
    "model.hidden=[4]",
    "max_steps=12",
    "batch_size=8",
    "signals.scalars_every=4",
    "signals.validation_every=4",
    "optimizer.lr=0.01",
    "trusted_modules=[tests]",
)


class Counts(Callback):
    """Logs what it knows beforehand at several moments of an update."""

    def on_train_start(self, trainer, module) -> None:
        self.log("constant", 7)

    def on_before_optimizer_step(self, trainer, module, optimizer) -> None:
        self.log("before", 0.1 + trainer.global_step, prog_bar=True)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        step = trainer.global_step
        self.log_dict({"after": torch.tensor(step), "other/of step": math.pi * step})
        self.log("mean", float(step), on_step=False, on_epoch=True)
        self.log("both", float(step), on_step=True, on_epoch=True)
        self.log("unlogged", 1.0, logger=False)
        if step == 6:
            self.log("late", torch.tensor(3.0, dtype=torch.float64))


class Once(Callback):
    def __init__(self, name: str, value: float = 1.0, imag: float | None = None) -> None:
        self.name, self.value = name, value if imag is None else complex(value, imag)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        self.log(self.name, self.value)
        self.log(self.name, torch.tensor(self.value))


def asked(kind: str, **arguments: object) -> str:
    more = "".join(f",{key}:{value}" for key, value in arguments.items())
    return f"+trainer.callbacks=[{{_target_:{__name__}.{kind}{more}}}]"


def written(run: Trained, tag: str) -> dict[int, float]:
    return run.rows[tag].dropna().to_dict()


def test_a_value_is_in_the_row_of_the_updates_made_or_in_the_next(tmp_path):
    run = trained(tmp_path, *SHORT, asked("Counts"))
    assert list(run.rows.index) == [0, 4, 8, 12]
    assert written(run, "before") == {0: 0.1, 4: 4.1, 8: 8.1, 12: 11.1}
    assert written(run, "after") == {4: 4, 8: 8, 12: 12}
    assert written(run, "other/of step") == {t: math.pi * t for t in (4, 8, 12)}
    assert written(run, "late") == {8: 3}
    assert written(run, "mean") == {12: 6.5}
    assert written(run, "both_step") == {4: 4, 8: 8, 12: 12}
    assert written(run, "both_epoch") == {12: 6.5}
    assert written(run, "constant")[0] == 7
    assert "unlogged" not in run.rows
    assert run.record.final["late"] == 3
    events = EventAccumulator(str(run.directory)).Reload()
    for tag in ("before", "after", "late", "mean"):
        shown = {event.step: event.value for event in events.Scalars(tag)}
        assert shown == pytest.approx(written(run, tag))
    alone = trained(tmp_path, *SHORT)
    pd.testing.assert_frame_equal(run.rows[alone.rows.columns], alone.rows)


@pytest.mark.parametrize("at", [1, 6, 8, 11])
def test_a_run_that_goes_on_has_the_same_rows(tmp_path, at):
    """Wherever it stops: between a value and its row, and before a column is added."""
    whole = trained(tmp_path, *SHORT, asked("Counts"))
    job = Job((Point(0, configured(*SHORT, asked("Counts")), (), "parts"),), tmp_path)
    stopped(job, at)
    (record,), first = began(job)
    assert first == at + 1
    parts = Trained(record, tmp_path / "parts")
    # Means are of the updates since the run went on, which also has a start of its own.
    columns = [tag for tag in whole.rows if tag not in ("constant", "mean", "both_epoch")]
    pd.testing.assert_frame_equal(parts.rows[columns], whole.rows[columns], check_like=True)


def test_the_last_row_of_a_run_that_ends_early_has_what_is_logged_for_the_end(tmp_path):
    never = "early_stopping.patience=1", "early_stopping.min_delta=1e3"
    run = trained(tmp_path, *SHORT, *never, asked("Counts"))
    assert run.record.stopped_at == run.rows.index[-1] == 4
    assert written(run, "after") == {4: 4}
    assert list(written(run, "mean")) == [4]
    diverged = trained(tmp_path, *SHORT, "optimizer=sgd", "optimizer.lr=1e30", asked("Counts"))
    last = diverged.record.diverged_at
    assert diverged.record.status == "diverged"
    assert list(written(diverged, "mean")) == [last]
    assert "test/loss" in diverged.record.final


@pytest.mark.parametrize("imag", [0.0, 2.0])
def test_a_complex_value_is_refused_for_lightning_would_keep_its_real_part(tmp_path, imag):
    with pytest.raises(TypeError, match=r"self\.log: mine is complex; log its real and imaginary"):
        trained(tmp_path, *SHORT, asked("Once", name="mine", imag=imag))


@pytest.mark.parametrize("name", ["train/loss", "val/loss", "test/accuracy", "step", "a\u2028b"])
def test_a_name_of_cvtrains_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"self\.log: '.*': should be "):
        trained(tmp_path, *SHORT, asked("Once", name=f'"{name}"'))


def test_added_columns_are_empty_in_the_rows_before(tmp_path):
    with MetricsFile(tmp_path, ["a"]) as table:
        table.write(0, {"a": 1.0})
        table.add_columns(["b,c", "d"])
        table.write(1, {"a": 2.0, "d": 3.0})
    assert (tmp_path / "metrics.csv").read_bytes() == (
        b'step,a,"b,c",d\r\n0,1.0,,\r\n1,2.0,,3.0\r\n'
    )
