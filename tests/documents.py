"""README.md and the pages of docs/: their text and the code in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.documented_tables import ROOT

TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Snippet:
    """A block of code, or one command of a block."""

    page: str
    text: str


def snippets(language: str) -> list[Snippet]:
    """The blocks in a language."""
    return [
        Snippet(page, match[2])
        for page, text in TEXTS.items()
        for match in BLOCK.finditer(text)
        if match[1] == language
    ]


def shell_lines() -> list[Snippet]:
    """The lines of the blocks for a shell."""
    return [
        Snippet(block.page, line)
        for block in snippets("bash")
        for line in block.text.splitlines()
        if line.strip()
    ]


def without_code(text: str) -> str:
    """Prose and tables."""
    return BLOCK.sub("", text)


def quoted() -> Iterator[tuple[str, str]]:
    """What stands in backticks in prose and tables, with its place."""
    for page, text in TEXTS.items():
        for match in re.findall(r"`([^`\n]+)`", without_code(text)):
            yield page, match
