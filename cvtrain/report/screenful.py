"""The main part of a report at the end of a command, in as many lines as a screen has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from rich.console import RenderableType
from rich.table import Table as RichTable

from cvtrain.process.plain_console import PlainConsole
from cvtrain.report.cells import STATUS
from cvtrain.report.console import AnswerRow, answer_rows, answer_table, heading, rich_tables
from cvtrain.report.document import Document, Table

NOTES = 4
"""Largest number of lines with remarks on the runs."""
IN_BRACKETS = re.compile(r" (\[[^\]]*\]|\([^)]*\))")
REASON = re.compile(r"(?<=\w)[,:].*")
URGENT = "✗?✓"
"""Signs of outcomes by urgency; rows with the first sign are dropped last."""


def print_screenful(document: Document, console: PlainConsole, lines: int) -> None:
    """Print the main part of a report.

    If an answer is too long, first its caption is left out, then text in brackets, then its least
    important rows. In a report without an answer, sentences are printed before tables.

    Args:
        document: the report.
        console: the console, which determines width and colours.
        lines: largest number of lines, at least 12.
    """
    print(*_parts(document, console, lines), sep="", end="")


def _parts(document: Document, console: PlainConsole, lines: int) -> Iterator[str]:
    def shown(part: RenderableType) -> str:
        with console.capture() as text:
            console.print(part)
        return text.get()

    notes = _first_lines(map(shown, document.notes), NOTES)
    yield from notes
    remaining = lines - _height(notes)
    question = shown(heading(document))
    sentences = [shown(sentence.text) for sentence in document.verdict]
    if document.answer is not None:
        forms = (question + shown(form) for form in _forms(document.answer))
        answer = next(form for form in forms if _height([form]) <= remaining)
        yield answer
        yield from _whole(sentences, remaining - _height([answer]))
        return
    yield question
    remaining -= _height([question])
    said = _first_lines(sentences, remaining)
    tables = [
        "".join(map(shown, rich_tables(replace(table, caption=""), console.width)))
        for section in document.sections
        for table in section.tables
        if not table.detail
    ]
    yield from _whole(tables, remaining - _height(said))
    yield from said


def _forms(table: Table) -> Iterator[RichTable]:
    """The answer in forms that take fewer and fewer lines."""
    for shorten in (str, _brief):
        rows = answer_rows(table, shorten)
        for caption in (table.caption, ""):
            yield answer_table(table.headings, rows, caption)
    order = sorted(range(len(rows)), key=lambda number: (_urgency(rows[number]), number))
    for most in reversed(range(len(rows))):
        left = [rows[number] for number in sorted(order[:most])]
        more = f"and {len(rows) - most} more rows in tables (see below)"
        yield answer_table(table.headings, left, more)


def _brief(cell: str) -> str:
    text = IN_BRACKETS.sub("", cell)
    return REASON.sub("", text) if STATUS.get(text[:1]) == "open" else text


def _urgency(row: AnswerRow) -> int:
    """0 if the outcome is not the same, 1 if it is inconclusive, 2 if it is the same."""
    signs = [text[:1] for text in row.texts if text[:1] in STATUS]
    return min(map(URGENT.index, signs), default=len(URGENT))


def _height(texts: Sequence[str]) -> int:
    return sum(text.count("\n") for text in texts)


def _whole(texts: Sequence[str], lines: int) -> Iterator[str]:
    """The leading texts that fit into the lines."""
    for text in texts:
        lines -= _height([text])
        if lines < 0:
            return
        yield text


def _first_lines(texts: Iterable[str], lines: int) -> list[str]:
    """The lines of the texts; the last one that fits is replaced by dots if more follow."""
    every = [line for text in texts for line in text.splitlines(keepends=True)]
    return every if len(every) <= lines else [*every[: lines - 1], "…\n"]
