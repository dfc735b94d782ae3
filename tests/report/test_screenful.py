"""The end of a command: what matters of a report in a screenful, however much there is of it."""

from __future__ import annotations

import itertools

import pytest

from cvtrain.process.plain_console import PlainConsole
from cvtrain.report.cells import Column, words
from cvtrain.report.document import Document, Section, Sentence, Table
from cvtrain.report.screenful import print_screenful

LINES = 16
KEYS = ("group", "arm", "rate", "same", "cost")
OUTCOMES = (
    "✓ yes, bit for bit (16 of 16 pairs)",
    "? 55 more seeds, 1002 s, 24 of them before report.max_seeds (−2.1 [−7.2, +3.3] %)",
    "✗ no: it differs: +9 [+8, +10] %",
)


def answered(groups, outcomes=OUTCOMES, caption="a key of an arm; " * 12):
    """A document of so many optimizers, each with an arm of every outcome."""
    records = [
        {
            "group": f"Optimizer{group}" if number == 0 else "",
            "arm": f"optimizer.semantics=modulus_{number}",
            "rate": "× 1.32 [1.27, 1.38]",
            "same": outcome,
            "cost": f"−0.{group} [−1.0, +0.3]",
        }
        for group in range(groups)
        for number, outcome in enumerate(outcomes)
    ]
    columns = tuple(Column(key, lambda r, key=key: r[key], left=True) for key in KEYS)
    table = Table("answers", "", columns, tuple(records), caption)
    return Document("What?", (Sentence("So it is."),), (), answer=table, subject="many runs")


def lines_of(capsys, document, width=80):
    print_screenful(document, PlainConsole(width=width), LINES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= width
    return lines


@pytest.mark.parametrize(
    ("groups", "width", "caption"),
    [
        (*sizes, caption)
        for sizes in itertools.product((1, 3, 9), (60, 80, 118))
        for caption in ("", "a key; " * 40)
    ],
)
def test_an_answer_of_any_length_ends_in_a_screenful(capsys, groups, width, caption):
    lines = lines_of(capsys, answered(groups, caption=caption), width)
    assert lines[0].startswith("What?  many runs")


def test_what_is_not_the_same_is_left_out_last(capsys):
    text = "\n".join(lines_of(capsys, answered(9)))
    assert text.count("✗ no") >= 3
    assert "✓" not in text
    left = text.count("✗ no") + text.count("? 55")
    assert f"and {27 - left} more rows in tables (see below)" in text


def test_what_fits_is_whole_and_nothing_is_cut(capsys):
    text = " ".join(" ".join(lines_of(capsys, answered(1, caption="key"), 118)).split())
    for part in ("[1.27, 1.38]", "report.max_seeds", "key", "So it is."):
        assert part in text, part
    assert "…" not in text


def test_without_room_an_answer_loses_its_key_then_its_intervals(capsys):
    whole = "\n".join(lines_of(capsys, answered(1, OUTCOMES[:1] * 2), 118))
    assert "a key of an arm" in whole and "[1.27, 1.38]" in whole
    without_key = "\n".join(lines_of(capsys, answered(3, OUTCOMES[:2]), 118))
    assert "a key of an arm" not in without_key and "[1.27, 1.38]" in without_key
    short = "\n".join(lines_of(capsys, answered(4), 118))
    assert "[" not in short and "? 55 more seeds" in short


def remarked(sentences, rows):
    """A document without an answer, with many remarks on its runs."""
    table = Table("main", "All", (words("x", "x"),), tuple({"x": "1"} for _ in range(rows)))
    return Document(
        "About it",
        tuple(Sentence(f"Sentence {number}. " * 4) for number in range(sentences)),
        (Section("SGD", tables=(table,)),),
        notes=tuple(f"failed: run {number}" for number in range(11)),
    )


@pytest.mark.parametrize(
    ("sentences", "rows", "shown"), [(1, 3, True), (1, 30, False), (30, 3, False)]
)
def test_a_report_without_an_answer_says_what_it_concludes_and_shows_tables_that_fit(
    capsys, sentences, rows, shown
):
    lines = lines_of(capsys, remarked(sentences, rows))
    assert lines[0] == "failed: run 0"
    assert "About it" in lines
    assert any(line.startswith("Sentence 0.") for line in lines)
    assert ("All" in map(str.strip, lines)) == shown
