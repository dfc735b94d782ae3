"""A search: trials chosen by Optuna, a batch at a time, each batch trained as stacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from optuna.distributions import BaseDistribution
from optuna.trial import Trial
from pydantic import Field, ValidationError

from cvtrain.config.compose import Composer
from cvtrain.config.errors import config_keys, explain_invalid
from cvtrain.config.overrides import parse_override
from cvtrain.config.point import Point
from cvtrain.config.sections import Section
from cvtrain.config.sweep_size import MOST_POINTS
from cvtrain.process.errors import InputError
from cvtrain.process.signals import interruption
from cvtrain.runs.journal import Journal
from cvtrain.runs.metrics_csv import value_at
from cvtrain.runs.run_json import last_value
from cvtrain.sweeps.plan import Plan, directory_name
from cvtrain.sweeps.resume import known_points
from cvtrain.sweeps.search_space import corners, override_text, read_space
from cvtrain.sweeps.session import SweepSession
from cvtrain.sweeps.study import OptunaStudy

KEY = "hydra.sweeper.search"
MOST_BATCH = 10_000
"""Largest number of trials that are requested before the first of them trains."""
Share = Annotated[float, Field(gt=0, lt=1)]


class SearchOptions(Section):
    """The options `hydra.sweeper.search`.

    Attributes:
        space: search space, in the form of `cvtrain.sweeps.search_space.read_space`.
        trials: total number of trials.
        batch: number of trials at a time.
        metric: a signal of the last row.
        prune_at: shares of `max_steps` at which trials that are worse than the median end.
        seed: seed of the choices.
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
    """Check options that Hydra composed.

    Raises:
        InputError: an option is not valid; the message names the key, the value and what is
            allowed.
    """
    try:
        return SearchOptions.model_validate(OmegaConf.to_container(OmegaConf.create(dict(content))))
    except ValidationError as error:
        raise InputError(f"{KEY}.{explain_invalid(error, config_keys(SearchOptions))[0]}") from None


def run_search(session: SweepSession, overrides: Sequence[str], content: Mapping[str, Any]) -> None:
    """Train the trials that Optuna chooses, through any of Hydra's launchers.

    Args:
        session: session of this command.
        overrides: overrides of the command line; the search does not choose a key that they set.
        content: options as in `SearchOptions`.

    Raises:
        InputError: the command or the options are wrong; nothing has been trained or made.
        RunFailed: trials failed.
        Interrupted: a signal came; the finished trials are kept.
    """
    options = read_options(content)
    fixed = {parse_override(text).key_or_group for text in overrides}
    for text in overrides:
        if parse_override(text).is_sweep_override():
            raise InputError(f"{text}: a search chooses by itself; {KEY}.space says from what")
    space = read_space({k: v for k, v in options.space.items() if k not in fixed})
    trials = _Trials(session.composer, overrides, space)
    samples = [trials.point(k, choice) for k, choice in enumerate(corners(space))]
    if samples[0].config.report.decide:
        raise InputError("report.decide=true: should be false in a search, which has no arms")
    session.check(samples)
    first = samples[0].config
    if first.plan:
        study = OptunaStudy(None, space, True, options.seed, options.batch)
        asked = study.ask(options.trials)
        session.show_plan([trials.point(k, t.params) for k, t in enumerate(asked)])
        session.console.print(f"that is the first batch of {options.trials} trials")
        return
    with session.locked(first.resume) as journal:
        if first.resume is not None:
            # Under the lock: another command may have added trials before.
            trials.known = known_points(journal.root)
        lines = [f"{options.trials} trials into {journal.root}"]
        session.announce(journal, lines, [session.tasks.of(first)])
        _search(session, journal, overrides, options, trials)


class _Trials:
    """Points of trials, with their names."""

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
        number, directory = self.known.get(point.id, default)
        return replace(point, number=number, directory=directory)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _search(
    session: SweepSession,
    journal: Journal,
    overrides: Sequence[str],
    options: SearchOptions,
    trials: _Trials,
) -> None:
    points = dict[str, Point]()
    minimize = options.direction == "minimize"
    study = OptunaStudy(journal.root, trials.space, minimize, options.seed, options.batch)
    listed = list(journal.listed())
    with session.reporting(journal, points.values()):
        while asked := study.ask(options.trials):
            interruption.check()
            batch = []
            for trial in asked:
                point = trials.point(len(trials.known), trial.params)
                trials.known[point.id] = point.number, point.directory
                points[point.id] = point
                batch.append(point)
            others = [entry for entry in listed if entry["id"] not in points]
            session.describe(journal, [*points.values()], overrides, others)
            pruned = _train(session, journal, study, asked, batch, options)
            for trial, point in zip(asked, batch, strict=True):
                value = _value(journal.read(point.directory), options)
                study.tell(trial, value, point.id in pruned)
            session.console.print(_line(study, options), soft_wrap=True)


def _train(
    session: SweepSession,
    journal: Journal,
    study: OptunaStudy,
    asked: Sequence[Trial],
    batch: Sequence[Point],
    options: SearchOptions,
) -> set[str]:
    """Train a batch from rung to rung; return the ids of the pruned trials."""
    for rung in (*_rungs(batch[0], options), None):
        waiting = [point for point in batch if not _is_at(journal, point, rung, options)]
        if waiting:
            session.launch(journal, [_paused(point, rung) for point in waiting])
        if rung is None:
            break
        for trial, point in zip(asked, batch, strict=True):
            value = value_at(journal.run_directory(point), rung, options.metric)
            if value is None or journal.status(point.directory) == "failed":
                continue
            # Also for trials that ended in an earlier call: the study has to be told the same as
            # then.
            pruned = study.prunes(trial, rung, value)
            if pruned and journal.ended(point) is None:
                journal.mark_pruned(point)
    return {point.id for point in batch if journal.status(point.directory) == "pruned"}


def _paused(point: Point, rung: int | None) -> Point:
    """The point, trained up to a rung and its validation; None: to its end."""
    if rung is None:
        return point
    config = point.config.model_copy(update={"pause_at": rung + 1})
    return replace(point, config=config, overrides=(*point.overrides, f"pause_at={rung + 1}"))


def _rungs(point: Point, options: SearchOptions) -> Iterator[int]:
    """Steps with a validation at which the trials of a batch are compared."""
    every, most = point.config.signals.validation_every, point.config.max_steps
    steps = {round(share * most / every) * every for share in options.prune_at}
    return (step for step in sorted(steps) if 0 < step < most - 1)


def _is_at(journal: Journal, point: Point, rung: int | None, options: SearchOptions) -> bool:
    """Whether a trial needs no training to reach a rung; None: its end."""
    if journal.ended(point) is not None:
        return True
    if rung is None:
        return False
    return value_at(journal.run_directory(point), rung, options.metric) is not None


def _value(content: Mapping[str, Any] | None, options: SearchOptions) -> float | None:
    """The value by which a trial is judged: the worst one if it diverged, None if it failed."""
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


def _line(study: OptunaStudy, options: SearchOptions) -> str:
    states = [trial.state.name for trial in study.optuna.get_trials(deepcopy=False)]
    pruned = states.count("PRUNED")
    line = f"cvtrain: {study.ended_trials} of {options.trials} trials, {pruned} pruned"
    with suppress(ValueError):
        best = study.optuna.best_trial
        line += f", best {options.metric} {best.value:.4g}"
    return line
