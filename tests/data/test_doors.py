"""The same problem through every door: files, folders, code of three kinds, and memory.

The real files, MNIST's test images and the k-space of an MRI scan, lie beside the repository on
some machines.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cvtrain.data.idx import read_idx
from cvtrain.data.in_memory import data_target
from cvtrain.data.load import forget_datasets, load_dataset
from tests.data.their_data import SPLITS
from tests.training.trained_runs import configured, equal, trained

REAL = Path(__file__).parents[3] / "shared" / "data"
SHORT = ("optimizer=sgd", "batch_size=10", "signals.validation_every=10")
PACKAGE = """
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset
from cvtrain.data import Dataset, Split

def tensors():
    with np.load({path!r}) as stored:
        return [[torch.from_numpy(stored[f"{{name}}{{kind}}"]) for kind in (0, 1)]
                for name in ("train", "validation", "test")]

def ours(dtype):
    return Dataset(*(Split(x, y) for x, y in tensors()), task={task!r}, out_features={out})

def torchs():
    return [TensorDataset(x, y) for x, y in tensors()]

class Module(LightningDataModule):
    def setup(self, stage):
        self.splits = torchs()
    def train_dataloader(self):
        return DataLoader(self.splits[0], batch_size=3, shuffle=True)
    def val_dataloader(self):
        return DataLoader(self.splits[1])
    def test_dataloader(self):
        return DataLoader(self.splits[2])
"""


def made():
    """Two directions of arrival, class by class as folders are read."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    waves = np.exp(1j * (0.4 + 0.4 * labels[:, None]) * np.arange(6))
    return (waves + 0.3 * generator.normal(size=waves.shape)).astype(np.complex64), labels


def mnist():
    """Spectra of some digits."""
    images = read_idx(REAL / "mnist" / "t10k-images-idx3-ubyte.gz", (None, 28, 28))[:200]
    labels = read_idx(REAL / "mnist" / "t10k-labels-idx1-ubyte.gz", (None,))[:200].astype(np.int64)
    order = np.argsort(labels, kind="stable")
    return np.fft.fft2(images[order]).astype(np.complex64), labels[order]


def scan():
    """Pixels of one coil's image from those of all other coils, which see the same slice."""
    space = np.load(REAL / "mri" / "cartesian_ksp.npy")
    axes = (-2, -1)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(space, axes=axes)), axes=axes)
    pixels = images[:, 100:130, 80:100].reshape(8, -1).T.astype(np.complex64)
    return pixels[:, 1:].copy(), pixels[:, 0].copy()


PROBLEMS = {"made": (made, None), "mnist": (mnist, "mnist"), "scan": (scan, "mri")}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    make, needed = PROBLEMS[request.param]
    if needed is not None and not (REAL / needed).is_dir():
        pytest.skip(f"{needed} is not beside the repository")
    return make()


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    forget_datasets()  # of another doorlab
    yield tmp_path / "doorlab.py"
    sys.modules.pop("doorlab", None)


def test_the_same_problem_is_trained_to_the_same_bits_through_every_door(problem, code, tmp_path):
    x, y = problem
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    labels = y.dtype.kind == "i"
    loss = "cross_entropy" if labels else "complex_mse"
    files = ["data=arrays", f"data.inputs={tmp_path}/x.npy", f"data.targets={tmp_path}/y.npy"]
    scaled = [] if labels else ["data.target_scale=rms"]
    memory = ["data=custom", f"data._target_={data_target((x, y))}"]
    doors = [
        [*files, *scaled],
        [*files, *scaled, "data.in_memory=false"],
        [*memory, *(f"+{word}" for word in scaled)],
    ]
    dataset = load_dataset(configured(*doors[0], "model=linear", f"objective={loss}"))
    splits = {
        f"{name}{kind}": tensor.numpy()
        for name in SPLITS
        for kind, tensor in enumerate(getattr(dataset, name).tensors)
    }
    np.savez(tmp_path / "splits.npz", **splits)
    path, out = str(tmp_path / "splits.npz"), dataset.out_features
    code.write_text(PACKAGE.format(path=path, task=dataset.task, out=out))
    if labels:
        for number, (sample, label) in enumerate(zip(x, y, strict=True)):
            file = tmp_path / "classes" / str(label) / f"{number:04}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, sample)
        doors.append(["data=folders", f"data.path={tmp_path}/classes"])
    for name in ("ours", "torchs", "Module"):
        doors.append(["data=custom", f"data._target_=doorlab.{name}", "trusted_modules=[doorlab]"])
    (tmp_path / "runs").mkdir()
    common = ("model=linear", f"objective={loss}", *SHORT, "max_steps=30", "optimizer.lr=0.05")
    first, *others = (trained(tmp_path / "runs", *door, *common) for door in doors)
    for other in others:
        assert equal(other, first)
        for tag in ("val/loss", "test/loss"):
            assert other.record.final[tag] == first.record.final[tag]
    if not labels:
        assert first.record.final["test/nmse"] < 0.1
