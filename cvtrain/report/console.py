"""A report on the terminal: its answer, or its tables, sentences and verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import printable
from cvtrain.report.cells import STATUS
from cvtrain.report.document import Document, Table

WIDTH = 118
"""Columns where the output is no terminal."""
STYLES = {"good": "green", "bad": "red", "open": "yellow"}


def print_document(document: Document, tables: bool = False, lines: int | None = None) -> None:
    """Print a report without its figures and long tables.

    Args:
        document: the report; of one with an answer that alone is printed, in a screenful.
        tables: print its other tables and sentences too.
        lines: leave out the last sentences where the answer and they take more; None: print all.
    """
    console = PlainConsole()
    if not console.is_terminal:
        console = PlainConsole(width=WIDTH)
    with console.capture() as beginning:
        _print_tables(console, document, tables)
    print(beginning.get(), end="")
    remaining = math.inf
    if lines is not None and document.answer is not None:
        remaining = lines - beginning.get().count("\n")
    for sentence in document.verdict:
        remaining -= len(console.render_lines(str(sentence)))
        if remaining < 0:
            break
        console.print(str(sentence))


def _print_tables(console: PlainConsole, document: Document, tables: bool) -> None:
    for note in document.notes:
        console.print(note)
    if document.answer is None or tables:
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
        console.print(f"{document.title}  {document.subject}".strip())
        console.print(answer_table(document.answer))


def answer_table(table: Table) -> RichTable:
    """The answer as a table of rich's, in which arms of a group that agree in all cells share a row
    and no cell has a note."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.shown:
        rich.add_column(column.heading)
    rows: list[tuple[str, list[str], tuple[str, ...]]] = []
    for group, arm, *cells in table.cells:
        if rows and not group and rows[-1][2] == tuple(cells):
            rows[-1][1].append(arm)
        else:
            rows.append((group, [arm], tuple(cells)))
    for group, arms, texts in rows:
        rich.add_row(group, ", ".join(arms), *map(_coloured, texts))
    rich.caption = table.caption or None
    rich.caption_justify = "left"
    return rich


def rich_tables(table: Table, width: int) -> Iterator[RichTable]:
    """Convert a table to as many of rich's as it takes to cut none of its cells: each has the first
    column, and further ones as long as they fit into `width`."""
    names = [str(number) for number in range(1, len(table.cells) + 1)] if table.numbered else []
    widths = [
        max(
            map(cell_len, (*column.heading.split(), *(row[place] for row in table.cells))),
            default=1,
        )
        for place, column in enumerate(table.shown)
    ]
    padded = [cells + 3 for cells in widths]
    first = sum(padded[:1]) + (len(str(len(names))) + 3 if names else 0)
    parts: list[list[int]] = [[]]
    used = first
    for place in range(1, len(widths)):
        if parts[-1] and used + padded[place] > width:
            parts.append([])
            used = first
        parts[-1].append(place)
        used += padded[place]
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
        for place in [0, *part] if widths else []:
            column = table.shown[place]
            # Headings break into lines before cells do.
            least = min(widths[place], width - 3)
            rich.add_column(column.heading, justify="left" if column.left else "right", width=least)
        for number, cells in enumerate(table.cells):
            rich.add_row(*names[number : number + 1], *(cells[place] for place in (0, *part)))
        yield rich


def _coloured(cell: str) -> Text:
    style = STYLES.get(STATUS.get(cell[:1], ""), "")
    return Text(printable(cell, lines=True), style=style)
