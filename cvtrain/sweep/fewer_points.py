"""Points that a sweep leaves out: what a law makes equal takes fewer points, not none.

A rule is ``{where: {objective.scale: 0.5}, keep: {lr_octave: [-2, -1]}}``: of the combinations with
these values only those with one of the values to keep are trained. An axis that the command line
sets is trained whole, and a key whose values to keep are not on its axis is no restriction, so that
an arm never vanishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvtrain.config.overrides import parse_override
from cvtrain.process.errors import InputError

Rule = Mapping[str, Mapping[str, Any]]


def fewer_points(combinations: list[list[str]], rules: Sequence[Rule]) -> list[list[str]]:
    """The combinations of overrides that the rules leave.

    Raises:
        InputError: a rule has other parts than `where` and `keep`.
    """
    for rule in rules:
        if set(rule) != {"where", "keep"}:
            raise InputError(f"hydra.sweeper.fewer={dict(rule)}: should have where and keep")
        for key, kept in rule["keep"].items():
            wanted = set(map(_text, kept))
            rows = [(each, _values(each)) for each in combinations]
            concerned = [values for _, values in rows if _matches(values, rule["where"])]
            if not wanted & {values.get(key) for values in concerned}:
                continue
            combinations = [
                each
                for each, values in rows
                if values.get(key) in wanted or not _matches(values, rule["where"])
            ]
    return combinations


def without_typed_axes(rules: Sequence[Rule], typed: Sequence[str]) -> list[Rule]:
    """The rules without the values to keep of keys that are set on the command line.

    Args:
        rules: of an experiment.
        typed: overrides of the command line.
    """
    keys = {parse_override(text).key_or_group for text in typed}
    return [
        {
            part: {key: kept for key, kept in content.items() if part != "keep" or key not in keys}
            for part, content in rule.items()
        }
        for rule in rules
    ]


def _matches(values: Mapping[str, str], where: Mapping[str, Any]) -> bool:
    return all(values.get(key) == _text(value) for key, value in where.items())


def _values(combination: Sequence[str]) -> dict[str, str]:
    parsed = map(parse_override, combination)
    return {o.key_or_group: _text(o.value()) for o in parsed}


def _text(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{float(value):g}" if number else str(value)
