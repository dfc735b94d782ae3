"""The content of a report, independent of its rendering: sections of sentences, tables and figures.

An analysis makes a `Document` from run directories; `console`, `html` and `export` render it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cvtrain.process.plain_text import cvtrain_command
from cvtrain.report.cells import Column, Record
from cvtrain.report.figures.panels import Panels
from cvtrain.report.glossary import explained


@dataclass(frozen=True, eq=False)
class Table:
    """A table: rows with full digits (`records`, for files) and how they are shown (`columns`).

    Attributes:
        name: name of its files and, with a number, of its rows: the second row of the table `arms`
            is `arms 2`.
        title: title shown above the table.
        columns: columns of the records that are shown.
        records: one record per row, all with the same keys.
        caption: explains words and marks in the table.
        numbered: whether sentences refer to its rows.
        detail: whether the table is too long for a summary: the page folds it, the terminal omits
            it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    records: tuple[Record, ...]
    caption: str = ""
    numbered: bool = False
    detail: bool = False

    @cached_property
    def shown(self) -> tuple[Column, ...]:
        """The columns that have any text."""
        return tuple(
            column
            for column in self.columns
            if not self.records or any(column.show(record) for record in self.records)
        )

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of the columns that are shown."""
        return tuple(column.heading for column in self.shown)

    @cached_property
    def cells(self) -> list[tuple[str, ...]]:
        """The text of the shown cells, row by row."""
        return [tuple(column.show(record) for column in self.shown) for record in self.records]

    @cached_property
    def notes(self) -> list[tuple[str, ...]]:
        """The small texts below the shown cells, row by row; empty if there are none."""
        return [
            tuple(column.note(record) if column.note else "" for column in self.shown)
            for record in self.records
        ]

    def row_name(self, index: int) -> str:
        """The name by which a sentence refers to the row `index`, counted from 0."""
        return f"{self.name} {index + 1}"


@dataclass(frozen=True)
class Origin:
    """Where the numbers of a report come from, so that it can be read without its run directories.

    Attributes:
        sentence: what was run.
        table: how, when and on which machine, one row per fact.
        facts: the same for programs; see docs/results.md.
    """

    sentence: str
    table: Table
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Sentence:
    """A statement of a report.

    Attributes:
        text: one or more sentences.
        sources: names of the table rows that its numbers come from.
    """

    text: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} [{', '.join(self.sources)}]" if self.sources else self.text


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure of a report.

    Attributes:
        name: name of its files.
        title: what it shows; also its text for screen readers.
        figure: the drawn figure.
        caption: what lines and marks mean, and the main observation, computed from the data.
    """

    name: str
    title: str
    figure: Panels
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Section:
    """A heading, and below it sentences, tables and pictures, in this order."""

    title: str
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, eq=False)
class Document:
    """A report.

    Attributes:
        title: the question, or what was compared.
        verdict: the answer as sentences, shown first.
        sections: the numbers behind the answer.
        notes: remarks on runs that are missing, failed or damaged.
        broken: claims of the experiment that do not hold.
        facts: the answer for programs, written into summary.json.
        subject: what was run, shown in a line below the title.
        answer: the answer as a table, shown before all other tables.
        cover: the picture beside the answer.
        next_overrides: overrides of a command that continues an inconclusive sweep.
        origin: what was run and how; None if another part of the report says it.
    """

    title: str
    verdict: tuple[Sentence, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    answer: Table | None = None
    cover: Picture | None = None
    next_overrides: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def next_command(self) -> str:
        """The command that continues the sweep towards an answer; empty if none is known."""
        return cvtrain_command(*self.next_overrides) if self.next_overrides else ""

    @property
    def tables(self) -> list[Table]:
        """The answer, the origin and the tables of all sections."""
        first = [] if self.answer is None else [self.answer]
        first += [] if self.origin is None else [self.origin.table]
        return [*first, *(table for section in self.sections for table in section.tables)]

    @property
    def pictures(self) -> list[Picture]:
        """The cover and the pictures of all sections."""
        first = [] if self.cover is None else [self.cover]
        return [*first, *(picture for section in self.sections for picture in section.pictures)]

    @property
    def words(self) -> dict[str, str]:
        """Words of its tables and sentences that the glossary explains, and their meanings."""
        texts = [str(sentence) for section in self.sections for sentence in section.sentences]
        texts += [sentence.text for sentence in self.verdict]
        for table in (table for section in self.sections for table in section.tables):
            texts += [table.title, table.caption, *table.headings]
            texts += [cell for row in table.cells for cell in row]
        texts += [picture.caption for picture in self.pictures]
        return explained(texts)

    def failure(self) -> str | None:
        """The broken claims in one line, or None if all hold."""
        if not self.broken:
            return None
        return f"{len(self.broken)} claims do not hold: {'; '.join(self.broken[:5])}"
