"""The faults that scripts/mutate.py puts into the code, from scripts/faults/*.toml."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "scripts" / "faults"


@dataclass(frozen=True)
class Fault:
    """A small mistake that somebody might make.

    Attributes:
        number: position in the table, from 1.
        kind: part of the code: the name of its file in scripts/faults.
        file: path below the repository.
        old, new: text in the file, and the text that replaces it.
        tests: arguments for pytest: the tests of the part.
        wrong: the effect on a user.
    """

    number: int
    kind: str
    file: str
    old: str
    new: str
    tests: str
    wrong: str


def read_table(folder: Path = TABLE) -> list[Fault]:
    """All faults, in the order of the files' names."""
    entries = [
        (path.stem, entry)
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    ]
    return [Fault(number, kind, **entry) for number, (kind, entry) in enumerate(entries, 1)]


def mutated(fault: Fault, root: Path = ROOT) -> str:
    """The file's content with the fault.

    Raises:
        ValueError: the fault does not apply exactly once, changes nothing, or is not valid Python.
    """
    path = root / fault.file
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    count = content.count(fault.old)
    if count != 1:
        raise ValueError(f"{fault.file} has its text {count} times, not once: {fault.old!r}")
    changed = content.replace(fault.old, fault.new)
    if changed == content:
        raise ValueError(f"{fault.file}: it changes nothing")
    if path.suffix == ".py":
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise ValueError(f"{fault.file}: it makes no Python: {error}") from None
    return changed
