"""A task is made once for all configurations that differ in numbers alone."""

from __future__ import annotations

import pickle

import pytest
from lightning.pytorch.callbacks import Timer

from cvtrain.cli.train import main
from cvtrain.config.point import Point
from cvtrain.models.linear import Linear
from cvtrain.training.preflight import preflight
from cvtrain.training.task import Task
from tests.restored_logging import logging_put_back
from tests.training.trained_runs import configured

LINEAR = ("data=system_id", "model=linear", "objective=complex_mse", "max_steps=2")


@pytest.fixture
def made(monkeypatch):
    """The classes of networks and callbacks that were made, in order."""
    classes = []
    for kind in (Linear, Timer):

        def counted(self, *arguments, original=kind.__init__, **named):
            classes.append(type(self))
            original(self, *arguments, **named)

        counted.__wrapped__ = kind.__init__
        monkeypatch.setattr(kind, "__init__", counted)
    return classes


def test_a_run_makes_network_and_callbacks_for_the_check_and_for_its_training_alone(made, tmp_path):
    timer = "+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.Timer}]"
    with logging_put_back():
        assert main([*LINEAR, timer, f"hydra.run.dir={tmp_path}"]) == 0
    assert sorted(kind.__name__ for kind in made) == ["Linear", "Linear", "Timer", "Timer"]


def test_points_that_differ_in_numbers_share_a_task_that_has_counted_its_network(made):
    changes = ("seed=1", "optimizer=adam", "objective.scale=0.5", "data.taps=4")
    configs = [configured(*LINEAR, change) for change in changes]
    made.clear()
    tasks = preflight([Point(k, config, (), str(k)) for k, config in enumerate(configs)])
    assert [tasks.of(config) for config in configs[:3]] == [tasks.of(configs[0])] * 3
    assert [task.parameter_count.complex for task in tasks] == [8, 4]
    assert "8 complex and 0 real parameters" in tasks.of(configs[1]).describe(configs[1])[1]
    assert made == [Linear, Linear]


def test_a_task_goes_to_another_process_without_its_data():
    task = Task(configured(*LINEAR))
    assert len(task.dataset.train) == 3000
    assert task.parameter_count.complex == 8
    sent = pickle.dumps(task)
    assert len(sent) < 20_000
    again = pickle.loads(sent)
    assert (again.config, again.accelerator) == (task.config, task.accelerator)
    assert again.parameter_count == task.parameter_count
