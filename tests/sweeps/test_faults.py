"""What goes wrong while a sweep trains costs the runs that it concerns, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cvtrain.runs.run_json import read_record

ANTENNA = '''
from multiprocessing import parent_process
from pathlib import Path

import numpy as np
import torch

from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split
from cvtrain.models.mlp import Mlp


def samples(*, path: str, dtype: torch.dtype) -> Dataset:
    inputs = torch.from_numpy(np.load(path)).to(dtype)
    split = Split(inputs, inputs @ torch.ones(4, 1, dtype=dtype))
    return Dataset(split, split, split, "regression", 1)


class Fragile(Mlp):
    """Breaks in the worker that finds the file `broken`."""

    def forward(self, x):
        if self.training and parent_process() is not None:
            try:
                Path("broken").unlink()
            except FileNotFoundError:
                return super().forward(x)
            raise RuntimeError("the antenna fell off")
        return super().forward(x)
'''
DATA = ("data._target_=antenna.samples", "~data.seed", "+data.path=samples.npy")
COMMON = (
    *DATA,
    "model=mlp",
    "model.in_features=4",
    "model.hidden=[2]",
    "objective=complex_mse",
    "trusted_modules=[antenna]",
    "max_steps=30",
    "batch_size=8",
    "signals.validation_every=10",
    "hydra.launcher.max_stack=1",
)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "antenna.py").write_text(ANTENNA)
    draw = np.random.default_rng(0)
    real, imaginary = draw.standard_normal((2, 32, 4))
    np.save(tmp_path / "samples.npy", real + 1j * imaginary)
    return tmp_path


def statuses(place: Path) -> list[str]:
    return [read_record(path)["status"] for path in sorted(place.glob("sweep/*/run.json"))]


def test_a_data_file_that_has_gone_is_a_line_and_what_was_trained_stays(commands, place):
    first = [*COMMON, "seed=0,1", "-m", "hydra.sweep.dir=sweep"]
    done = commands.run(place, *first)
    assert done.returncode == 0, done.stderr
    kept = {path: path.read_bytes() for path in place.glob("sweep/*/*") if path.is_file()}
    (place / "samples.npy").rename(place / "elsewhere.npy")
    more = [*COMMON, "seed=0,1,2", "resume=sweep"]
    done = commands.run(place, *more)
    assert done.returncode == 2
    assert "No such file or directory: 'samples.npy'" in done.stderr
    assert "Traceback" not in done.stderr
    assert kept == {path: path.read_bytes() for path in kept}
    (place / "elsewhere.npy").rename(place / "samples.npy")
    done = commands.run(place, *more)
    assert done.returncode == 0, done.stderr
    assert statuses(place) == ["finished"] * 3


def test_data_with_a_nan_are_a_line(commands, place):
    inputs = np.load(place / "samples.npy")
    inputs[3, 1] = complex(0, np.nan)
    np.save(place / "samples.npy", inputs)
    done = commands.run(place, *COMMON, "seed=0,1", "-m", "hydra.sweep.dir=sweep")
    assert done.returncode == 2
    assert "NaN" in done.stderr
    assert not (place / "sweep").exists()


@pytest.mark.parametrize("on_error", ["continue", pytest.param("stop", marks=pytest.mark.long)])
def test_a_run_that_fails_in_a_worker_is_told_as_in_one_process(commands, place, on_error):
    (place / "broken").touch()
    steps = "max_steps=20000" if on_error == "stop" else "max_steps=30"
    arguments = [*COMMON, "model._target_=antenna.Fragile", "seed=0,1,2,3", f"on_error={on_error}"]
    workers = ["hydra.launcher.workers=2", "hydra.sweep.dir=sweep", "-m"]
    forked = on_error != "stop"  # one that starts anew is for --all
    done = commands.run(place, *arguments, steps, *workers, forks_workers=forked)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "RuntimeError: the antenna fell off" in done.stdout
    ended = sorted(statuses(place))
    if on_error == "stop":  # the other worker may not have begun
        assert ended in (["failed"], ["failed", "interrupted"])
    else:
        assert ended == ["failed", *["finished"] * 3]
    (traceback,) = place.glob("sweep/*/traceback.txt")
    assert "antenna.py" in traceback.read_text()
