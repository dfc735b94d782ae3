"""Learning rates of a `StackedModule`: each network has its own, and its own schedule."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EMAWeightAveraging,
    LearningRateMonitor,
    StochasticWeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger
from torch import nn

import cvtrain
from cvtrain import StackedModule
from cvtrain.optim import Adam
from tests.training.own_networks import RATES, Own, fit

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers


SCHEDULES = [
    cvtrain.schedule("cosine", 12, warmup_steps=3),
    None,
    cvtrain.schedule("step", 12, every=4, factor=0.5),
]


class Scheduled(Own):
    """Has a learning rate of lr · schedule(t), by a scheduler of torch."""

    def __init__(self, seed: int, rate: float, schedule) -> None:
        super().__init__(seed, rate)
        self.schedule = schedule

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.schedule)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


def test_a_schedule_for_each_network_and_what_monitors_of_rates_see(tmp_path):
    networks = [Own(k) for k in range(3)]
    loss = nn.functional.cross_entropy
    stack = StackedModule(networks, loss, partial(Adam, lr=RATES), schedule=SCHEDULES)
    logger = CSVLogger(tmp_path)
    monitor = LearningRateMonitor("step", log_momentum=True, log_weight_decay=True)
    fit(stack, tmp_path, logger=logger, log_every_n_steps=1, callbacks=[monitor])
    logged = pd.read_csv(Path(logger.log_dir) / "metrics.csv")
    for k, (rate, schedule) in enumerate(zip(RATES.tolist(), SCHEDULES, strict=True)):
        factor = schedule or (lambda t: 1.0)
        alone = Scheduled(k, rate, factor)
        fit(alone, tmp_path)
        for key, value in stack.state_dict_of(k).items():
            torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)
        rates = logged[f"lr-Adam/{k}"].dropna().tolist()
        assert rates == pytest.approx([rate * factor(t) for t in range(12)], rel=1e-12)
        assert set(logged[f"lr-Adam/{k}-momentum"].dropna()) == {0.9}
        assert set(logged[f"lr-Adam/{k}-weight_decay"].dropna()) == {0.0}


def test_one_schedule_for_all_goes_on_where_training_is_resumed(tmp_path):
    def stacked() -> StackedModule:
        networks = [Own(0), Own(1)]
        rule, schedule = partial(Adam, lr=RATES[:2]), SCHEDULES[0]
        return StackedModule(networks, nn.functional.cross_entropy, rule, schedule=schedule)

    whole = stacked()
    fit(whole, tmp_path)
    fit(stacked(), tmp_path, max_epochs=2).save_checkpoint(tmp_path / "half.ckpt")
    resumed = stacked()
    fit(resumed, tmp_path, resume=tmp_path / "half.ckpt")
    for k in (0, 1):
        other = resumed.state_dict_of(k)
        assert all(torch.equal(value, other[key]) for key, value in whole.state_dict_of(k).items())


class WithScheduler(StackedModule):
    """Makes a scheduler of torch, as a module for one network does."""

    kind = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        scheduler = self.kind(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "x"}}


def with_scheduler(module, **more):
    rates = {"lr": 0.01, **more}
    numbers = {"schedule": rates.pop("schedule", None)}
    loss = nn.functional.cross_entropy
    return module([Own(0), Own(1)], loss, partial(Adam, **rates), **numbers)


def swa() -> Callback:
    return StochasticWeightAveraging(swa_lrs=0.02, swa_epoch_start=2, annealing_epochs=1)


@pytest.mark.parametrize(("module", "averaged"), [(WithScheduler, False), (StackedModule, True)])
def test_what_sets_one_rate_works_where_there_is_one(tmp_path, module, averaged):
    class Alone(Own):
        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
            return optimizer if averaged else ([optimizer], [scheduler])

    def callbacks() -> list[Callback]:
        return [swa()] if averaged else [LearningRateMonitor()]

    stack, alone = with_scheduler(module), Alone(1, 0.01)
    for trained in (stack, alone):
        fit(trained, tmp_path, callbacks=callbacks(), logger=CSVLogger(tmp_path))
    for key, value in stack.state_dict_of(1).items():
        torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)


class OnPlateau(WithScheduler):
    kind = torch.optim.lr_scheduler.ReduceLROnPlateau


@pytest.mark.parametrize(
    ("module", "more", "callbacks", "message"),
    [
        (WithScheduler, {"lr": RATES[:2]}, [], "a scheduler of torch sets one learning rate"),
        (WithScheduler, {"schedule": SCHEDULES[0]}, [], "ExponentialLR sets one learning rate"),
        (OnPlateau, {"lr": RATES[:2]}, [], "ReduceLROnPlateau sets one learning rate"),
        (StackedModule, {"lr": RATES[:2]}, [swa], "StochasticWeightAveraging sets one"),
    ],
)
def test_what_sets_one_rate_for_all_is_refused_by_what_to_use(
    tmp_path, module, more, callbacks, message
):
    with pytest.raises(ValueError, match=f"{message}.*: should be schedule= of StackedModule"):
        fit(with_scheduler(module, **more), tmp_path, callbacks=[make() for make in callbacks])


def test_averages_of_weights_are_those_of_each_network(tmp_path):
    stack, alone = with_scheduler(StackedModule, lr=RATES[:2]), Own(1, RATES[1].item())
    for trained in (stack, alone):
        fit(trained, tmp_path, callbacks=[EMAWeightAveraging(decay=0.5)])
    for key, value in stack.state_dict_of(1).items():
        torch.testing.assert_close(value, alone.state_dict()[key], rtol=1e-10, atol=1e-12)
