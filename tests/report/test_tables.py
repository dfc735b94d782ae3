"""Tables as people meet them: in 80 columns, in a journal's column, without empty columns."""

from __future__ import annotations

import ast
import io
import math
import re

import pytest
from rich.console import Console

from cvtrain.report.cells import Column, number, words
from cvtrain.report.console import rich_tables
from cvtrain.report.document import Table
from cvtrain.report.latex import COLUMN, PAGE, SEPARATION, _tex, as_tex, points
from cvtrain.report.lr_sweep import report_retuning
from tests.analysis.synthetic import HALVED, JITTERED, WIRTINGER, row, sweep_of
from tests.documented_tables import ROOT


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    arms = ({}, WIRTINGER, HALVED, HALVED | WIRTINGER, JITTERED)
    rows = [
        row(0.2 + abs(octave) / 10 + seed / 100, 0.9 + seed / 50, seed=seed, **arm)
        | {"optimizer.lr": 2.0**octave}
        for arm in arms
        for octave in (-3, -2, -1, 0)
        for seed in range(4)
    ]
    rows[0]["status"] = "diverged"
    return report_retuning(sweep_of(rows)).tables


def text_of(table: Table, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for part in rich_tables(table, width):
        console.print(part)
    return console.export_text()


def test_no_letter_of_a_report_is_unknown_to_latex():
    """In any text of a report, not only in those that a test makes a table of."""
    unknown = {}
    for folder in ("analysis", "experiments", "report"):
        for path in (ROOT / "cvtrain" / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    letters = () if id(node) in documentation else set(node.value)
                    # Between others, as raised digits are parts of an exponent.
                    unknown |= {x: path.name for x in letters if not _tex(f"a{x}a").isascii()}
    assert unknown == {}


def test_no_cell_is_cut_in_80_columns(tables):
    for table in tables:
        if table.name == "answers":  # a terminal folds it; see test_answers.py
            continue
        shown = text_of(table)
        assert max(map(len, shown.splitlines())) <= 80
        for cells in table.cells:
            for cell in cells:
                assert cell in shown, (table.name, cell)


def test_a_column_without_text_is_left_out_everywhere(tables):
    (octaves,) = [table for table in tables if table.name == "sgd_octaves"]
    empty = {column.heading for column in octaves.columns} - set(octaves.headings)
    assert "cliff" in empty
    assert "cliff" not in as_tex(octaves).split(r"\toprule")[1]
    assert "cliff" not in text_of(octaves).split("octaves, arm")[0]
    assert "cliff_mean" in octaves.records[0]  # files for programs keep it
    assert "cliff:" not in octaves.caption  # what is not shown needs no words


def test_latex_is_a_float_that_fits_its_column_or_the_page(tables):
    for table in tables:
        text = as_tex(table, ["from a sweep"])
        assert text.startswith("% from a sweep\n\\begin{table")
        assert text.count(r"\caption{") == text.count(
            rf"\label{{tab:{table.name.replace('_', '-')}"
        )
        kinds = re.search(r"\\begin\{tabular\}\{(.*)\}\n", text)
        assert kinds is not None
        wide = max(len(line) for line in text.split(r"\midrule")[1].splitlines())
        limit = PAGE if "table*" in text else COLUMN
        plain = [re.sub(r"\\[a-zA-Z]+(\{\})?|[${}\\&]", "", row) for row in rows_of(text)]
        if "p{" not in kinds[1]:
            assert max(map(points, plain)) <= limit, (table.name, wide)


def rows_of(text: str) -> list[str]:
    return text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()


def test_numbers_are_set_as_a_journal_sets_them():
    columns = (words("rate", "rate"), Column("loss", lambda record: record["text"]))
    records = (
        {"rate": "2⁻⁴", "text": "−0.44 [−0.80, −0.09]"},
        {"rate": "loss × 2^-40", "text": "97.74 ± 0.52 %"},
    )
    first, second = rows_of(as_tex(Table("t", "", columns, records)))
    assert first == r"2$^{-4}$ & $-$0.44\,{[}$-$0.80,\,$-$0.09{]} \\"
    assert second == r"loss $\times$\,2$^{-40}$ & 97.74\,$\pm$\,0.52\,\% \\"


def test_words_that_are_too_wide_for_a_page_break_into_lines():
    columns = (words("what", "what"), words("why", "why"), number("value", "value"))
    records = ({"what": "word " * 20, "why": "word " * 40, "value": math.pi},)
    text = as_tex(Table("t", "", columns, records))
    widths = [float(width) for width in re.findall(r"p\{(\d+)pt\}", text)]
    assert len(widths) == 2
    assert sum(widths) < PAGE


def test_columns_of_words_share_a_page_whatever_their_lengths():
    lengths = (4, 16, 30, 90, 18, 60)
    columns = tuple(words(str(length), str(length)) for length in lengths)
    text = as_tex(Table("t", "", columns, ({str(n): "a" * n for n in lengths},)))
    widths = [float(width) for width in re.findall(r"p\{(\d+)pt\}", text)]
    assert sum(widths) + 2 * SEPARATION * len(widths) <= PAGE + 1
    assert widths[0] == pytest.approx(points("a" * 4), abs=1)
    assert widths[3] == widths[5] == max(widths)
