"""Wrong options of the launchers: a line, and nothing made."""

from __future__ import annotations

import pytest

from cvtrain.cli.train import main
from cvtrain.process.optional_dependencies import install_command
from tests.sweeps.small_sweep import SMALL

STACKED, RAY = ("hydra/launcher=stacked",), ("hydra/launcher=ray",)
SLURM = ("hydra/launcher=slurm", "hydra.launcher.cluster=local", "hydra.launcher.workers=2")
CHDIR = "hydra.job.chdir=true: should be false where runs do not train in this one process"


@pytest.mark.parametrize(
    ("launcher", "option", "message"),
    [
        (STACKED, "workers=0", "workers=0: should be an integer of at least 1"),
        (STACKED, "workers=many", "hydra.launcher.workers=many: should be"),
        ((*STACKED, "hydra.job.chdir=true"), "workers=2", CHDIR),
        (RAY, "workers=0", "workers=0: should be an integer of at least 1, or null"),
        (RAY, "cores=1.5", "cores=1.5: should be an integer of at least 1"),
        (RAY, "gpus=-1", "gpus=-1: should be an integer of at least 0"),
        (RAY, "max_stack=0", "max_stack=0: should be an integer of at least 1"),
        (RAY, "node=1", "hydra.launcher.node"),
        ((*RAY, "hydra.job.chdir=true"), "workers=2", CHDIR),
        (SLURM, "workers=null", "workers=None: should be an integer of at least 1"),
        (SLURM, "cluster=pbs", "cluster=pbs: should be slurm or local"),
        (SLURM, "cluster=slurm", 'Could not detect "srun"'),
        (SLURM, "parameters.mem_gb=much", 'Parameter "mem_gb" expected type'),
        (SLURM, "+parameters.slurm_colour=red", "Unknown argument 'colour'"),
        (SLURM, "lease_seconds=0", "lease_seconds=0: should be a number above 0"),
        (SLURM, "lease_seconds=soon", "lease_seconds=soon: should be a number above 0"),
        ((*SLURM, "hydra.job.chdir=true"), "workers=2", CHDIR),
    ],
)
def test_wrong_options_are_a_line(tmp_path, capsys, launcher, option, message):
    for package in {RAY[0]: ["ray"], SLURM[0]: ["submitit"]}.get(launcher[0], []):
        pytest.importorskip(package)
    sign, key = ("+", option[1:]) if option.startswith("+") else ("", option)
    overrides = [*SMALL, *launcher, f"{sign}hydra.launcher.{key}"]
    assert main([*overrides, f"hydra.sweep.dir={tmp_path / 'x'}", "-m"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("launcher", "extra"), [(RAY, "ray"), (SLURM, "slurm")])
def test_a_missing_extra_is_named(tmp_path, capsys, monkeypatch, launcher, extra):
    monkeypatch.setattr("cvtrain.process.optional_dependencies.find_spec", lambda name: None)
    assert main([*SMALL, *launcher, f"hydra.sweep.dir={tmp_path / 'x'}", "-m"]) == 2
    assert install_command(extra) in capsys.readouterr().err
