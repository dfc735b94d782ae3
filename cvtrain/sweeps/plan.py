"""Compose and check the points of a command line, without making files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from cvtrain.config.compose import Composer
from cvtrain.config.overrides import explain, parse_override
from cvtrain.config.point import Point
from cvtrain.config.schema import Config, check_config
from cvtrain.config.sweep_size import check_points_wanted, product_size
from cvtrain.experiments.registry import check_analysis
from cvtrain.process.errors import InputError
from cvtrain.process.imports import without_collections
from cvtrain.process.signals import interruption
from cvtrain.runs.run_json import flattened
from cvtrain.runs.safe_names import plain, shortened
from cvtrain.sweeps.fewer_points import fewer_points

NULL_JITTER = 1e-6
"""Relative noise on the initial weights of the jitter control."""
QUOTES = "'\""


@dataclass(frozen=True)
class Plan:
    """All points of a sweep, in order."""

    points: tuple[Point, ...]

    @classmethod
    def compose(
        cls,
        composer: Composer,
        overrides: Sequence[str],
        variants: Sequence[Sequence[str]] = (),
        fewer: Sequence[Mapping[str, Mapping[str, Any]]] = (),
    ) -> Plan:
        """Expand, compose and check every point; the jitter controls come last.

        Args:
            composer: composer of points.
            overrides: overrides with sweeps (``key=a,b``); a later override of a key replaces an
                earlier one.
            variants: lists of overrides without sweeps that are added to every combination.
            fewer: rules that leave out combinations; see `cvtrain.sweeps.fewer_points`.

        Raises:
            InputError: a point is wrong; the message names the first error.
        """
        combinations, swept = expand(composer, overrides, max(1, len(variants)))
        combinations = fewer_points(combinations, fewer)
        if variants:
            combinations = [[*axes, *added] for axes in combinations for added in variants]
            swept |= {"variant"}
        configs = [_checked(composer, combination) for combination in combinations]
        for analysis in {config.analysis for config in configs}:
            check_analysis(analysis)
        named = [swept_values(combination, swept) for combination in combinations]
        chosen = list(zip(configs, combinations, named, strict=True))
        for (config, combination, name), repeated in zip(
            tuple(chosen), _of_the_reference(configs), strict=True
        ):
            if repeated:
                override = f"init_jitter={NULL_JITTER}"
                twin = config.model_copy(update={"init_jitter": NULL_JITTER})
                chosen.append((twin, [*combination, override], f"{name},{override}".strip(",")))
        width = len(str(len(chosen) - 1))
        points = tuple(
            Point(number, config, tuple(combination), directory_name(number, width, name))
            for number, (config, combination, name) in enumerate(chosen)
        )
        _refuse_repetitions(points)
        return cls(points)


def _checked(composer: Composer, combination: Sequence[str]) -> Config:
    interruption.check()
    return check_config(composer.compose(combination))


def expand(
    composer: Composer, overrides: Sequence[str], variants: int = 1
) -> tuple[list[list[str]], set[str]]:
    """Every combination of a command line's sweeps, and the swept keys. It is an error if they are,
    with `variants` of each, more than a sweep may have.

    `optimizer.lr` replaces the axis `lr_octave` of an experiment.
    """
    parsed = [parse_override(text) for text in overrides]
    for override in parsed:
        composer.check(override)
        if override.key_or_group == "experiment" and override.is_sweep_override():
            raise InputError(
                f"{override.input_line}: one experiment at a time; each brings its own axes"
            )
        if override.is_interval_sweep():
            raise InputError(
                f"{override.input_line}: an interval has no number of points; list the values, or"
                " use range(start,stop,step)"
            )
    rates_given = any(o.key_or_group == "optimizer.lr" for o in parsed)
    if rates_given:
        parsed = [o for o in parsed if o.key_or_group != "lr_octave" or not o.is_sweep_override()]
    count = product_size(parsed, variants)
    check_points_wanted(count, " ".join(text for text in overrides if _swept(text)))
    try:
        (combinations,) = BasicSweeper.split_arguments(parsed, None)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from None
    last = {o.key_or_group: o for o in parsed}
    swept = {key for key, o in last.items() if o.is_sweep_override()}
    return combinations, swept


def _swept(text: str) -> bool:
    return parse_override(text).is_sweep_override()


def swept_values(combination: Sequence[str], swept: set[str]) -> str:
    """The values that distinguish a point from the others, e.g.
    ``lr_octave=-2,objective_scale=0.5``."""
    parsed = [parse_override(text) for text in combination]
    pairs = [
        (o.key_or_group, o.get_value_element_as_str()) for o in parsed if o.key_or_group in swept
    ]
    return ",".join(
        f"{re.sub('[^A-Za-z0-9_]', '_', key)}={re.sub('[^A-Za-z0-9_.+-]', '_', value)}"
        for key, value in ((key, value.strip(QUOTES)) for key, value in pairs)
    )


def directory_name(number: int, width: int, values: str) -> str:
    """`<number>_<the swept values>`, short enough for any file system."""
    return f"{number:0{width}d}_{shortened(plain(values))}".rstrip("_")


def single_point(composer: Composer, overrides: Sequence[str]) -> Point:
    """The single point of a command line without sweeps.

    Raises:
        InputError: the command line has a sweep, or the point is wrong.
    """
    for text in overrides:
        if parse_override(text).is_sweep_override():
            raise InputError(f"{text}: several values are a sweep: add -m, or quote the value")
    points = Plan.compose(composer, overrides).points
    if len(points) > 1:
        raise InputError("null_arm=true: the null arm is for sweeps: add -m")
    if points[0].config.report.decide:
        raise InputError("report.decide=true: should be false in a single run, which has no arms")
    return replace(points[0], directory="")


def _of_the_reference(configs: Sequence[Config]) -> list[bool]:
    """Which points the jitter control repeats: those of the arm with which a report compares the
    others.

    Raises:
        InputError: `report.reference` names no arm.
    """
    wanted = [config.null_arm and _is_reference(config) for config in configs]
    if not any(wanted):
        return wanted
    # Imported here: it loads pandas, for which an error in the command line should not wait.
    with without_collections():
        import pandas as pd

        from cvtrain.analysis.arms import label_runs

    rows = pd.DataFrame([dict(flattened(config.as_dict())) for config in configs])
    labelled = label_runs(rows, tuple(rows.columns))
    same = labelled["arm"] == labelled["reference"]
    return [one and bool(other) for one, other in zip(wanted, same, strict=True)]


def _is_reference(config: Config) -> bool:
    convention = config.convention
    unchanged = config.objective.scale == 1 and convention.scale == 1 and not convention.conjugate
    return unchanged and config.init_jitter == 0


def _refuse_repetitions(points: Sequence[Point]) -> None:
    seen: dict[str, Point] = {}
    for point in points:
        first = seen.setdefault(point.id, point)
        if first is not point:
            raise InputError(
                f"points {first.number} and {point.number} of the sweep are the same"
                f" ({' '.join(point.overrides)}): an axis repeats a value or changes nothing"
            )
