"""A search: trials that Optuna chooses, a batch at a time, each batch trained as stacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution
from optuna.trial import Trial
from pydantic import Field, ValidationError

from cvtrain.config.compose import Composer
from cvtrain.config.errors import config_keys, explain_invalid
from cvtrain.config.overrides import parse_override
from cvtrain.config.point import Point
from cvtrain.config.sections import Section
from cvtrain.config.sweep_size import MOST_POINTS
from cvtrain.process.errors import InputError, SweepStopped
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.signals import interruption
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.runs.journal import Journal
from cvtrain.runs.metrics_csv import value_at
from cvtrain.runs.run_json import last_value
from cvtrain.runs.storage_errors import translate_storage_errors
from cvtrain.sweep.plan import Plan, directory_name
from cvtrain.sweep.recorded_command import recorded_command
from cvtrain.sweep.resume import known_points
from cvtrain.sweep.search_space import corners, override_text, read_space
from cvtrain.sweep.study import OptunaStudy
from cvtrain.sweep.sweeper import (
    experiment_of,
    launch,
    launcher_limits,
    networks,
    refuse_failed,
    report,
    report_what_was_stopped,
)

if TYPE_CHECKING:
    from cvtrain.training.task import Tasks

KEY = "hydra.sweeper.search"
MOST_BATCH = 10_000
"""Trials that are asked for before the first of them trains."""
Share = Annotated[float, Field(gt=0, lt=1)]


class SearchOptions(Section):
    """`hydra.sweeper.search`.

    Attributes:
        space: as `cvtrain.sweep.search_space.read_space` takes it.
        trials: in all.
        batch: trials at a time.
        metric: a signal of the last row.
        prune_at: shares of `max_steps` at which trials that are worse than the median end.
        seed: of the choices.
    """

    space: dict[str, Any]
    trials: Annotated[int, Field(ge=1, le=MOST_POINTS)] = 96
    batch: Annotated[int, Field(ge=1, le=MOST_BATCH)] = 32
    metric: str = "val/loss"
    direction: Literal["minimize", "maximize"] = "minimize"
    prune_at: Annotated[tuple[Share, ...], Field(strict=False)] = ()
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def worst(self) -> float:
        """The worst possible value of the metric: infinity or −infinity."""
        return math.inf if self.direction == "minimize" else -math.inf


def read_options(content: Mapping[str, Any]) -> SearchOptions:
    """Options as Hydra composed them.

    Raises:
        InputError: naming the key, the value and what is allowed.
    """
    try:
        return SearchOptions.model_validate(OmegaConf.to_container(OmegaConf.create(dict(content))))
    except ValidationError as error:
        raise InputError(f"{KEY}.{explain_invalid(error, config_keys(SearchOptions))[0]}") from None


def run_search(
    context: HydraContext,
    config: DictConfig,
    launcher: Launcher,
    overrides: Sequence[str],
    content: Mapping[str, Any],
) -> None:
    """Train what Optuna asks for, through any of Hydra's launchers.

    Args:
        context, config, launcher: what Hydra gives a sweeper at its set-up.
        overrides: the command line's; what it fixes is not chosen.
        content: `SearchOptions`.

    Raises:
        InputError: something is wrong; nothing has been trained or made.
        RunFailed: trials failed.
        Interrupted: a signal came; the finished trials stay.
    """
    console = PlainConsole(stderr=True)
    options = read_options(content)
    composer = Composer(context.config_loader, config.hydra.job.config_name)
    fixed = {parse_override(text).key_or_group for text in overrides}
    for text in overrides:
        if parse_override(text).is_sweep_override():
            raise InputError(f"{text}: a search chooses by itself; {KEY}.space says from what")
    space = read_space({k: v for k, v in options.space.items() if k not in fixed})
    trials = _Trials(composer, overrides, space)
    samples = [trials.point(k, choice) for k, choice in enumerate(corners(space))]
    max_stack, workers = launcher_limits(launcher)
    console.print(f"cvtrain: checking {len(samples)} points")
    from cvtrain.training.preflight import preflight

    tasks = preflight(samples)
    first = samples[0].config
    if first.plan:
        from cvtrain.sweep.estimate import show_plan

        search = OptunaStudy(None, space, True, options.seed, options.batch)
        asked = search.ask(options.trials)
        show_plan(
            [trials.point(k, t.params) for k, t in enumerate(asked)], max_stack, tasks, workers
        )
        console.print(f"that is the first batch of {options.trials} trials")
        return
    if first.resume is None:
        directory = claim_directory(Path(str(config.hydra.sweep.dir)), "hydra.sweep.dir")
    else:
        directory = Path(first.resume)
    config.hydra.sweep.dir = str(directory)
    with translate_storage_errors(directory), DirectoryLock(directory) as lock:
        if first.resume is not None:
            # Under the lock: a command that had it before may have added trials.
            trials.known = known_points(directory)
        OmegaConf.save(config, directory / "multirun.yaml")
        console.print(f"cvtrain: {options.trials} trials into {directory}", soft_wrap=True)
        for line in networks([tasks.of(samples[0].config)]):
            console.print(line, soft_wrap=True)
        _search(config, launcher, overrides, options, trials, tasks, directory, console)
        lock.check()


class _Trials:
    """Points of trials, under the names that they have."""

    def __init__(
        self, composer: Composer, overrides: Sequence[str], space: Mapping[str, BaseDistribution]
    ) -> None:
        self._composer, self._overrides = composer, list(overrides)
        self.space = space
        self.known: dict[str, tuple[int, str]] = {}

    def point(self, number: int, choice: Mapping[str, Any]) -> Point:
        """The point of a choice; one that was trained before keeps its number and directory."""
        chosen = [f"{key}={override_text(value)}" for key, value in choice.items()]
        (point,) = Plan.compose(self._composer, [*self._overrides, *chosen]).points[:1]
        named = ",".join(f"{key}={_short(value)}" for key, value in choice.items())
        default = number, directory_name(number, 4, named)
        place, directory = self.known.get(point.id, default)
        return replace(point, number=place, directory=directory)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _search(
    config: DictConfig,
    launcher: Launcher,
    overrides: Sequence[str],
    options: SearchOptions,
    trials: _Trials,
    tasks: Tasks,
    directory: Path,
    console: PlainConsole,
) -> None:
    journal, points = Journal(directory), dict[str, Point]()
    minimize = options.direction == "minimize"
    search = OptunaStudy(directory, trials.space, minimize, options.seed, options.batch)
    others = list(journal.listed())
    try:
        with suppress(SweepStopped):
            while asked := search.ask(options.trials):
                interruption.check()
                batch = []
                for trial in asked:
                    point = trials.point(len(trials.known), trial.params)
                    trials.known[point.id] = point.number, point.directory
                    points[point.id] = point
                    batch.append(point)
                kept = [entry for entry in others if entry["id"] not in points]
                command = recorded_command(config)
                experiment = experiment_of(config)
                journal.describe_sweep([*points.values()], experiment, overrides, command, kept)
                pruned = _train(search, asked, batch, options, journal, launcher, tasks)
                for trial, point in zip(asked, batch, strict=True):
                    value = _value(journal.read(point.directory), options)
                    search.tell(trial, value, point.id in pruned)
                console.print(_line(search, options), soft_wrap=True)
    except BaseException:
        report_what_was_stopped(directory, journal, [*points.values()], config, console)
        raise
    report(directory, journal, [*points.values()])
    refuse_failed(journal, [*points.values()], "trials", config, console)


def _train(
    search: OptunaStudy,
    asked: Sequence[Trial],
    batch: Sequence[Point],
    options: SearchOptions,
    journal: Journal,
    launcher: Launcher,
    tasks: Tasks,
) -> set[str]:
    """Train a batch, from rung to rung; returns the ids of those that were given up there."""
    for rung in (*_rungs(batch[0], options), None):
        waiting = [point for point in batch if not _is_at(journal, point, rung, options)]
        if waiting:
            launch(launcher, [_paused(point, rung) for point in waiting], journal.root, tasks)
        if rung is None:
            break
        for trial, point in zip(asked, batch, strict=True):
            value = value_at(journal.run_directory(point), rung, options.metric)
            if value is None or journal.status(point.directory) == "failed":
                continue
            # Asked also of those that ended in an earlier call: the study has to be told as then.
            given_up = search.gives_up(trial, rung, value)
            if given_up and journal.ended(point) is None:
                journal.mark_pruned(point)
    return {point.id for point in batch if journal.status(point.directory) == "pruned"}


def _paused(point: Point, rung: int | None) -> Point:
    """The point as it is trained up to a rung, its validation included; to its end, where None."""
    if rung is None:
        return point
    config = point.config.model_copy(update={"pause_at": rung + 1})
    return replace(point, config=config, overrides=(*point.overrides, f"pause_at={rung + 1}"))


def _rungs(point: Point, options: SearchOptions) -> Iterator[int]:
    """Steps with a validation, at which the trials of a batch are compared."""
    every, most = point.config.signals.validation_every, point.config.max_steps
    steps = {round(share * most / every) * every for share in options.prune_at}
    return (step for step in sorted(steps) if 0 < step < most - 1)


def _is_at(journal: Journal, point: Point, rung: int | None, options: SearchOptions) -> bool:
    """Whether a trial needs no training to be at a rung; None: to have ended."""
    if journal.ended(point) is not None:
        return True
    if rung is None:
        return False
    return value_at(journal.run_directory(point), rung, options.metric) is not None


def _value(content: Mapping[str, Any] | None, options: SearchOptions) -> float | None:
    """What a trial is judged by: of a run that diverged the worst, of one that failed nothing."""
    status = None if content is None else content.get("status")
    if content is None or status not in ("finished", "diverged"):
        return None
    value = last_value(content, options.metric)
    if status == "finished" and value is None:
        known = content.get("final")
        raise InputError(
            f"{KEY}.metric={options.metric}: not among the signals of a run, which are"
            f" {', '.join(known if isinstance(known, dict) else ())}"
        )
    number = options.worst if status == "diverged" or value is None else value
    return options.worst if math.isnan(number) else number


def _line(search: OptunaStudy, options: SearchOptions) -> str:
    states = [trial.state.name for trial in search.study.get_trials(deepcopy=False)]
    pruned = states.count("PRUNED")
    line = f"cvtrain: {search.ended_trials} of {options.trials} trials, {pruned} pruned"
    with suppress(ValueError):
        best = search.study.best_trial
        line += f", best {options.metric} {best.value:.4g}"
    return line
