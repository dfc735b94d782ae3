"""Print how far suites of experiments agree that were run on several machines, or in several ways.

    .venv/bin/python scripts/agreement.py FOLDER FOLDER ...

Each FOLDER was made by `scripts/cvtrain reproduce --folder FOLDER`. An arm of a sweep agrees if its
answer (absorbed, relabelling, …) is the same in all folders, a claim if its status is. What differs
is listed below the table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Answers: TypeAlias = Mapping[tuple[str, str], str]
"""The answer or status of each arm or claim, by experiment and name."""


def arms(folder: Path) -> Answers:
    """The answers of all arms in the reports of a suite."""
    answers = {}
    for path in sorted(folder.glob("*/report/summary.json")):
        for one in _read(path)["answers"]:
            name = f"{one['group']}, {one['arm']}"
            answers[path.parent.parent.name, name] = str(one["kind"])
    return answers


def claims(folder: Path) -> Answers:
    """The statuses of all claims of a suite."""
    rows = _read(folder / "claims.json")["claims"]
    return {(row["experiment"], row["claim"]): row["status"] for row in rows}


def agreement(suites: Sequence[Answers]) -> tuple[dict[str, tuple[int, int]], list[str]]:
    """Compare answers of several suites.

    Returns:
        for each experiment how many answers are the same in all suites, and how many there are;
        and a line on each one that is not. What is missing in a suite differs from what is there.
    """
    counts: dict[str, tuple[int, int]] = {}
    differences = []
    for key in dict.fromkeys(key for suite in suites for key in suite):
        answers = [suite.get(key, "missing") for suite in suites]
        same, total = counts.get(key[0], (0, 0))
        agrees = len(set(answers)) == 1
        counts[key[0]] = same + agrees, total + 1
        if not agrees:
            differences.append(f"{': '.join(key)}: {' | '.join(answers)}")
    return counts, differences


def main(names: Sequence[str]) -> None:
    """Print the table and the differences of the suites in these folders."""
    folders = [Path(name) for name in names]
    if len(folders) < 2 or not all((folder / "claims.json").is_file() for folder in folders):
        sys.exit(
            "agreement: should be two folders or more of `cvtrain reproduce`, with claims.json"
        )
    by_arm, arms_apart = agreement([arms(folder) for folder in folders])
    by_claim, claims_apart = agreement([claims(folder) for folder in folders])
    print("| experiment | arms with the same answer | claims with the same status |")
    print("| --- | --- | --- |")
    for name in dict.fromkeys((*by_arm, *by_claim)):
        print(f"| `{name}` | {_of(by_arm.get(name))} | {_of(by_claim.get(name))} |")
    print(f"| all | {_sum(by_arm)} | {_sum(by_claim)} |")
    for line in (*arms_apart, *claims_apart):
        print(line)


def _of(count: tuple[int, int] | None) -> str:
    return f"{count[0]} of {count[1]}" if count else ""


def _sum(counts: Mapping[str, tuple[int, int]]) -> str:
    return _of((sum(same for same, _ in counts.values()), sum(all_ for _, all_ in counts.values())))


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
