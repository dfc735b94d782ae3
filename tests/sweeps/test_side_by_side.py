"""A sweep trains in as many processes as repay it, where the command does not say how many."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from cvtrain.config.point import Point
from cvtrain.process import forkable
from cvtrain.sweeps import side_by_side
from cvtrain.sweeps.executors.in_process import InProcess
from cvtrain.sweeps.executors.processes import Processes
from cvtrain.sweeps.side_by_side import may_be_forked, share_this_machine, workers_repaid
from cvtrain.training.task import Tasks
from hydra_plugins.cvtrain_launcher import LocalLauncher
from tests.training.trained_runs import configured

JOB = OmegaConf.create({"chdir": None, "env_set": {}})


def points(runs: int, steps: int, *overrides: str) -> list[Point]:
    config = configured("model.hidden=[4]", f"max_steps={steps}", *overrides)
    return [Point(number, config, (), str(number)) for number in range(runs)]


@pytest.mark.parametrize(
    ("runs", "steps", "workers"),
    [(1, 10**6, 1), (31, 10**6, 1), (32, 624, 1), (32, 625, 2), (348, 200, 4), (48, 10**4, 3)],
)
def test_processes_are_repaid_by_runs_and_updates(monkeypatch, runs, steps, workers):
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 4)
    assert workers_repaid(points(runs, steps)) == workers


def test_code_of_the_users_own_is_not_forked_nor_what_has_an_environment_or_a_place():
    own = points(1, 10)[0]
    trusting = own.config.model_copy(update={"trusted_modules": ("networks",)})
    assert may_be_forked([own], JOB)
    assert not may_be_forked([own, Point(1, trusting, (), "1")], JOB)
    assert not may_be_forked([own], OmegaConf.create({"chdir": True, "env_set": {}}))
    assert not may_be_forked([own], OmegaConf.create({"chdir": None, "env_set": {"A": "1"}}))


@pytest.mark.parametrize("other", ["accelerator", "data", "devices"])
def test_tasks_share_a_machine_on_its_cores_with_data_that_are_kept(monkeypatch, other):
    devices = ["trainer.devices=2", "trainer.accelerator=cpu"] if other == "devices" else []
    tasks = Tasks()
    task = tasks.of(configured("model.hidden=[4]", *devices))
    assert share_this_machine(tasks) is not bool(devices)
    if other == "accelerator":
        task.accelerator = "cuda"
    if other == "data":
        monkeypatch.setattr("cvtrain.data.load.MOST_KEPT", 1)
    assert not share_this_machine(tasks)


def launcher(workers: int | None = None) -> LocalLauncher:
    made = LocalLauncher(workers=workers)
    job = OmegaConf.create({"hydra": {"job": {"chdir": None, "env_set": {}}}})
    made.setup(hydra_context=None, task_function=None, config=job)  # type: ignore[arg-type]
    return made


def test_the_launcher_forks_where_it_is_repaid_and_else_trains_here(monkeypatch):
    chosen = points(40, 1000)
    tasks = Tasks()
    task = tasks.of(chosen[0].config)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)
    before = torch.get_num_threads()

    def executors(workers: int | None = None) -> tuple[object, object]:
        made = launcher(workers)
        made.expect(chosen)
        return made.executor(), made.executor(tasks)

    assert all(isinstance(executor, InProcess) for executor in executors())  # torch has been loaded
    monkeypatch.setattr(forkable, "_fresh", True)
    try:
        first, second = executors()
        assert isinstance(first, InProcess)
        assert isinstance(second, Processes)
        assert (second.workers, second.forked) == (2, True)
        assert second.threads == max(1, before // 2)
        assert all(isinstance(executor, InProcess) for executor in executors(workers=1))
        _, asked = executors(workers=3)
        assert isinstance(asked, Processes)
        assert (asked.workers, asked.forked) == (3, True)
        task.accelerator = "cuda"
        assert isinstance(executors()[1], InProcess)
        assert torch.get_num_threads() == before
        monkeypatch.setattr(forkable, "_fresh", False)
        _, asked = executors(workers=3)
        assert isinstance(asked, Processes)
        assert (asked.workers, asked.forked) == (3, False)
    finally:
        forkable.use_all_threads()
