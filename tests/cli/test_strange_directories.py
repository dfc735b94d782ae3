"""A directory may have any name that a file system takes: everything works in it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from urllib.request import urlopen

import pytest

import cvtrain
from cvtrain.cli.report import main as report
from cvtrain.runs.json_file import write_json
from cvtrain.runs.run_json import read_record
from cvtrain.sweeps.resume import how_to_go_on

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL = ("model=mlp", "model.hidden=[2]", "batch_size=8", "max_steps=4", "signals.scalars_every=2")
VARIANTS = ("a[/b]", "$\\frac{", "<i>|_x_\x1b[2J")
NAMES = ["a[/b] (c)=d,e 'f' $g \"ü\" #%&;{h}"] + [
    pytest.param(name, marks=pytest.mark.long)
    for name in ("a[/b]", "a b(c)", "a=b", "a\nb", "it's", "-m", "~", "?x=1#y", "\\", "[bold]")
]


def words(line: str) -> list[str]:
    """The arguments that bash passes to the program where the line is pasted."""
    shown = "import json, sys; print(json.dumps(sys.argv[2:]))"
    command = f"python3 -c {shlex.quote(shown)} {line}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def line_of(text: str, begins: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(begins))
    return line.removeprefix(begins).strip()


@pytest.mark.parametrize("name", NAMES)
def test_start_report_resume_and_tensorboard_work_in_a_directory_of_any_name(
    tmp_path, monkeypatch, capsys, name, command
):
    folder = tmp_path / name
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert command(*SMALL, "hydra.run.dir=run").status == 0
    # Of a single run.
    weights = cvtrain.configure(*SMALL, f"start_from={folder / 'run'}")
    assert weights.start_from == str(folder / "run")
    assert "has ended (finished)" in command(f"resume={folder / 'run'}").err
    # Of a sweep, by the paths that it printed.
    swept = command(*SMALL, "seed=0,1", "optimizer=sgd,adam", "-m", "hydra.sweep.dir=s")
    assert swept.status == 0, swept.err
    assert (folder / "s" / "report" / "index.html").is_file()
    runs = cvtrain.load(folder / "s").runs
    assert (runs["status"] == "finished").all()
    *module, printed = words(line_of(swept.out, "look:"))[1:]
    assert module == ["cvtrain", "tensorboard"]
    assert printed == "s"
    for number, run in enumerate(sorted((folder / "s").glob("*/run.json"))):
        content = read_record(run)
        content["config"]["variant"] = VARIANTS[number % len(VARIANTS)]
        write_json(run, content)
    capsys.readouterr()
    assert report([str(folder / "s")]) == 0
    out = capsys.readouterr().out
    assert "variant=a[/b]" in out
    assert "\x1b" not in out
    path = next((folder / "s").glob("*optimizer=sgd*"))
    assert cvtrain.configure(*SMALL, f"start_from={path}").start_from == str(path)
    assert command("resume=s").status == 0
    # One that was stopped goes on by the command that it printed.
    stopped = command(*SMALL, "seed=0,1", "-m", "hydra.sweep.dir=p", "pause_at=2")
    assert stopped.status == 0
    arguments = words(how_to_go_on(folder / "p").removeprefix("cvtrain: to continue: "))[2:]
    assert command(*arguments).status == 0
    assert {read_record(run)["status"] for run in (folder / "p").glob("*/run.json")} == {"finished"}
    # TensorBoard, as the printed line starts it; in a process of its own, for it leaves threads.
    arguments = [sys.executable, "-m", *module, printed, "--port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as board:
        try:
            assert board.stdout is not None
            address = re.search(r"http://[^?\s]+", board.stdout.readline())
            assert address is not None
            for _ in range(100):
                with urlopen(f"{address[0]}data/runs", timeout=60) as answer:
                    runs = json.load(answer)
                if len(runs) == 7:
                    break
                time.sleep(0.2)
            assert sum("/seed=" in run for run in runs) == 4
        finally:
            board.terminate()
