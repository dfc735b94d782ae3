"""A report on the terminal: its answer, or its tables, sentences and verdict."""

from __future__ import annotations

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import printable
from cvtrain.report.cells import STATUS
from cvtrain.report.document import Document, Table

WIDTH = 118
"""Columns where the output is no terminal."""
STYLES = {"good": "green", "bad": "red", "open": "yellow"}


def print_document(document: Document, tables: bool = False) -> None:
    """Print a report without its figures and long tables.

    Args:
        document: the report; of one with an answer that alone is printed, in a screenful.
        tables: print its other tables and sentences too.
    """
    console = PlainConsole()
    if not console.is_terminal:
        console = PlainConsole(width=WIDTH)
    for note in document.notes:
        console.print(note)
    if document.answer is None or tables:
        for section in document.sections:
            summaries = [table for table in section.tables if not table.detail]
            for table in summaries:
                console.print(rich_table(table))
            for sentence in section.sentences:
                console.print(str(sentence))
            if summaries or section.sentences:
                console.print("")
    if document.answer is not None:
        console.print(f"{document.title}  {document.subject}".strip())
        console.print(answer_table(document.answer))
    for sentence in document.verdict:
        console.print(str(sentence))


def answer_table(table: Table) -> RichTable:
    """The answer as a table of rich's, in which arms of a group that agree in all cells share a row
    and no cell has a note."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
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


def rich_table(table: Table) -> RichTable:
    """Convert a table to one of rich's."""
    rich = RichTable(title=table.title, title_justify="left")
    if table.numbered:
        rich.add_column("#", justify="right")
    for index, column in enumerate(table.columns):
        rich.add_column(
            column.heading,
            justify="left" if column.left else "right",
            no_wrap=column.left and index == 0,
        )
    for number, cells in enumerate(table.cells, start=1):
        rich.add_row(*([str(number)] if table.numbered else []), *cells)
    rich.caption = table.caption or None
    rich.caption_justify = "left"
    return rich


def _coloured(cell: str) -> Text:
    style = STYLES.get(STATUS.get(cell[:1], ""), "")
    return Text(printable(cell, lines=True), style=style)
