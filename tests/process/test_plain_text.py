"""Text of users is shown as it is, whatever it means to a terminal, a page or a formula."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from html.parser import HTMLParser

import markdown as python_markdown
import matplotlib as mpl
import pytest
from rich.table import Table as RichTable

from cvtrain.config.overrides import as_override, as_typed, parse_override
from cvtrain.process.errors import InputError
from cvtrain.process.plain_console import PlainConsole
from cvtrain.process.plain_text import (
    STARTED_AS,
    cvtrain_command,
    printable,
    printed_command,
    say,
)
from cvtrain.report.cells import words
from cvtrain.report.console import print_document, report_console, rich_tables
from cvtrain.report.document import Document, Picture, Section, Sentence, Table
from cvtrain.report.export import as_csv, as_markdown, markdown, write_report
from cvtrain.report.figures.panels import Panels
from cvtrain.report.figures.save import save_figure
from cvtrain.report.figures.style import paper_style
from cvtrain.report.latex import as_tex
from cvtrain.runs.directory_lock import claim_directory

TEXTS = [
    *("a[/b]", "[bold]x[/bold]", "[link=x]y", ":smile:", "$\\frac{", "x_1^2$y$", "100 % & #1"),
    *("<script>alert(1)</script>", "a|b", "`c`", "*d* __e__ ~~f~~", "\\begin{g}", "=1+1", "@x"),
    *("-m", "# h", "1 < 2 > 0", "&lt;", "{i}", "ü ℂ 日本", '"j"', "k\\"),
]
CONTROLS = "a\x1b[2Jb\x00\r\n\u202ec\udcff"
SHOWN = "a\\x1b[2Jb\\x00\\r\\n\\u202ec\\udcff"


def test_what_has_no_shape_is_shown_by_its_escape(capsys):
    assert printable(CONTROLS) == SHOWN
    assert printable("a\nb\x07", lines=True) == "a\nb\\x07"
    assert [printable(text) for text in TEXTS] == TEXTS
    say(CONTROLS)
    assert capsys.readouterr().out == SHOWN.replace("\\n", "\n") + "\n"


def test_the_posix_locale_shows_by_escapes_what_it_lacks_and_the_log_has_it_whole(tmp_path):
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "cvtrain", "max_steps=2", "hydra.run.dir=run"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **locale}, capture_output=True, encoding="ascii"
    )
    assert (done.returncode, "rror" in done.stderr) == (0, False), done.stderr
    assert "8\\xd78 complex64" in done.stdout + done.stderr
    assert "8×8 complex64" in (tmp_path / "run" / "cvtrain.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [*TEXTS, SHOWN])
def test_a_terminal_shows_it(text):
    written = io.StringIO()
    console = PlainConsole(file=written, width=80, force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    assert written.getvalue() == f"{text}\n"
    table = RichTable(title=text, caption=text)
    table.add_column(text)
    table.add_row(text)
    console.print(table)
    plain = re.sub(r"\x1b\[[\d;]*m", "", written.getvalue())
    assert plain.count(text) == 5


def test_escape_sequences_do_not_reach_a_terminal():
    written = io.StringIO()
    PlainConsole(file=written, width=80).print(CONTROLS, soft_wrap=True)
    assert "\x1b" not in written.getvalue()
    assert "\\x1b[2J" in written.getvalue()


@paper_style
def drawn(text: str):
    figure = Panels(1, 1)
    axes = figure.grid[0, 0]
    axes.plot([1, 2], label=text)
    axes.set(title=text, xlabel=text)
    axes.set_xticks([0, 1], [text, "1"])
    axes.text(0, 1, text)
    return figure.finish()


@pytest.mark.parametrize("text", [*TEXTS, CONTROLS])
def test_a_figure_shows_it_and_its_files_are_whole(tmp_path, text):
    figure = drawn(text)
    with mpl.rc_context({"text.usetex": False}):
        svg, png = save_figure(figure, tmp_path / "figure")
    assert figure.axes[0].get_title() == printable(text, lines=True)
    xml.parse(svg)
    assert png.read_bytes().endswith(b"IEND\xaeB`\x82")
    assert sorted(tmp_path.iterdir()) == [png, svg]


def test_a_figure_that_cannot_be_drawn_leaves_no_part_of_itself(tmp_path, monkeypatch):
    figure = drawn("a")
    (tmp_path / "figure.png").write_bytes(b"old")

    def fail(file, **_: object) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(KeyboardInterrupt):
        save_figure(figure, tmp_path / "figure")
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_bytes() == b"old"


def document(text: str) -> Document:
    record = {"name": text, "number": -0.5, "none": None}
    table = Table("table", text, (words(text, "name"),), (record,), caption=text)
    section = Section(
        text,
        (Sentence(text, ("table 1",)),),
        (table,),
        (Picture("picture", text, Panels(1, 1), text),),
    )
    return Document(text, (Sentence(text),), (section,), notes=(text,), broken=(text,))


class Texts(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.usefixtures("blank_figures")
def test_a_page_shows_it(tmp_path):
    plain = Texts(write_report(document("plain"), tmp_path).read_text())
    for text in [*TEXTS, CONTROLS]:
        page = write_report(document(text), tmp_path).read_text(encoding="utf-8")
        shown = Texts(page)
        assert shown.tags == plain.tags
        assert shown.text.count(printable(text)) >= 8
        assert "\x1b" not in page


@pytest.mark.parametrize("text", [*TEXTS, CONTROLS])
def test_markdown_renders_it(text):
    rendered = Texts(python_markdown.markdown(markdown(text)))
    assert rendered.text == printable(text)
    assert rendered.tags == ["p"]
    lines = as_markdown(document(text)).splitlines()
    assert len(lines) == len(as_markdown(document("plain")).splitlines())
    columns = [line.count("|") for line in lines if line.startswith("|")]
    assert columns == [3, 3, 3]


def test_latex_shows_it():
    text = as_tex(document("[x] <y> \\z{} a_b 10% #$&~^|").tables[0])
    assert text.split("\\midrule\n")[1].splitlines()[0] == (
        r"{[}x{]} \textless{}y\textgreater{} \textbackslash{}z\{\} a\_b 10\% \#\$\&\~{}\^{}"
        r"\textbar{} \\"
    )
    lines = as_tex(document("plain").tables[0], ["plain"]).count("\n")
    assert as_tex(document("a\n\nb").tables[0], ["a\n\nb"]).count("\n") == lines


@pytest.mark.parametrize(("text", "cell"), [("=1+1", "'=1+1"), ("-m", "'-m"), ("a=1", "a=1")])
def test_a_spreadsheet_takes_no_text_for_a_formula(text, cell):
    (row,) = csv.DictReader(io.StringIO(as_csv(document(text).tables[0]), newline=""))
    assert row == {"row": "1", "name": cell, "number": "-0.5", "none": "none"}


def test_a_report_is_printed_with_it(capsys):
    for text in [*TEXTS, CONTROLS]:
        print_document(document(text), report_console())
        out = capsys.readouterr().out
        # Cells of tables end where their lines do.
        assert out.count(printable(text, lines=True)) >= (3 if "\n" in text else 5)
        assert "\x1b" not in out
    assert next(rich_tables(document("[x").tables[0], 80)).title == "[x"


STRANGE_WORDS = [
    *("plain", "my runs/a (b)", "0_optimizer=sgd,seed=0", "a[/b]", "[bold]", "$HOME `id` $(id)"),
    *("it's", 'a "b"', "a\\b\\", "a;b&c|d", "~", "!x", "*", "{a,b}", "ünï ℂ", "#1"),
    "a\nb\x1b[2J'\\",
]


def test_a_shell_passes_every_word_of_a_printed_command_as_it_is():
    words = [*STRANGE_WORDS, *(f"--to={word}" for word in STRANGE_WORDS)]
    prints_its_arguments = "import json, sys; print(json.dumps(sys.argv[1:]))"
    line = printed_command(sys.executable, "-c", prints_its_arguments, *words)
    assert "\n" not in line
    assert "\x1b" not in line
    ended = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)
    assert json.loads(ended.stdout) == words


@pytest.fixture
def started(tmp_path, monkeypatch):
    """`started(program, python, script)`: the command of a process that was started like this."""
    monkeypatch.chdir(tmp_path)
    for name in ("cvtrain", "python", "python3.12", ".venv/bin/cvtrain", ".venv/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def command(program: str, python: str = "python", script: str = "") -> str:
        monkeypatch.setattr(sys, "argv", [str(tmp_path / program)])
        monkeypatch.setattr(sys, "executable", str(tmp_path / python))
        monkeypatch.setenv(STARTED_AS, script)
        return cvtrain_command("report", "a b")

    return command


@pytest.mark.parametrize(
    ("process", "begins"),
    [
        (("__main__.py",), "python -m cvtrain"),
        (("__main__.py", "python3.12"), "python3.12 -m cvtrain"),
        (("__main__.py", ".venv/bin/python"), ".venv/bin/python -m cvtrain"),
        (("../__main__.py", "../python"), "/python -m cvtrain"),
        (("cvtrain",), "cvtrain"),
        ((".venv/bin/cvtrain", ".venv/bin/python"), ".venv/bin/cvtrain"),
        (("__main__.py", ".venv/bin/python", "scripts/cvtrain"), "scripts/cvtrain"),
        (("__main__.py", ".venv/bin/python", "/a b/cvtrain"), "'/a b/cvtrain'"),
    ],
)
def test_a_printed_command_starts_cvtrain_as_this_process_was_started(started, process, begins):
    command = started(*process)
    assert command.endswith(f"{begins} report 'a b'")
    assert begins.startswith("/") or command == f"{begins} report 'a b'"


@pytest.mark.parametrize("word", STRANGE_WORDS)
def test_hydra_reads_back_the_value_of_an_override(word):
    assert parse_override(as_override("start_from", word)).value() == word


NAMES = ["0_optimizer=sgd,seed=0", "a(b)", "a[", "a b", "1", "{a,b}", "it's", "a\nb", "latest"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["start_from", "+start_from", "resume", "data.path"])
def test_the_path_of_something_that_is_there_needs_no_quotes(tmp_path, monkeypatch, name, key):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    parsed = parse_override(as_typed(f"{key}={name}"))
    assert (parsed.value(), parsed.is_sweep_override()) == (name, False)
    assert parsed.key_or_group == key.lstrip("+")


@pytest.mark.parametrize(
    "text",
    [
        "start_from=a,b",
        "start_from=null",
        "start_from=",
        "resume",
        "seed=1",
        "--cfg",
        "start_from='a'",
    ],
)
def test_everything_else_is_what_it_was(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "null", "1"):
        (tmp_path / name).mkdir()
    assert as_typed(text) == text


def test_an_argument_or_a_directory_that_is_no_text_is_refused(tmp_path, command):
    outcome = command("start_from=a\udcff")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == "cvtrain: start_from=a\\udcff: should be UTF-8 text\n"
    for name, message in (("a${b}", "has ${ in it"), ("a\udcff", "should be UTF-8")):
        with pytest.raises(InputError, match=re.escape(message)):
            claim_directory(tmp_path / name / "run", "output")
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_needs_quotes_is_told_how_they_are_set(command):
    outcome = command("output=a=b")
    assert outcome.status == 2
    assert "needs quotes: \"key='a=b'\"" in outcome.err


def test_a_printed_command_works_where_it_is_printed_after_a_change_of_directory(
    started, tmp_path, monkeypatch
):
    started("__main__.py", ".venv/bin/python")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cvtrain_command("report") == f"{tmp_path}/.venv/bin/python -m cvtrain report"
