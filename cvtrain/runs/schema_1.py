"""Read run directories of schema 1, in which two things had other names.

Schema 2 names the signals of the transformed gradient ``optimizer_grad/…`` (before: ``handed/…``)
and the convergence goal ``goal`` (before: ``target``). Ids are the same in both schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FORMER_GROUP, GROUP = "handed/", "optimizer_grad/"
FORMER_GOAL, GOAL = "target", "goal"
FORMER_OVERRIDE = re.compile(rf"^([+~]*){FORMER_GOAL}(?=[.=]|$)")
FORMER_COLUMN = re.compile(rf'(?<=[,"]){FORMER_GROUP}')


def current_tag(tag: str) -> str:
    """The current name of a signal; unknown names are returned unchanged."""
    return GROUP + tag.removeprefix(FORMER_GROUP) if tag.startswith(FORMER_GROUP) else tag


def current_header(line: str) -> str:
    """The header of a metrics.csv with the current names of its signals."""
    return FORMER_COLUMN.sub(GROUP, line)


def current_content(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a run.json or sweep.json with current tags, keys and overrides.

    Args:
        content: content of either schema; values of an unexpected type are kept.
    """
    renamed = dict(content)
    for key in ("final", "best"):
        if isinstance(content.get(key), dict):
            renamed[key] = {current_tag(tag): value for tag, value in content[key].items()}
    config = content.get("config")
    if isinstance(config, dict) and GOAL not in config:
        renamed["config"] = {(GOAL if k == FORMER_GOAL else k): v for k, v in config.items()}
    for key in ("overrides", "command"):
        renamed |= _current_overrides(content, key)
    if isinstance(content.get("points"), list):
        renamed["points"] = [
            {**point, **_current_overrides(point, "overrides")}
            if isinstance(point, dict)
            else point
            for point in content["points"]
        ]
    return renamed


def _current_overrides(section: Mapping[str, Any], key: str) -> dict[str, Any]:
    texts = section.get(key)
    if not isinstance(texts, list):
        return {}
    return {key: [FORMER_OVERRIDE.sub(rf"\1{GOAL}", t) if isinstance(t, str) else t for t in texts]}
