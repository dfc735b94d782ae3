"""What a report says, apart from how it is shown: sentences, tables and figures in sections.

An analysis makes a `Document` of run directories; `terminal`, `page` and `files` show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table as people read it.

    Attributes:
        heading: its name.
        show: the text of a cell, from its row's record.
        left: whether texts are aligned to the left, as words are; numbers are not.
    """

    heading: str
    show: Callable[[Record], str]
    left: bool = False


def words(heading: str, key: str) -> Column:
    """A column of words, which the records have under `key`."""
    return Column(heading, lambda record: str(record[key]), left=True)


def number(heading: str, key: str, form: str = ".4g") -> Column:
    """A column of numbers, which the records have under `key`."""
    return Column(heading, lambda record: f"{record[key]:{form}}".replace("-", "−"))


@dataclass(frozen=True)
class Table:
    """Rows with full digits (`records`, for files) and how they are shown (`columns`).

    Attributes:
        name: of its files, and of its rows: the second row of `arms` is `arms 2`.
        title: above it.
        columns: what is shown.
        records: one per row, all with the same keys.
        caption: what the words and marks in it mean.
        numbered: whether sentences refer to its rows.
        detail: whether it is too long for a summary: a page folds it, a terminal leaves it out.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    records: tuple[Record, ...]
    caption: str = ""
    numbered: bool = False
    detail: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """Those of the columns."""
        return tuple(column.heading for column in self.columns)

    @property
    def cells(self) -> list[tuple[str, ...]]:
        """The text of every cell, row by row."""
        return [tuple(column.show(record) for column in self.columns) for record in self.records]

    def row_name(self, place: int) -> str:
        """What a sentence calls the row at `place`, from 0."""
        return f"{self.name} {place + 1}"


@dataclass(frozen=True)
class Sentence:
    """Something said.

    Attributes:
        text: one or more sentences.
        sources: names of the table rows that its numbers are from.
    """

    text: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} [{', '.join(self.sources)}]" if self.sources else self.text


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure.

    Attributes:
        name: of its files.
        title: what it shows, for those who see it and for those who do not.
        figure: drawn already.
    """

    name: str
    title: str
    figure: Figure


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with what belongs under it, in the order of the attributes."""

    title: str
    sentences: tuple[Sentence, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, eq=False)
class Document:
    """A whole report.

    Attributes:
        title: what it is about.
        verdict: its answer, before everything else.
        sections: what the answer is from.
        notes: of what was read: runs that are missing, failed or cut short.
        broken: claims of an experiment that do not hold.
        facts: the answer for programs; goes into summary.json.
    """

    title: str
    verdict: tuple[Sentence, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tables(self) -> list[Table]:
        """Those of all sections."""
        return [table for section in self.sections for table in section.tables]

    @property
    def pictures(self) -> list[Picture]:
        """Those of all sections."""
        return [picture for section in self.sections for picture in section.pictures]

    def failure(self) -> str | None:
        """What does not hold, in one line, or None."""
        if not self.broken:
            return None
        return f"{len(self.broken)} claims do not hold: {'; '.join(self.broken[:5])}"
