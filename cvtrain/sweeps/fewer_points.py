"""Points that a sweep leaves out: arms that a law makes equal need fewer points, but some.

A rule is ``{where: {objective.scale: 0.5}, keep: {lr_octave: [-2, -1]}}``: of the combinations with
these values only those with one of the values to keep are trained; ``seed: 4`` keeps the first four
values of the axis. If the command line sets an axis, the values that a rule names do not apply to
it. A key whose values to keep are not on its axis is ignored, so that an arm never vanishes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cvtrain.config.overrides import parse_override
from cvtrain.process.errors import InputError

Rule = Mapping[str, Mapping[str, Any]]


def fewer_points(combinations: list[list[str]], rules: Any) -> list[list[str]]:
    """The combinations of overrides that remain after applying the rules.

    Raises:
        InputError: the rules are not valid.
    """
    for rule in checked_rules(rules):
        for key, allowed in rule["keep"].items():
            rows = [(combination, _values(combination)) for combination in combinations]
            concerned = [values for _, values in rows if _matches(values, rule["where"])]
            axis = dict.fromkeys(values[key] for values in concerned if key in values)
            counted = isinstance(allowed, int)
            wanted = set([*axis][:allowed]) if counted else set(map(_text, allowed))
            if not wanted & {values.get(key) for values in concerned}:
                continue
            combinations = [
                combination
                for combination, values in rows
                if values.get(key) in wanted or not _matches(values, rule["where"])
            ]
    return combinations


def without_typed_axes(rules: Any, typed: Sequence[str]) -> list[Rule]:
    """The rules without values to keep for keys that are set on the command line; numbers of values
    to keep stay.

    Args:
        rules: rules of an experiment.
        typed: overrides of the command line.

    Raises:
        InputError: the rules are not valid.
    """
    keys = {parse_override(text).key_or_group for text in typed}
    return [
        {
            "where": rule["where"],
            "keep": {
                key: allowed
                for key, allowed in rule["keep"].items()
                if key not in keys or isinstance(allowed, int)
            },
        }
        for rule in checked_rules(rules)
    ]


def checked_rules(rules: Any) -> list[Rule]:
    """Check rules of a configuration.

    Raises:
        InputError: the rules are not a list of mappings with the mappings `where` and `keep`, or
            the values of `keep` are neither lists nor numbers of values.
    """
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise InputError(f"hydra.sweeper.fewer={rules}: should be a list of rules")
    for rule in rules:
        formed = isinstance(rule, Mapping) and set(rule) == {"where", "keep"}
        if not formed or not all(isinstance(part, Mapping) for part in rule.values()):
            raise InputError(f"hydra.sweeper.fewer={rule}: should have where and keep, as mappings")
        for key, allowed in rule["keep"].items():
            if isinstance(allowed, int) and not isinstance(allowed, bool) and allowed > 0:
                continue
            if not isinstance(allowed, Sequence) or isinstance(allowed, str):
                raise InputError(
                    f"hydra.sweeper.fewer: keep.{key}={allowed}: should be a list, or a number of"
                    " values, at least 1"
                )
    return list(rules)


def _matches(values: Mapping[str, str], where: Mapping[str, Any]) -> bool:
    return all(values.get(key) == _text(value) for key, value in where.items())


def _values(combination: Sequence[str]) -> dict[str, str]:
    parsed = map(parse_override, combination)
    return {o.key_or_group: _text(o.value()) for o in parsed}


def _text(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{float(value):g}" if number else str(value)
