"""A notebook: networks and data of its cells train, show their progress and themselves."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.documented_tables import ROOT

BLANK_FIGURES = f"""
import sys
sys.path.append({str(ROOT)!r})
from tests.blank_figures import figures_left_blank
blank = figures_left_blank()
blank.__enter__()
"""
DEFINITIONS = """
import torch
from torch import nn
import cvtrain

class Net(nn.Module):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features, dtype=dtype)

    def forward(self, x):
        return self.layer(x).abs()

def waves(seed=0):
    x = torch.randn(200, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    y = (x.real.sum(1) > 0).long()
    return [torch.utils.data.TensorDataset(x[i::3], y[i::3]) for i in range(3)]
"""
SWEEP = """
axes = {"optimizer.lr": [0.1, 0.2], "convention": ["pytorch", "wirtinger"], "seed": [0, 1]}
cvtrain.sweep("max_steps=10", "optimizer=sgd", model=Net, data=waves, axes=axes)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> list[list[nbformat.NotebookNode]]:
    """What each cell of the notebook puts out."""
    cells = [
        BLANK_FIGURES + DEFINITIONS,
        'cvtrain.train(cvtrain.configure("max_steps=10", "model.hidden=[8]"))',
        SWEEP,
        "_.verdict",
        "cvtrain.configure()",
    ]
    folder: Path = tmp_path_factory.mktemp("notebook")
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells]


def streams(cell):
    return "".join(part.text for part in cell if part.output_type == "stream")


def shown(cell, kind):
    return next(part.data[kind] for part in cell if part.output_type == "execute_result")


def test_a_run_shows_steps_and_results(outputs):
    assert "10 of 10 steps" in streams(outputs[1])
    assert "val/loss" in shown(outputs[1], "text/html")


def test_a_sweep_of_cells_shows_progress_and_its_answer(outputs):
    assert "8 of 8 runs" in streams(outputs[2])
    assert all(part.get("name") != "stderr" for part in outputs[2])
    assert "multiply the learning rate by 2" in shown(outputs[2], "text/html")
    assert "relabelling" in shown(outputs[3], "text/plain")


def test_a_configuration_fits_on_a_screen(outputs):
    assert len(shown(outputs[4], "text/plain")) < 300
