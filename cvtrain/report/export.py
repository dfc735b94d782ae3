"""Write a report as files: a page, text, tables for spreadsheets and papers, figures, a summary.

Only one report at a time is written into a folder, and each file is written atomically.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cvtrain.process.errors import InputError
from cvtrain.process.forkable import beside
from cvtrain.process.plain_text import printable
from cvtrain.process.signals import interruption
from cvtrain.report.document import Document, Picture, Table
from cvtrain.report.figures.save import save_figure
from cvtrain.report.html import page
from cvtrain.report.latex import as_tex
from cvtrain.runs.directory_lock import LOCK_FILE
from cvtrain.runs.files import remove_unfinished, write_atomically
from cvtrain.runs.json_file import write_json
from cvtrain.runs.safe_names import REPORT

FOLDER = REPORT
SCHEMA = 2
"""Version of the format of summary.json; docs/results.md lists its keys."""
LONGEST_WAIT = 600.0
"""Seconds to wait for another report, whose figures may take minutes."""
MARKDOWN_SPECIAL = str.maketrans(
    {character: f"\\{character}" for character in r"\`*_[]"}
    # Some renderers do not accept a backslash before these characters.
    | {"<": "&lt;", "&": "&amp;"}
    | {character: f"&#{ord(character)};" for character in "|~$"}
)
MARKDOWN_BEGINNINGS = ("#", "+", "-", ">")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@contextmanager
def report_folder(folder: Path) -> Iterator[Path]:
    """Make a folder and lock it against other reports, which wait until it is released.

    Raises:
        InputError: another report has held the lock for `LONGEST_WAIT`.
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=LONGEST_WAIT)
    except Timeout:
        raise InputError(f"{folder}: another command has been writing a report there") from None
    try:
        remove_unfinished(folder)
        yield folder
    finally:
        # Unlink before releasing: after release another process may own the file.
        (folder / LOCK_FILE).unlink(missing_ok=True)
        lock.release()


def write_report(document: Document, folder: Path) -> Path:
    """Write index.html, report.md, summary.json, and every table (csv, tex) and figure (svg, png).

    Args:
        document: the report.
        folder: locked by `report_folder`; made if missing, files of the same names are replaced.

    Returns:
        the path of index.html.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = document.pictures
    # Alternate figures: neighbours are alike.
    with beside(partial(_save_figures, pictures[1::2], folder)) as others_saved:
        _save_figures(pictures[::2], folder)
        others_saved()
    for table in document.tables:
        _write(folder / f"{table.name}.csv", as_csv(table))
        _write(folder / f"{table.name}.tex", as_tex(table, _comment(document, folder, table)))
    _write(folder / "report.md", as_markdown(document))
    write_json(folder / "summary.json", summary(document))
    _write(folder / "index.html", page(document, folder))
    return folder / "index.html"


def _save_figures(pictures: Sequence[Picture], folder: Path) -> None:
    for picture in pictures:
        interruption.check()
        save_figure(picture.figure, folder / picture.name)


def _comment(document: Document, folder: Path, table: Table) -> list[str]:
    """Lines of a comment: where the numbers of a table come from, and the LaTeX packages it
    needs."""
    lines = [table.title or document.title, f"from {folder.parent.name}/{folder.name}"]
    if document.origin is not None:
        lines.append(document.origin.sentence)
        lines += [f"{row['fact']}: {row['value']}" for row in document.origin.table.records]
    return [*lines, r"\usepackage{array,booktabs,textcomp}"]


def summary(document: Document) -> dict[str, Any]:
    """The content of summary.json: every sentence, and every table with full digits."""
    return {
        "schema": SCHEMA,
        "title": document.title,
        "subject": document.subject,
        "origin": None
        if document.origin is None
        else {"sentence": document.origin.sentence, **document.origin.facts},
        "answers": [dict(r) for r in document.answer.records] if document.answer else [],
        "verdict": [str(sentence) for sentence in document.verdict],
        "notes": list(document.notes),
        "broken": list(document.broken),
        "facts": dict(document.facts),
        "cover": None if document.cover is None else document.cover.name,
        "sections": [
            {
                "title": section.title,
                "sentences": [str(sentence) for sentence in section.sentences],
                "tables": {
                    table.name: [dict(r) for r in table.records] for table in section.tables
                },
                "figures": {picture.name: picture.caption for picture in section.pictures},
            }
            for section in document.sections
        ],
    }


def as_csv(table: Table) -> str:
    """The records as CSV (RFC 4180) with full digits; None, NaN and infinity are written "none",
    "nan" and "inf"."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    keys = list(table.records[0]) if table.records else []
    writer.writerow(["row", *keys])
    for number, record in enumerate(table.records, start=1):
        writer.writerow([number, *(_csv_cell(record[key]) for key in keys)])
    return text.getvalue()


def as_markdown(document: Document) -> str:
    """The whole report as Markdown for code hosts."""
    parts = [f"# {markdown(document.title)}"]
    parts += [markdown(document.origin.sentence)] if document.origin is not None else []
    parts += [f"> {markdown(note)}" for note in document.notes]
    parts += [markdown_table(document.answer)] if document.answer is not None else []
    parts += [f"- {markdown(str(sentence))}" for sentence in document.verdict]
    parts += [f"**Does not hold:** {markdown(claim)}" for claim in document.broken]
    parts += [f"To continue: `{document.next_command}`"] if document.next_command else []
    parts += [_markdown_picture(document.cover)] if document.cover is not None else []
    parts += [f"- **{word}**: {markdown(meaning)}" for word, meaning in document.words.items()]
    parts += [markdown_table(document.origin.table)] if document.origin is not None else []
    for section in document.sections:
        parts.append(f"## {markdown(section.title)}")
        parts += [markdown(str(sentence)) for sentence in section.sentences]
        parts += [markdown_table(table) for table in section.tables]
        parts += map(_markdown_picture, section.pictures)
    return "\n\n".join(parts) + "\n"


def markdown(text: str) -> str:
    """Escape a line of text so that Markdown shows it literally, in paragraphs and in tables."""
    escaped = printable(text).strip().translate(MARKDOWN_SPECIAL)
    return f"\\{escaped}" if escaped.startswith(MARKDOWN_BEGINNINGS) else escaped


def markdown_table(table: Table) -> str:
    """A table as Markdown, with its title above and its caption below."""
    marks = [":--" if column.left else "--:" for column in table.shown]
    rows = [tuple(map(markdown, ("#", *table.headings))), ("--:", *marks)]
    rows += [
        tuple(map(markdown, (str(number), *cells)))
        for number, cells in enumerate(table.cells, start=1)
    ]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    title = f"**{markdown(table.title)}** " if table.title else ""
    text = f"{title}(`{table.name}`)\n\n{lines}"
    return f"{text}\n\n{markdown(table.caption)}" if table.caption else text


def _markdown_picture(picture: Picture) -> str:
    drawn = f"![{markdown(picture.title)}]({picture.name}.svg)"
    return f"{drawn}\n\n{markdown(f'{picture.title}. {picture.caption}')}"


def _csv_cell(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    text = json.dumps(value) if isinstance(value, Mapping | list) else str(value)
    # Spreadsheets evaluate text that begins like a formula unless it is quoted.
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))
