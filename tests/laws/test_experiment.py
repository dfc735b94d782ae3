"""The experiment `laws`, from the command: every law bitwise in stacks, every control apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cvtrain.analysis.load import load
from cvtrain.cli.train import main
from cvtrain.experiments.laws import pairs, report_laws
from cvtrain.laws.law_cases import CONTROLS, EXACT_FACTORS, LAW_CASES
from cvtrain.runs.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(scope="module")
def settings(request):
    """Networks × dtypes: one of them; `scripts/cvtrain reproduce --quick` has the other dtype."""
    return 4 if request.config.getoption("--all") else 1


@pytest.fixture(scope="module")
def factors(request):
    """One exact factor; tests/laws/test_table.py has others, `cvtrain reproduce --quick` all."""
    chosen = EXACT_FACTORS if request.config.getoption("--all") else (0.5,)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("cvtrain.laws.law_cases", "cvtrain.experiments.laws"):
            patch.setattr(f"{module}.EXACT_FACTORS", chosen)
        yield chosen


@pytest.fixture(scope="module")
def experiment(settings, factors, tmp_path_factory):
    directory = tmp_path_factory.mktemp("laws") / "sweep"
    chosen = [] if settings == 4 else ["model=mlp", "dtype=complex128"]
    arguments = ["+experiment=laws", "max_steps=8", *chosen, f"hydra.sweep.dir={directory}"]
    return main(arguments), directory


@pytest.fixture
def copied(experiment, tmp_path):
    shutil.copytree(experiment[1], tmp_path / "sweep")
    return tmp_path / "sweep"


def test_all_laws_hold_and_all_controls_differ(experiment, settings, factors):
    status, directory = experiment
    assert status == 0
    exact = [pair for pair in pairs(load(directory)) if pair.c in factors]
    names = {law.name for law in LAW_CASES}
    laws = [pair for pair in exact if pair.name in names]
    assert len(laws) == len(LAW_CASES) * len(factors) * settings
    assert all(pair.equal for pair in laws)
    controls = [pair for pair in exact if pair.name not in names]
    assert len(controls) == len(CONTROLS) * settings
    equal = [pair for pair in controls if pair.equal]
    assert {pair.name for pair in equal} == {c.name for c in CONTROLS if c.equal_if_purely_complex}
    assert all("Mlp" in pair.setting for pair in equal)


def test_all_but_lbfgs_were_trained_in_stacks(experiment):
    runs = load(experiment[1]).runs
    single = runs[runs["engine"] == "single"]
    assert set(single["optimizer._target_"]) == {"torch.optim.LBFGS"}


def test_one_bit_breaks_a_law(copied, settings, factors):
    runs = load(copied).runs
    of_adamw = (runs["variant"] == "AdamW; c=0.5") & (runs["dtype"] == "complex128")
    chosen = runs[of_adamw]["directory"].iloc[0]
    assert report_laws(load(copied)).failure() is None
    nudge_last_bit(copied / chosen)
    document = report_laws(load(copied))
    broken = document.failure()
    assert broken is not None
    assert broken.startswith("1 claims do not hold: AdamW, c = 0.5, Mlp complex128: ")
    promised = len(LAW_CASES) * len(factors) * settings
    assert str(document.verdict[0]).startswith(f"{promised - 1} of {promised} exact pairs")


def test_a_run_that_did_not_finish_breaks_its_law_too(copied):
    runs = load(copied).runs
    of_lion = (runs["variant"] == "Lion; c=0.5") & (runs["dtype"] == "complex128")
    chosen = runs[of_lion]["directory"].iloc[0]
    record = copied / chosen / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"diverged"'))
    assert "Lion, c = 0.5, Mlp complex128: not trained to the end" in (
        report_laws(load(copied)).failure() or ""
    )


def nudge_last_bit(directory: Path) -> None:
    state, step = load_checkpoint(directory / "checkpoints" / "last.ckpt")
    name, tensor = next((n, t) for n, t in state.items() if t.is_complex())
    parts = torch.view_as_real(tensor.clone()).reshape(-1)
    parts[0] = torch.nextafter(parts[0], torch.tensor(torch.inf, dtype=parts.dtype))
    state[name] = torch.view_as_complex(parts.reshape(*tensor.shape, 2))
    save_checkpoint(directory, "last", state, step)
