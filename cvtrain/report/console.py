"""A report on the terminal: its answer, tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import printable
from cvtrain.report.cells import STATUS
from cvtrain.report.document import Document, Table

WIDTH = 118
"""Width in columns if the output is not a terminal."""
STYLES = {"good": "green", "bad": "red", "open": "yellow"}


@dataclass(frozen=True)
class AnswerRow:
    """A row of an answer on a terminal: arms of a group that agree in all cells."""

    group: str
    arms: tuple[str, ...]
    texts: tuple[str, ...]


def report_console() -> PlainConsole:
    """A console that writes to stdout, as wide as the terminal."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=WIDTH)


def print_document(document: Document, console: PlainConsole) -> None:
    """Print a report without its figures and long tables."""
    for note in document.notes:
        console.print(note)
    for word, meaning in document.words.items():
        console.print(f"{word}: {meaning}")
    for section in document.sections:
        summaries = [table for table in section.tables if not table.detail]
        for table in summaries:
            for part in rich_tables(table, console.width):
                console.print(part)
        for sentence in section.sentences:
            console.print(str(sentence))
        if summaries or section.sentences:
            console.print("")
    if document.answer is not None:
        console.print(heading(document))
        answer = document.answer
        console.print(answer_table(answer.headings, answer_rows(answer), answer.caption))
    for sentence in document.verdict:
        console.print(str(sentence))


def heading(document: Document) -> str:
    """The question and the line that says what was run."""
    return f"{document.title}  {document.subject}".strip()


def answer_rows(table: Table, shorten: Callable[[str], str] = str) -> list[AnswerRow]:
    """The rows of an answer as they are shown, with equal arms of a group joined.

    Args:
        table: the answer; its first columns are the group, in its first row only, and the arm.
        shorten: function applied to the text of every other cell.
    """
    rows: list[AnswerRow] = []
    for first, arm, *cells in table.cells:
        group, texts = first or rows[-1].group, tuple(map(shorten, cells))
        if rows and (rows[-1].group, rows[-1].texts) == (group, texts):
            rows[-1] = replace(rows[-1], arms=(*rows[-1].arms, arm))
        else:
            rows.append(AnswerRow(group, (arm,), texts))
    return rows


def answer_table(headings: Sequence[str], rows: Sequence[AnswerRow], caption: str) -> RichTable:
    """Rows of an answer as a table of rich; words that are too long for a column are broken."""
    rich = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for one in headings:
        rich.add_column(one, overflow="fold")
    group = None
    for row in rows:
        first = "" if row.group == group else row.group
        rich.add_row(first, ", ".join(row.arms), *map(_coloured, row.texts))
        group = row.group
    rich.caption = caption or None
    rich.caption_justify = "left"
    return rich


def rich_tables(table: Table, width: int) -> Iterator[RichTable]:
    """Convert a table to tables of rich that are at most `width` wide and cut off no cell. Each has
    the first column and as many further ones as fit."""
    names = [str(number) for number in range(1, len(table.cells) + 1)] if table.numbered else []
    widths = [
        max(
            map(cell_len, (*column.heading.split(), *(row[index] for row in table.cells))),
            default=1,
        )
        for index, column in enumerate(table.shown)
    ]
    padded = [cells + 3 for cells in widths]
    first = sum(padded[:1]) + (len(str(len(names))) + 3 if names else 0)
    parts: list[list[int]] = [[]]
    used = first
    for index in range(1, len(widths)):
        if parts[-1] and used + padded[index] > width:
            parts.append([])
            used = first
        parts[-1].append(index)
        used += padded[index]
    for part in parts:
        last = part is parts[-1]
        rich = RichTable(
            title=table.title if part is parts[0] else None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            caption=(table.caption or None) if last else None,
            caption_justify="left",
        )
        if names:
            rich.add_column("#", justify="right")
        for index in [0, *part] if widths else []:
            column = table.shown[index]
            # Headings are broken into lines before cells are.
            least = min(widths[index], width - 3)
            rich.add_column(column.heading, justify="left" if column.left else "right", width=least)
        for number, cells in enumerate(table.cells):
            rich.add_row(*names[number : number + 1], *(cells[index] for index in (0, *part)))
        yield rich


def _coloured(cell: str) -> Text:
    style = STYLES.get(STATUS.get(cell[:1], ""), "")
    return Text(printable(cell, lines=True), style=style)
