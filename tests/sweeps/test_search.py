"""A search asks Optuna, trains trials as stacks, gives up bad ones, and can be interrupted."""

from __future__ import annotations

import math
import os
import signal

import pytest

from cvtrain.cli.train import main
from cvtrain.process.errors import InputError
from cvtrain.process.optional_dependencies import install_command
from cvtrain.runs.directory_lock import DirectoryLock
from cvtrain.runs.run_json import read_record
from cvtrain.training.module import TrainingModule
from tests.sweeps.small_sweep import assert_equal, resume

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402  # after the check that it is there

from cvtrain.sweeps.search_space import corners, read_space  # noqa: E402

TRIALS, BATCH = 11, 4
SEARCH = (
    "+experiment=search",
    "model.hidden=[4]",
    "max_steps=80",
    "signals.validation_every=10",
    f"hydra.sweeper.search.trials={TRIALS}",
    f"hydra.sweeper.search.batch={BATCH}",
    "checkpoint.every_n_steps=7",
)
FEW_STEPS = "max_steps=20"
SHORT = (*SEARCH, FEW_STEPS)
"""For tests that do not ask how well the trials did."""


def search(directory, *more: str) -> int:
    return main([*SEARCH, *more, f"hydra.sweep.dir={directory}"])


def study(directory):
    return optuna.load_study(study_name="cvtrain", storage=f"sqlite:///{directory / 'study.db'}")


