"""README.md and docs/: every snippet runs, every command is taken, every link leads somewhere."""

from __future__ import annotations

import contextlib
import re
import runpy
import shlex
import shutil
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader, TensorDataset

from cvtrain.cli import convert, evaluate, inspect, main, report, reproduce, tensorboard, train
from cvtrain.models import Linear
from cvtrain.training.complex_share import TAG
from tests.documented_tables import ROOT
from tests.documents import TEXTS, shell_lines, snippets, without_code

FILE = re.compile(r"# ((?:my_conf|mylab)/[\w/.]+)\n")
"""The first line of a block that is a file of the reader's own."""
PLACES = {
    "resume=outputs/default/…": "resume=outputs/default/paused",
    "outputs/default/…": "outputs/default/first",
    "outputs/sweep/…": "outputs/sweep/first",
}
"""Where the reader's runs are in the tests."""
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features, dtype=dtype)

    def forward(self, x):
        return self.layer(x.flatten(1))
"""


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = Linear(2, 1, dtype=torch.complex64)

    def training_step(self, batch, batch_idx):
        return self.model(batch[0]).abs().square().mean()

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.ones(40, 2, dtype=torch.complex64)), batch_size=4)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, blank_figures) -> Path:
    """Where a reader is who has trained a little, and has written the files of the documents."""
    root = tmp_path_factory.mktemp("reader")
    outputs = root / "outputs"
    small = ("seed=0,1", "lr_octave=0,1", "max_steps=10", "model.hidden=[4]")
    sweep = [*small, f"hydra.sweep.dir={outputs / 'sweep' / 'first'}"]
    assert train.main(["+experiment=sweep", *sweep]) == 0
    run = ["max_steps=20", f"hydra.run.dir={outputs / 'default' / 'first'}"]
    assert train.main(run) == 0
    paused = ["max_steps=20", "pause_at=10", f"hydra.run.dir={outputs / 'default' / 'paused'}"]
    train.main(paused)
    assert '"interrupted"' in (outputs / "default" / "paused" / "run.json").read_text()
    for name in ("A", "B"):
        shutil.copytree(outputs / "sweep" / "first", outputs / name)
    (root / "mypackage.py").write_text(PACKAGE)
    for block in (*snippets("python"), *snippets("yaml")):
        if match := FILE.match(block.text):
            path = root / match[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text[len(match[0]) :], encoding="utf-8")
    with contextlib.chdir(root):
        runpy.run_path("mylab/make_arrays.py")
    return root


@pytest.fixture
def here(workplace: Path, monkeypatch) -> Path:
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(workplace)
    return workplace


@pytest.mark.parametrize(
    "snippet",
    [s for s in snippets("python") if not FILE.match(s.text)],
    ids=lambda s: f"{s.page}: {s.text.splitlines()[0]}",
)
def test_a_snippet_of_python_runs_and_prints_what_it_says(snippet, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice about workers and loggers
        exec(compile(snippet.text, snippet.page, "exec"), {"module": Module()})
    printed = capsys.readouterr().out
    if "2+2j" in snippet.text:
        assert "2.+2.j" in printed
        assert "1.+1.j" in printed
    if "cvtrain.load" in snippet.text:
        assert "grad/imag_norm" in printed
    if "GradientMonitor" in snippet.text:
        assert list(tmp_path.rglob("events.out.tfevents.*"))
    for number in re.findall(r"# (\d\.\d+)…", snippet.text):
        assert number in printed
    if "eps = 4e-08" in snippet.text:
        assert printed.startswith("True")
        assert "'eps': 4e-08" in printed


@pytest.mark.parametrize("snippet", shell_lines(), ids=lambda s: f"{s.page}: {s.text}")
def test_a_command_is_taken(snippet, here, commands, monkeypatch):
    line = snippet.text
    for shown, meant in PLACES.items():
        line = line.replace(shown, meant)
    words = shlex.split(line, comments=True)
    program, arguments = words[0], words[1:]
    if program in ("cvtrain", "scripts/cvtrain"):
        assert program == "cvtrain" or (ROOT / program).is_file()
        take_cvtrain(arguments, snippet.page, monkeypatch)
    elif program == "scripts/test":
        assert (ROOT / program).is_file()
    elif program == ".venv/bin/python" and (here / arguments[0]).is_file():
        assert (here / "x.npy").is_file()  # the fixture has run it
    elif program == ".venv/bin/python" and arguments[0] != "-m":
        script = (ROOT / arguments[0]).read_text(encoding="utf-8")
        assert all(word in script for word in arguments if word.startswith("--"))
    elif program == ".venv/bin/python":
        assert arguments[:3] == ["-m", "pip", "install"]
        extras = re.search(r"-e \.\[([\w,]+)\]$", " ".join(words))
        assert extras is not None
        assert set(extras[1].split(",")) <= set(PYPROJECT["project"]["optional-dependencies"])
    elif program == "eval":
        assert arguments[0] in (
            "$(cvtrain -sc install=bash)",
            "$(scripts/cvtrain -sc install=bash)",
        )
        assert "complete -o nospace" in commands.run(here, "-sc", "install=bash").stdout
    else:
        assert words == ["source", ".venv/bin/activate"]


def take_cvtrain(arguments: list[str], page: str, monkeypatch) -> None:
    """What cvtrain does with a command line, short of training."""
    if arguments[:1] and arguments[0] in main.COMMANDS:
        modules = {"convert": convert, "evaluate": evaluate, "inspect": inspect, "report": report}
        command = modules.get(arguments[0])
        if arguments[0] == "reproduce":
            assert set(arguments[1:]) <= {"--quick"}
            with pytest.raises(SystemExit, match="0"):
                reproduce.main([*arguments[1:], "--help"])
            return
        if command is None:
            assert arguments[0] == "tensorboard"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TensorBoard's own imports
                assert tensorboard.serve(Path(arguments[1]), port=0)
            return
        assert command.main(arguments[1:]) == 0
        return
    informs = "--help" in arguments or "--cfg" in arguments
    if informs or page == "docs/experiments.md":  # those train elsewhere, and some are large
        assert train.main([*arguments, *([] if informs else ["--cfg", "job"])]) == 0
        return
    monkeypatch.setattr("cvtrain.sweeps.estimate.show_plan", lambda *_, **__: None)
    single = "resume=outputs/default/paused" in arguments
    repeated = arguments == ["resume=latest"]
    narrow = ["seed=0"] if any("+experiment=" in w for w in arguments) else []
    narrow += ["lr_octave=0"] if "+experiment=sweep" in arguments else []
    more = [] if single or repeated else [*narrow, "plan=true"]
    if "hydra/launcher=slurm" in arguments:
        more.append("hydra.launcher.cluster=local")  # SLURM is not on every machine
    assert train.main([*arguments, *more]) == 0


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", without_code(TEXTS[page])):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            document = str(path.resolve().relative_to(ROOT))
            assert anchor in anchors(TEXTS[document]), target


def test_every_document_and_picture_is_linked_and_pictures_are_small():
    linked = " ".join(TEXTS.values())
    for path in (*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").iterdir()):
        assert path.name in linked
        assert path.suffix == ".md" or path.stat().st_size < 150_000, path


def test_the_converter_prints_what_the_page_shows(capsys):
    text = TEXTS["docs/laws.md"]
    line = re.search(r"^scripts/cvtrain convert (.*)$", text, re.MULTILINE)[1]
    shown = re.search(r"```text\n(adamw: .*?)```", text, re.DOTALL)[1]
    assert convert.main(line.split()) == 0
    assert capsys.readouterr().out.startswith(shown)


def test_the_tags_and_files_that_are_named_are_written(workplace):
    sweep = workplace / "outputs" / "sweep" / "first"
    run = next(path.parent for path in sorted(sweep.glob("0*/run.json")))
    recorded = (run / "run.json").read_text(encoding="utf-8")
    recorded += (run / "metrics.csv").read_text(encoding="utf-8").splitlines()[0]
    table = TEXTS["docs/tensorboard.md"].split("## What is logged")[1]
    tags = re.findall(r"`([a-z_]+/[a-z_]+)`", table)
    assert len(tags) >= 16
    for tag in tags:
        # Those want a known solution, early stopping, and signals.complex_share.
        assert tag in recorded or tag.startswith(("weight/error", "test_best/", TAG)), tag
    listed = re.search(r"```text\noutputs/sweep.*?```", TEXTS["docs/sweeps.md"], re.DOTALL)[0]
    for name in re.findall(r"^ +([\w.+*/]+)", listed, re.MULTILINE):
        if not name.startswith("000_"):
            assert list(sweep.glob(name.rstrip("/"))) or list(run.glob(name.rstrip("/"))), name
