"""Every command that cvtrain or a page shows works where it is pasted: in the repository, in a
shell in which nothing is activated and nothing is set."""

from __future__ import annotations

import re
import signal
import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from cvtrain.cli import main
from cvtrain.process.plain_text import STARTED_AS
from tests.documents import TEXTS, snippets
from tests.sweeps.test_decide import SMALL, TWO_BATCHES

ROOT = Path(__file__).parents[2]
SCRIPT = "scripts/cvtrain"
TINY = ("max_steps=2", "model.hidden=[4]")
COMMAND = re.compile(rf"(?:{SCRIPT}|\S*python\S* -m) .*")

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / ".venv/cvtrain-stamp").exists(), reason="scripts/cvtrain would install .venv"
    ),
    pytest.mark.usefixtures("blank_figures"),
]


class BareShell:
    """A shell of somebody who has just opened a terminal, in the repository."""

    def __init__(self) -> None:
        self._start = ["env", "-i", f"HOME={Path.home()}", "PATH=/usr/bin:/bin", "bash", "-c"]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._start, script], cwd=ROOT, capture_output=True, text=True, check=False
        )

    def start(self, script: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._start, f"exec {script}"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def words(self, line: str) -> list[str]:
        """The words that it passes to the program of a line, which it finds."""
        show = 'show() { command -v "$1" && printf \'%s\\0\' "$@"; }'
        done = self.run(f"{show}; show {line}")
        assert done.returncode == 0, line
        return done.stdout.partition("\n")[2].split("\0")[:-1]


@pytest.fixture(scope="module")
def shell() -> BareShell:
    return BareShell()


@pytest.fixture(scope="module")
def single(shell: BareShell, tmp_path_factory) -> tuple[Path, list[str]]:
    """A run that was started in a bare shell, and the commands that it printed."""
    directory = tmp_path_factory.mktemp("single") / "run (1)"
    done = shell.run(f"{SCRIPT} {' '.join(TINY)} \"hydra.run.dir='{directory}'\"")
    assert done.returncode == 0, done.stderr
    return directory, shown_commands(done.stdout)


def shown_commands(text: str) -> list[str]:
    return COMMAND.findall(text)


@pytest.fixture
def typed(monkeypatch, capsys):
    """`typed(words)`: the commands that a command prints which was started by scripts/cvtrain."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(STARTED_AS, SCRIPT)

    def type_in(*words: str) -> list[str]:
        with suppress(SystemExit):  # argparse's --help
            main.main(words)
        return shown_commands("".join(capsys.readouterr()))

    return type_in


def paste(shell: BareShell, commands, line: str, *more: str) -> str:
    """What a pasted line prints: the words that the shell makes of it, in a process that has all
    imported."""
    program, *arguments = shell.words(line)
    assert program == SCRIPT
    done = commands.run(ROOT, *arguments, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_ends_with_commands_that_work(shell, commands, single):
    directory, lines = single
    assert [line.split()[1] for line in lines] == ["report", "tensorboard", "evaluate"]
    report, look, evaluate = lines
    assert f"report:   {directory}" in paste(shell, commands, report)
    assert "test split" in paste(shell, commands, evaluate)
    with shell.start(f"{look} --port 0") as board:
        try:
            assert board.stdout is not None
            address = re.search(r"http://[^?\s]+", board.stdout.readline())
            assert address is not None
            assert urlopen(address[0], timeout=60).status == 200
            board.send_signal(signal.SIGINT)
            assert board.wait(60) == 0
        finally:
            board.kill()


def test_a_sweep_ends_with_commands_that_work(shell, commands, typed, tmp_path):
    where = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    tables, look, further = typed(*SMALL, *TWO_BATCHES, "seed=range(0,4)", "-m", where)
    assert "best" in paste(shell, commands, tables)
    assert shell.words(look)[1:] == ["tensorboard", str(tmp_path / "sweep")]
    assert "seed=" in further  # inconclusive: with more seeds
    assert "runs" in paste(shell, commands, further, "plan=true")


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_what_was_stopped_goes_on_by_the_printed_command(shell, commands, typed, tmp_path, kind):
    sweep = ("seed=0,1", "-m") if kind == "sweep" else ()
    where = f"hydra.{kind}.dir={tmp_path / 'it'}"
    line = next(line for line in typed(*TINY, "pause_at=1", *sweep, where) if "resume=" in line)
    paste(shell, commands, line)
    for path in tmp_path.rglob("run.json"):
        assert '"finished"' in path.read_text(encoding="utf-8")


def test_help_shows_commands_that_start(shell, commands, typed):
    lines = typed("--help")
    shown, swept = ("--cfg", "job"), ("max_steps=2", "plan=true")
    for line, more in zip(lines, (shown, shown, shown, swept, ()), strict=True):
        paste(shell, commands, line, *more)


PARSED = [name for name in main.COMMANDS if name not in ("train", "inspect")]
"""Commands with a parser of their own; the others take overrides."""


@pytest.mark.parametrize("command", PARSED)
def test_the_usage_of_a_command_begins_with_what_was_typed(typed, command):
    usage, *examples = typed(command, "--help")
    assert usage.startswith(f"{SCRIPT} {command} [-h]")
    assert bool(examples) == (command in ("convert", "evaluate"))


def test_the_help_of_inspect_shows_commands_as_they_were_typed(typed):
    examples = typed("inspect", "--help")
    assert len(examples) == 2
    assert all(line.startswith(f"{SCRIPT} inspect ") for line in examples)


def test_the_converter_prints_overrides_that_are_taken(shell, commands, monkeypatch, capsys):
    main.main(["convert", "--from", "wirtinger", "--to", "pytorch", "adamw", "clip.norm=1"])
    overrides = capsys.readouterr().out.splitlines()[-1]
    paste(shell, commands, f"{SCRIPT} {overrides} plan=true")


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [
    ("wandb", ("logger=wandb",)),
    ("mlflow", ("logger=mlflow",)),
    ("ray", ("hydra/launcher=ray", "seed=0,1", "-m")),
    ("slurm", ("hydra/launcher=slurm", "seed=0,1", "-m")),
    ("optuna", ("+experiment=search",)),
]


@pytest.mark.parametrize(("extra", "words"), EXTRAS)
def test_what_is_missing_is_installed_by_the_printed_command(
    shell, typed, monkeypatch, extra, words
):
    monkeypatch.setattr("cvtrain.process.optional_dependencies.find_spec", lambda name: None)
    (line,) = typed(*words, "plan=true")
    program, *arguments = shell.words(line)
    assert Path(program).name.startswith("python")
    assert arguments[:5] == ["-m", "pip", "install", "-c", str(ROOT / "constraints.txt")]
    assert arguments[5:] == ["-e", f"{ROOT}[{extra}]"]
    assert extra in PROJECT["optional-dependencies"]
    if extra == "wandb":  # the others differ in one word
        done = shell.run(f"{line} --help")
        assert (done.returncode, done.stdout.split()[:1]) == (0, ["Usage:"]), done.stderr
        assert "pip install" in done.stdout


def test_a_bare_shell_finds_the_program_of_every_line_of_the_pages(shell):
    script = ""
    for block in snippets("bash"):
        script += "(\n"  # what a block activates ends with it
        for line in filter(None, block.text.splitlines()):
            program = re.sub(r'^eval "\$\((\S+) .*', r"\1", line).split()[0]
            lookup = f"command -v {program} >/dev/null || echo {program}"
            script += f"{line if program == 'source' else lookup}\n"
        script += ")\n"
    assert script.count("command -v") > 75
    done = shell.run(script)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_a_shell_completes_what_it_was_taught(shell):
    (line,) = re.findall(r'^eval "\$\(scripts/.*\)"', TEXTS["docs/configuration.md"], re.MULTILINE)
    typed = f"{SCRIPT} optimizer=adam"
    done = shell.run(
        f"{line}; complete -p; COMP_LINE='{typed}' COMP_POINT={len(typed)} COMP_CWORD=1;"
        ' hydra_bash_completion; echo "${COMPREPLY[@]}"'
    )
    registered, completed = done.stdout.splitlines()
    assert registered.endswith(" cvtrain")
    assert completed.split() == [f"optimizer={name}" for name in ("adam", "adamax", "adamw")]