def trials(directory) -> list[tuple]:
    """Choices, values and states of those that were not begun again."""
    return [
        (trial.params, trial.values, trial.state, trial.intermediate_values)
        for trial in study(directory).get_trials()
        if "begun again" not in trial.user_attrs
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("search") / "whole"
    assert search(directory) == 0
    return directory


def test_trials_train_in_stacks_and_what_came_of_them_is_in_the_study(whole):
    records = {path.parent.name: read_record(path) for path in whole.glob("*/run.json")}
    assert len(records) == TRIALS
    assert {record["engine"] for record in records.values()} == {"stack"}
    for (_, values, state, _), (_, record) in zip(
        trials(whole), sorted(records.items()), strict=True
    ):
        if state is TrialState.PRUNED:
            assert record["status"] == "pruned"
        elif record["status"] == "diverged":
            assert values == [math.inf]
        else:
            assert record["status"] == "finished"
            assert values == [record["final"]["val/loss"]]


def test_trials_worse_than_the_median_are_given_up_at_a_rung_and_recorded_so(whole):
    pruned = [read_record(path) for path in whole.glob("*/run.json")]
    pruned = [record for record in pruned if record["status"] == "pruned"]
    assert pruned
    assert {record["steps"] for record in pruned} <= {21, 41}
    pruned_trials = [trial for trial in trials(whole) if trial[2] is TrialState.PRUNED]
    assert len(pruned_trials) == len(pruned)
    earlier = [trial for trial in trials(whole)[:BATCH] if trial[2] is TrialState.COMPLETE]
    assert len(earlier) == BATCH  # nothing to compare the first batch with


@pytest.mark.parametrize(
    "updates", [130, *(pytest.param(k, marks=pytest.mark.long) for k in (3, 30, 70, 200))]
)
def test_an_interrupted_search_goes_on_with_the_choices_and_bits_of_one_that_was_not(
    whole, tmp_path, monkeypatch, updates
):
    directory = tmp_path / "search"
    made = 0
    original = TrainingModule.on_train_batch_end

    def counting(self, *args, **kwargs):
        nonlocal made
        made += 1
        if made == updates:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_end", counting)
        assert search(directory) == 143
    assert resume(directory) == 0
    assert trials(directory) == trials(whole)
    assert_equal(whole, directory)


@pytest.mark.long
def test_a_search_that_has_ended_goes_on_with_more_trials(whole, tmp_path):
    directory = tmp_path / "search"
    assert search(directory, "hydra.sweeper.search.trials=8") == 0
    arguments = [*SEARCH, f"resume={directory}"]
    assert main(arguments) == 0
    assert trials(directory) == trials(whole)
    assert_equal(whole, directory)


def test_trials_that_another_command_adds_meanwhile_keep_their_numbers(tmp_path, monkeypatch):
    directory, few = tmp_path / "search", ("hydra.sweeper.search.trials=2", FEW_STEPS)
    assert search(directory, *few) == 0
    enter = DirectoryLock.__enter__

    def after_another(lock: DirectoryLock) -> DirectoryLock:
        monkeypatch.setattr(DirectoryLock, "__enter__", enter)
        assert main([*SHORT, "hydra.sweeper.search.trials=3", f"resume={directory}"]) == 0
        return enter(lock)

    monkeypatch.setattr(DirectoryLock, "__enter__", after_another)
    assert main([*SHORT, "hydra.sweeper.search.trials=5", f"resume={directory}"]) == 0
    points = read_record(directory / "sweep.json")["points"]
    assert [point["number"] for point in points] == [0, 1, 2, 3, 4]
    assert len({point["id"] for point in points}) == 5


def test_a_paused_sweep_goes_on_with_the_bits_of_one_that_was_not(tmp_path):
    axes = ("model.hidden=[4]", "max_steps=40", "seed=0,1", "-m")
    assert main([*axes, f"hydra.sweep.dir={tmp_path / 'whole'}"]) == 0
    assert main([*axes, f"hydra.sweep.dir={tmp_path / 'paused'}", "pause_at=17"]) == 0
    left = [read_record(path) for path in (tmp_path / "paused").glob("*/run.json")]
    assert [(record["status"], record["steps"]) for record in left] == [("interrupted", 17)] * 2
    assert resume(tmp_path / "paused") == 0
    assert_equal(tmp_path / "whole", tmp_path / "paused")


def test_a_trial_that_fails_is_told_and_tried_again_by_resume(tmp_path, monkeypatch, capsys):
    directory = tmp_path / "search"
    arguments = ("hydra.sweeper.search.trials=3", "hydra.launcher.max_stack=1", FEW_STEPS)
    on_train_batch_start = TrainingModule.on_train_batch_start
    rates: list[float] = []

    def failing(self, *args, **kwargs):
        rates.append(self.config.optimizer.lr)
        if len(rates) > 10 and rates[-1] == rates[0]:
            raise RuntimeError("the antenna fell off")
        return on_train_batch_start(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_start", failing)
        assert search(directory, *arguments) == 1
    assert "1 of 3 trials failed" in capsys.readouterr().err
    assert resume(directory) == 0
    assert [trial[2] for trial in trials(directory)].count(TrialState.COMPLETE) == 3
    assert len(list(directory.glob("*/run.json"))) == 3


def test_a_study_that_is_damaged_or_of_another_space_is_a_line(tmp_path, capsys):
    directory = tmp_path / "search"
    assert search(directory, "hydra.sweeper.search.trials=2", FEW_STEPS) == 0
    capsys.readouterr()
    other = "hydra.sweeper.search.space.convention=[pytorch]"
    assert main([*SHORT, other, f"resume={directory}"]) == 2
    assert "is of a search with another space" in capsys.readouterr().err
    (directory / "study.db").write_bytes(b"SQLite format 3\0" + bytes(2000))
    assert resume(directory) == 2
    assert "study.db: cannot be read as a study" in capsys.readouterr().err
    assert len(list(directory.glob("*/run.json"))) == 2


def test_what_the_command_line_fixes_is_not_chosen(tmp_path):
    arguments = ("optimizer.lr=0.01", "convention=pytorch", "hydra.sweeper.search.trials=3")
    assert search(tmp_path / "x", *arguments, FEW_STEPS) == 0
    for params, *_ in trials(tmp_path / "x"):
        assert params.keys() == {"optimizer.betas", "objective.scale"}


def test_a_plan_shows_the_first_batch_and_makes_nothing(tmp_path, capsys):
    assert search(tmp_path / "x", "plan=true") == 0
    printed = capsys.readouterr()
    assert f"{BATCH} points" in printed.out
    assert f"first batch of {TRIALS} trials" in printed.err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("hydra.sweeper.search.trials=0", "search.trials=0: should be greater than or equal to 1"),
        ("hydra.sweeper.search.direction=up", "search.direction=up: should be 'minimize' or"),
        ("hydra.sweeper.search.prune_at=[2.0]", "should be less than 1"),
        ("+hydra.sweeper.search.sampler=tpe", "search.sampler=tpe"),
        ("seed=0,1", "seed=0,1: a search chooses by itself"),
        ("optimizer=sgd", "optimizer.betas"),
        ("hydra.sweeper.search.space.convention=[pytorch,jax]", "jax"),
        ("hydra.sweeper.search.space.convention=3", "should be a list of values"),
    ],
)
def test_a_wrong_search_is_a_line(tmp_path, capsys, given, told):
    assert search(tmp_path / "x", given) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_metric_that_runs_do_not_have_is_a_line(tmp_path, capsys):
    arguments = ("hydra.sweeper.search.metric=val/snr", "hydra.sweeper.search.trials=2")
    assert search(tmp_path / "x", *arguments) == 2
    assert "val/loss" in capsys.readouterr().err


def test_a_missing_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cvtrain.process.optional_dependencies.find_spec", lambda name: None)
    assert search(tmp_path / "x") == 2
    assert install_command("optuna") in capsys.readouterr().err


def test_corners_hold_every_value_and_both_ends():
    space = read_space({"a": {"low": 1, "high": 4}, "b": [[0.9, 0.999], None, True], "c": ["x"]})
    points = corners(space)
    assert {choice["a"] for choice in points} == {1, 4}
    assert [choice["b"] for choice in points] == ["[0.9,0.999]", "null", "true"]
    assert {choice["c"] for choice in points} == {"x"}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": []},
        {"a": {"low": 0}},
        {"a": {"low": 0, "high": 1, "base": 2}},
        {"a": {"low": 2, "high": 1}},
        {"a": {"low": 0, "high": 1.0, "log": True}},
        {"a": {"low": math.nan, "high": 1.0}},
        {"a": {"low": "x", "high": 1}},
    ],
)
def test_a_space_without_a_choice_is_refused(content):
    with pytest.raises(InputError, match=r"hydra\.sweeper\.search\.space"):
        read_space(content)
