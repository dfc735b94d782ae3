"""Lightning's callbacks in a run: what works, what is refused, and what becomes of a run that
one of them ends."""

from __future__ import annotations

import logging

import pytest
import torch.distributed as dist
from lightning.pytorch import Callback, callbacks

import cvtrain
from cvtrain.config.point import Point
from cvtrain.process.errors import InputError
from cvtrain.training.job import Job
from cvtrain.training.train import train
from tests.training.trained_runs import Trained

SHORT = ("model.hidden=[4]", "max_steps=6", "batch_size=8", "signals.validation_every=4")
PLACE = "lightning.pytorch.callbacks"
WORKS = ""
OUTCOMES = {
    "BackboneFinetuning": "start_from",
    "BaseFinetuning": "start_from",
    "BasePredictionWriter": "evaluate RUN --predictions",
    "BatchSizeFinder": "batch_size",
    "Callback": WORKS,
    "Checkpoint": "checkpoint.every_n_steps",
    "DeviceStatsMonitor": "no logger of Lightning's",
    "EMAWeightAveraging": "ema.decay",
    "EarlyStopping": "early_stopping.patience",
    "GradientAccumulationScheduler": "trainer.accumulate_grad_batches",
    "LambdaCallback": WORKS,
    "LearningRateFinder": "lr_octave",
    "LearningRateMonitor": "train/lr",
    "ModelCheckpoint": "checkpoint.every_n_steps",
    "ModelPruning": "prune the network of a checkpoint",
    "ModelSummary": WORKS,
    "OnExceptionCheckpoint": "checkpoint.every_n_steps",
    "ProgressBar": "trainer.enable_progress_bar=true",
    "RichModelSummary": WORKS,
    "RichProgressBar": "trainer.enable_progress_bar=true",
    "SpikeDetection": "should be a lightning Callback class",
    "StochasticWeightAveraging": "ema.decay",
    "TQDMProgressBar": "trainer.enable_progress_bar=true",
    "ThroughputMonitor": "no logger of Lightning's",
    "Timer": WORKS,
    "WeightAveraging": "ema.decay",
}


def asked(name: str) -> str:
    return f"+trainer.callbacks=[{{_target_: {PLACE}.{name}}}]"


def trained(root, *overrides, callback=None):
    config = cvtrain.configure(*SHORT, *overrides)
    if callback is not None:
        changed = {"trainer": {**config.trainer, "callbacks": [callback]}}
        config = config.model_copy(update=changed | {"trusted_modules": ("tests",)})
    (record,) = train(Job((Point(0, config, (), "run"),), root))
    return Trained(record, root / "run")


def test_every_callback_of_lightning_has_an_outcome():
    assert set(OUTCOMES) == set(callbacks.__all__)


@pytest.mark.parametrize("name", [name for name, said in OUTCOMES.items() if said])
def test_a_callback_that_cannot_work_is_refused_with_what_serves_instead(name):
    with pytest.raises(InputError) as caught:
        cvtrain.configure(*SHORT, asked(name))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"trainer.callbacks[0]._target_={PLACE}.{name}: ")
    assert OUTCOMES[name] in line


@pytest.mark.parametrize("name", [name for name, said in OUTCOMES.items() if not said])
def test_a_callback_that_can_work_trains_to_the_end(tmp_path, name):
    record = trained(tmp_path, asked(name)).record
    assert (record.status, record.steps, record.stopped_at) == ("finished", 6, None)


@pytest.mark.parametrize("name", ["RichProgressBar", "TQDMProgressBar"])
def test_a_progress_bar_that_is_asked_for_is_shown(tmp_path, capsys, name):
    record = trained(tmp_path, asked(name), "+trainer.enable_progress_bar=true").record
    assert record.status == "finished"
    assert "Epoch 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "shown"),
    [("+trainer.profiler=simple", "Profiler Report"), (asked("ModelSummary"), "Total params")],
)
def test_what_was_asked_for_is_shown(tmp_path, capsys, caplog, override, shown):
    trained(tmp_path, override)
    assert shown in caplog.text + capsys.readouterr().err


def test_the_signals_of_a_run_need_no_monitor():
    with pytest.raises(InputError, match="should be a lightning Callback class"):
        cvtrain.configure("+trainer.callbacks=[{_target_: cvtrain.GradientMonitor}]")


class StopAfter(Callback):
    """Ends training after `step` updates or batches, in one process of several where told."""

    def __init__(self, step: int, rank: int | None = None, accumulated: int = 1) -> None:
        self.batch = step * accumulated - 1
        self.rank = rank

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        here = self.rank is None or dist.get_rank() == self.rank
        if here and batch_idx >= self.batch:
            trainer.should_stop = True


class LeaveTheEpoch(Callback):
    """What Lightning takes for the end of an epoch."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if batch_idx == 2:
            raise StopIteration


STOP = f"{__name__}.StopAfter"


@pytest.mark.parametrize("step", [1, 3, 4, 5])
def test_a_run_that_a_callback_ends_is_finished_where_it_ended(tmp_path, caplog, step):
    with caplog.at_level(logging.WARNING, "cvtrain"):
        run = trained(tmp_path, callback={"_target_": STOP, "step": step})
    record = run.record
    assert (record.status, record.steps, record.stopped_at) == ("finished", step, step)
    assert caplog.text.count(f"run ended after {step} of 6 updates: a callback stopped") == 1
    assert run.rows.index[-1] == step
    last = run.rows.loc[step]
    for tag in ("val/loss", "test/loss", "test/accuracy", "weight/norm"):
        assert record.final[tag] == pytest.approx(last[tag])
    alone = trained(tmp_path / "alone", f"max_steps={step}")
    assert record.final["test/loss"] == alone.record.final["test/loss"]
    assert record.final["val/loss"] == alone.record.final["val/loss"]


def test_a_run_that_is_ended_within_an_update_ends_with_the_one_before(tmp_path):
    stop = {"_target_": STOP, "step": 5}
    run = trained(tmp_path, "trainer.accumulate_grad_batches=2", callback=stop)
    assert (run.record.status, run.record.steps, run.record.stopped_at) == ("finished", 2, 2)
    assert "test/loss" in run.record.final


def test_a_timer_that_has_run_out_ends_a_run_after_its_first_update(tmp_path):
    timer = {"_target_": f"{PLACE}.Timer", "duration": {"seconds": 0}}
    record = trained(tmp_path, callback=timer).record
    assert (record.status, record.steps, record.stopped_at) == ("finished", 1, 1)
    assert "test/loss" in record.final


def test_a_callback_that_leaves_the_epoch_makes_the_run_fail(tmp_path):
    with pytest.raises(RuntimeError, match="batch 0 comes at step 3: a callback left the epoch"):
        trained(tmp_path, callback={"_target_": f"{__name__}.LeaveTheEpoch"})


@pytest.mark.usefixtures("preloaded_processes")
@pytest.mark.parametrize("accumulated", [1, 2])
def test_processes_end_together_where_a_callback_ends_one_of_them(tmp_path, accumulated):
    stop = {"_target_": STOP, "step": 2, "rank": 1, "accumulated": accumulated}
    several = "trainer.devices=2", f"trainer.accumulate_grad_batches={accumulated}"
    run = trained(tmp_path, *several, "trainer.accelerator=cpu", callback=stop)
    assert run.record.status == "finished"
    assert run.record.stopped_at == run.record.steps == (3 if accumulated == 1 else 2)
