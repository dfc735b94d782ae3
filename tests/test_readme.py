"""What the README shows does what it says."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader, TensorDataset

from cvtrain.cli.convert import main
from cvtrain.models import Linear

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


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


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice about workers and loggers
        exec(compile(example, "README.md", "exec"), {"module": Module()})
    said = capsys.readouterr().out
    if "wirtinger" in example and "2+2j" in example:
        assert "2.+2.j" in said
        assert "1.+1.j" in said
    if "cvtrain.load" in example:
        assert "grad/imag_norm" in said
    if "GradientMonitor" in example:
        assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_every_option_that_the_readme_names_exists():
    commands = re.findall(r"^scripts/cvtrain(.*)$", README, re.MULTILINE)
    chosen = re.findall(r"\+?\b(\w+)=([\w,]+)", " ".join(commands))
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    options = [(group, option) for group, many in chosen for option in many.split(",")]
    assert any(group in groups for group, _ in options)
    for group, option in options:
        if group in groups:
            assert (ROOT / "conf" / group / f"{option}.yaml").exists(), f"{group}={option}"


def test_the_places_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target
    listed = README.split("## Where things are")[1].split("```")[1]
    for name in re.findall(r"^\s*(?:\w+/)?((?:[\w.]+/?  ?)+)", listed, re.MULTILINE):
        for part in name.split():
            if part.endswith(("/", ".py")):
                places = [ROOT / part, ROOT / "cvtrain" / part]
                assert any(place.exists() for place in places), part


def test_the_table_of_experiments_is_whole():
    table = README[README.index("| experiment |") :]
    rows = table[: table.index("\n\n")].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == {path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")}


def test_the_converter_says_what_the_readme_shows(capsys):
    line = re.search(r"^python -m cvtrain convert (.*)$", README, re.MULTILINE)[1]
    shown = re.search(r"```text\n(adamw: .*?)```", README, re.DOTALL)[1]
    assert main(line.split()) == 0
    assert capsys.readouterr().out.startswith(shown)
