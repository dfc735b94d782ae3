"""A report on the terminal: notes, tables, sentences, and the verdict."""

from __future__ import annotations

from rich.table import Table as RichTable

from cvtrain.process.plain_console import PlainConsole
from cvtrain.report.document import Document, Table

WIDTH = 118
"""Columns where the output is no terminal."""


def print_document(document: Document) -> None:
    """Print a report without its figures and long tables."""
    console = PlainConsole()
    if not console.is_terminal:
        console = PlainConsole(width=WIDTH)

    for note in document.notes:
        console.print(note)
    for section in document.sections:
        shown = [table for table in section.tables if not table.detail]
        for table in shown:
            console.print(rich_table(table))
        for sentence in section.sentences:
            console.print(str(sentence))
        if shown or section.sentences:
            console.print("")
    for sentence in document.verdict:
        console.print(str(sentence))


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
