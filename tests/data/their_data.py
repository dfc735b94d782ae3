"""Somebody's own data: small arrays, their files, and code that makes data sets of them."""

from __future__ import annotations

import numpy as np
import torch

from cvtrain.data.arrays import arrays
from cvtrain.data.split import in_memory

SPLITS = ("train", "validation", "test")
RNG = np.random.default_rng(0)
SIZES = {"train": 12, "validation": 5, "test": 4}
X = {
    name: (RNG.normal(size=(n, 6)) + 1j * RNG.normal(size=(n, 6))).astype(np.complex64)
    for name, n in SIZES.items()
}
# Class by class, as folders are read.
LABELS = {name: np.sort(np.arange(n) % 3) for name, n in SIZES.items()}
REAL = {name: np.stack([np.abs(x).sum(1), x.real.sum(1)], axis=1) for name, x in X.items()}


def read(folder, function=arrays, **chosen):
    dataset = function(dtype=torch.complex64, **chosen)
    return [in_memory(getattr(dataset, name)) for name in SPLITS], dataset


def save(folder, targets=LABELS, name="train"):
    """The arguments that read one split's .npy files as all the data there is."""
    np.save(folder / "x.npy", X[name])
    np.save(folder / "y.npy", targets[name])
    return {"inputs": str(folder / "x.npy"), "targets": str(folder / "y.npy")}


def save_splits(folder, targets=LABELS):
    chosen = {}
    for name in SPLITS:
        prefix = "" if name == "train" else f"{name}_"
        for key, array in (("inputs", X[name]), ("targets", targets[name])):
            np.save(folder / f"{name}_{key}.npy", array)
            chosen[f"{prefix}{key}"] = str(folder / f"{name}_{key}.npy")
    return chosen


MODULE = '''
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset
from cvtrain.data import Dataset, Split
from tests.data.their_data import LABELS, SPLITS, X

def tensors():
    return [(torch.from_numpy(X[name]), torch.from_numpy(LABELS[name])) for name in SPLITS]

def ours(dtype):
    splits = [Split(x.to(dtype), y) for x, y in tensors()]
    return Dataset(*splits, task="classification", out_features=3)

def torchs(seed=0):
    return [TensorDataset(x, y) for x, y in tensors()]

def named():
    return dict(zip(("train", "val", "test"), torchs(), strict=True))

class Module(LightningDataModule):
    def setup(self, stage):
        self.splits = torchs()
    def train_dataloader(self):
        return DataLoader(self.splits[0], batch_size=2, shuffle=True)
    def val_dataloader(self):
        return DataLoader(self.splits[1])
    def test_dataloader(self):
        return DataLoader(self.splits[2])

class RandomSplit(LightningDataModule):
    """Draws its splits anew at every `setup`, whatever the stage, and without a seed."""
    def setup(self, stage):
        order = torch.randperm(60).split(20)
        self.splits = [TensorDataset(part[:, None].float(), part % 2) for part in order]
    train_dataloader = Module.train_dataloader
    val_dataloader = Module.val_dataloader
    test_dataloader = Module.test_dataloader

class Unvalidated(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(torchs()[0])

def others():
    return [TensorDataset(torch.ones(4, 1), torch.tensor([1, 2, 1, 2]))] * 3

def two():
    return torchs()[:2]

def nothing():
    return "data"

def wanting(folder):
    return torchs()

def triples():
    return [[(1.0, 2.0, 3.0)]] * 3

def weighing():
    weights = torch.arange(12.0) % 3
    return [TensorDataset(x, y, weights[: len(y)]) for x, y in tensors()]

def uneven():
    return [[(torch.ones(n + 1), n) for n in range(3)]] * 3
'''
