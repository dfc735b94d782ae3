"""`cvtrain convert`: hyperparameters under another reading of the gradient.

    cvtrain convert --from wirtinger --to pytorch adamw lr=1e-3 eps=1e-8 clip.norm=1

Frameworks are those of `cvtrain.laws.FRAMEWORKS`. The exit status is 0 if both sides end with the
same weights, 1 if no hyperparameters achieve that, and 2 for bad input.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Sequence
from typing import Any

from cvtrain.cli.parser import CommandParser
from cvtrain.laws import FRAMEWORKS, Conversion, Side, convert, framework_convention
from cvtrain.laws.table import Values, defaults
from cvtrain.laws.verify import distance
from cvtrain.process.errors import InputError
from cvtrain.process.exit_status import run_command

NAME = "cvtrain convert"
EXACT, INEXACT = 0, 1
ROUNDING = 1e-9
"""Largest relative distance between weights of two trainings that are equal up to rounding."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the conversion that `arguments` request (None: the process's own).

    Returns:
        the exit status: 0 (exact), 1 (no exact conversion), 2 (bad input), 130, 143 or 141 (ended
            by a signal, or since nobody reads the output).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Print a conversion, as `main` does, but raise errors instead of printing them."""
    conversion = _conversion(sys.argv[1:] if arguments is None else arguments)
    apart = None if conversion.values is None else distance(conversion)
    print("\n".join(account(conversion, apart)))
    return EXACT if conversion.exact and apart is not None and apart <= ROUNDING else INEXACT


def account(conversion: Conversion, apart: float | None = None) -> list[str]:
    """The conversion as lines of text: a table, obstacles to it, and overrides for cvtrain.

    Args:
        conversion: conversion with or without values for the target.
        apart: distance from `cvtrain.laws.verify.distance`; None: measured here.
    """
    source, target = conversion.source, conversion.target
    lines = [
        f"{conversion.optimizer}: from {_side(source)} to {_side(target)},"
        f" {'mixed' if conversion.mixed else 'purely complex'} network",
    ]
    if conversion.values is not None:
        factors = f"gradients at the target: {conversion.complex_factor:g} × those at the source"
        if conversion.mixed:
            factors += f", {conversion.real_factor:g} × for real parameters"
        lines += [factors, "", *_table(conversion), ""]
    lines += [f"no exact conversion: {obstacle}" for obstacle in conversion.obstacles]
    lines += [f"rules differ: {difference}" for difference in conversion.differences]
    if conversion.values is None:
        return lines
    if conversion.condition is not None and not conversion.obstacles:
        lines.append(f"holds where {conversion.condition}")
    lines.append(_seen(conversion, distance(conversion) if apart is None else apart))
    return [
        *lines,
        "",
        "in cvtrain, by the source's rules:",
        "  " + " ".join(conversion.overrides()),
    ]


def _seen(conversion: Conversion, apart: float) -> str:
    trained = "a small network trained on either side ended"
    ended = f"{trained} with equal bits" if apart == 0 else f"{trained} {apart:.2g} apart"
    if conversion.obstacles:
        spared = " (the obstacles had no effect in it)" if apart == 0 else ", relatively"
        return f"the nearest: {ended}{spared}"
    if not apart <= ROUNDING:
        return f"not exact: {ended}, relatively, which is more than rounding does"
    beginning = "exact but for the rules" if conversion.differences else "exact"
    return f"{beginning}: {ended}" if apart == 0 else f"{beginning}, up to rounding: {ended}"


def _table(conversion: Conversion) -> list[str]:
    assert conversion.values is not None
    rows = [
        (name, value, conversion.values[name], (conversion.real_values or {}).get(name))
        for name, value in conversion.source_values.items()
        if value is not None
    ]
    if conversion.source_clip is not None and conversion.clip is not None:
        rows += [
            (f"clip.{name}", value, conversion.clip[name], None)
            for name, value in conversion.source_clip.items()
        ]
    heads = ["", "source", "target"]
    if conversion.real_values is not None:
        heads = ["", "source", "complex parameters", "real parameters"]
    table = [heads] + [
        [name, *map(_shown, (before, after, after if real is None else real))][: len(heads)]
        for name, before, after, real in rows
    ]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _shown(value: Any) -> str:
    return str(value)


def _side(side: Side) -> str:
    half = "" if side.loss_scale == 1 else f", loss × {side.loss_scale:g}"
    return f"{side.convention.name}{half}"


def _conversion(arguments: Sequence[str]) -> Conversion:
    parser = CommandParser("convert", str(__doc__))
    names = ", ".join(FRAMEWORKS)
    parser.add_argument("--from", dest="source", required=True, help=names)
    parser.add_argument("--to", dest="target", required=True, help="likewise")
    scale = "factor of the loss there, e.g. 0.5 (1)"
    parser.add_argument("--from-loss-scale", type=float, default=1.0, metavar="SCALE", help=scale)
    parser.add_argument("--to-loss-scale", type=float, default=1.0, metavar="SCALE", help=scale)
    parser.add_argument(
        "--mixed", action="store_true", help="the network has real parameters beside complex ones"
    )
    parser.add_argument("optimizer", help="a name in conf/optimizer")
    parser.add_argument("hyperparameters", nargs="*", metavar="NAME=VALUE", help="e.g. lr=1e-3")
    options = parser.parse_intermixed_args(list(arguments))
    hyperparameters, clip = _hyperparameters(options.optimizer, options.hyperparameters)
    return convert(
        options.optimizer,
        hyperparameters,
        Side(framework_convention(options.source), options.from_loss_scale),
        Side(framework_convention(options.target), options.to_loss_scale),
        clip=clip,
        mixed=options.mixed,
    )


def _hyperparameters(optimizer: str, texts: Sequence[str]) -> tuple[Values, Values | None]:
    """Hyperparameters, and clipping from ``clip.norm=1`` and ``clip.eps=0``."""
    kinds = defaults(optimizer)
    values: Values = {}
    clip: Values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"{text}: should be NAME=VALUE")
        key = name.removeprefix("clip.")
        in_clip, is_eps = key != name, key == "eps"
        if name in values or (in_clip and ("eps" in clip if is_eps else "kind" in clip)):
            twice = "clip" if in_clip else name
            raise InputError(f"{text}: should be left out, {twice} is set already")
        if not in_clip:
            values[name] = _value(name, value, kinds.get(name))
        else:
            number = _value(name, value, 1.0)
            clip |= {"eps": number} if is_eps else {"kind": key, "threshold": number}
    return values, clip or None


def _value(name: str, text: str, default: Any) -> Any:
    """Parse a value of the type of the default value."""
    value = _read(text)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{name}={text}: should be true or false")
    elif isinstance(default, int | float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise InputError(f"{name}={text}: should be a finite number")
        # A whole number is valid for a learning rate.
        return float(value) if isinstance(default, float) else value
    return value


def _read(text: str) -> Any:
    named = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return float(text) if not text.lstrip("+-").isdecimal() else int(text)
    except ValueError:  # not a number, or one with thousands of digits
        pass
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return tuple(value) if isinstance(value, list) else value
