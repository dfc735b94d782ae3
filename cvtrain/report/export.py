"""A report as files: a page, text, tables for spreadsheets and papers, figures, a summary."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvtrain.process.plain_text import printable
from cvtrain.process.signals import interruption
from cvtrain.report.document import Document, Table
from cvtrain.report.figures.style import save_figure
from cvtrain.report.html import page
from cvtrain.runs.files import write_atomically
from cvtrain.runs.places import REPORT
from cvtrain.runs.run_json import write_json

FOLDER = REPORT
SCHEMA = 1
TEX_SPECIAL = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "[": "{[}",  # which would be an argument of the line's end before it
        "]": "{]}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",
        "^": r"\^{}",
        "~": r"\~{}",
        "−": "$-$",
        "±": r"$\pm$",
        "½": r"\textonehalf{}",
        "⅓": "1/3",
        "×": r"$\times$",
        "·": r"$\cdot$",
        "→": r"$\rightarrow$",
        "∞": r"$\infty$",
        "ρ": r"$\rho$",
        "φ": r"$\varphi$",
        "π": r"$\pi$",
        "’": "'",
    }
)
MARKDOWN_SPECIAL = str.maketrans(
    {each: f"\\{each}" for each in r"\`*_[]"}
    # Not every renderer takes a backslash before these.
    | {"<": "&lt;", "&": "&amp;"}
    | {each: f"&#{ord(each)};" for each in "|~$"}
)
MARKDOWN_BEGINNINGS = ("#", "+", "-", ">")
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_report(document: Document, folder: Path) -> Path:
    """Write index.html, report.md, summary.json, and every table (csv, tex) and figure (svg, png).

    Args:
        document: what to write.
        folder: where to; made if missing, files of the same names are replaced. One report at a
            time is written into a `report_folder`.

    Returns:
        the path of index.html.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for picture in document.pictures:
        interruption.check()
        save_figure(picture.figure, folder / picture.name)
    for table in document.tables:
        _write(folder / f"{table.name}.csv", as_csv(table))
        _write(folder / f"{table.name}.tex", as_tex(table))
    _write(folder / "report.md", as_markdown(document))
    write_json(folder / "summary.json", summary(document))
    _write(folder / "index.html", page(document, folder))
    return folder / "index.html"


def summary(document: Document) -> dict[str, Any]:
    """The report for programs: what is said, and every table with full digits."""
    return {
        "schema": SCHEMA,
        "title": document.title,
        "verdict": [str(sentence) for sentence in document.verdict],
        "notes": list(document.notes),
        "broken": list(document.broken),
        "facts": dict(document.facts),
        "sections": [
            {
                "title": section.title,
                "sentences": [str(sentence) for sentence in section.sentences],
                "tables": {
                    table.name: [dict(r) for r in table.records] for table in section.tables
                },
                "figures": [picture.name for picture in section.pictures],
            }
            for section in document.sections
        ],
    }


def as_csv(table: Table) -> str:
    """The records with full digits (RFC 4180); nothing is empty, NaN and infinity are spelled."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    keys = list(table.records[0]) if table.records else []
    writer.writerow(["row", *keys])
    for place, record in enumerate(table.records):
        writer.writerow([place + 1, *(_plain(record[key]) for key in keys)])
    return text.getvalue()


def as_tex(table: Table) -> str:
    """The cells as a LaTeX table; its preamble needs booktabs and textcomp."""
    columns = "".join("l" if column.left else "r" for column in table.columns)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _tex_row(table.headings), r"\midrule"]
    lines += [_tex_row(cells) for cells in table.cells]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def as_markdown(document: Document) -> str:
    """The whole report as text that renders in a repository."""
    parts = [f"# {markdown(document.title)}", *(f"> {markdown(note)}" for note in document.notes)]
    parts += [f"- {markdown(str(sentence))}" for sentence in document.verdict]
    parts += [f"**Does not hold:** {markdown(claim)}" for claim in document.broken]
    for section in document.sections:
        parts.append(f"## {markdown(section.title)}")
        parts += [markdown(str(sentence)) for sentence in section.sentences]
        parts += [_markdown_table(table) for table in section.tables]
        parts += [
            f"![{markdown(picture.title)}]({picture.name}.svg)" for picture in section.pictures
        ]
    return "\n\n".join(parts) + "\n"


def markdown(text: str) -> str:
    """A line of text that renders as itself, in a paragraph and in a table."""
    escaped = printable(text).strip().translate(MARKDOWN_SPECIAL)
    return f"\\{escaped}" if escaped.startswith(MARKDOWN_BEGINNINGS) else escaped


def _markdown_table(table: Table) -> str:
    marks = [":--" if column.left else "--:" for column in table.columns]
    rows = [tuple(map(markdown, ("#", *table.headings))), ("--:", *marks)]
    rows += [
        tuple(map(markdown, (str(place + 1), *cells))) for place, cells in enumerate(table.cells)
    ]
    drawn = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    told = f"**{markdown(table.title)}** (`{table.name}`)\n\n{drawn}"
    return f"{told}\n\n{markdown(table.caption)}" if table.caption else told


def _tex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(printable(cell).translate(TEX_SPECIAL) for cell in cells) + r" \\"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    text = json.dumps(value) if isinstance(value, Mapping | list) else str(value)
    # A spreadsheet would take a text that begins with one of these for a formula.
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode(errors="backslashreplace")))
