"""A number of a file that is none is named, with its file, when it is read."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from cvtrain.cli.train import main
from cvtrain.data.miccai2023 import TRAINING_SET, miccai2023
from cvtrain.data.mstar import mstar
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from tests.data.on_disk import SETS, read
from tests.data.published_files import write_chip

FULL = TRAINING_SET / "P002" / "cine_sax.mat"
SUB = TRAINING_SET / "AccFactor04" / "P002" / "cine_sax.mat"


def broken_image(value):
    return lambda file: write_chip(file, np.full((16, 16), value))


def mat(**content):
    return lambda file: savemat(file, content)


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [
        (mstar, broken_image(np.nan), "it holds NaN or infinity"),
        (mstar, broken_image(np.inf), "it holds NaN or infinity"),
        (sample, mat(image=np.ones((8, 8))), "it has no complex_img"),
        (sample, mat(complex_img=np.ones((8, 8))), "it holds float64, should be complex numbers"),
        (
            sample,
            mat(complex_img=np.array([["tank"]], object)),
            "it holds object, should be complex numbers",
        ),
        (sample, mat(complex_img=np.ones((8, 8, 2), complex)), "[8, 8, 2], should be [H, W]"),
        (sample, mat(complex_img=np.ones((0, 8), complex)), "[0, 8], should be [H, W]"),
        (sample, mat(complex_img=np.full((8, 8), np.inf + 0j)), "it holds NaN or infinity"),
    ],
)
def test_an_image_that_is_none_is_named_when_it_is_read(tmp_path, function, change, message):
    SETS[function][0](tmp_path)
    train = read(function, tmp_path).train
    file = train.samples.samples.files[train.chosen[4]]
    change(file)
    with pytest.raises(ValueError) as refused:
        train.take(torch.tensor([4]))
    assert str(refused.value).startswith(f"sample 4: {file}: ")
    assert message in str(refused.value)


def test_a_mapped_patch_with_nan_is_named_when_it_is_read(tmp_path):
    SETS[s1slc][0](tmp_path)
    train = read(s1slc, tmp_path).train
    file, first = tmp_path / "Houston" / "HV.npy", 21  # of Houston's patches
    number = next(n for n, patch in enumerate(train.chosen) if first <= patch < first + 21)
    array = np.load(file, mmap_mode="r+")
    array[train.chosen[number] - first, 3, 4] = np.nan
    array.flush()
    with pytest.raises(ValueError) as refused:
        train.take(torch.tensor([number]))
    assert str(refused.value) == f"sample {number}: {file}: it holds NaN or infinity"


@pytest.mark.parametrize(
    ("value", "file", "message"),
    [(np.nan, FULL, "it holds NaN or infinity"), (0, SUB, "time 0, slice 0: zero throughout")],
)
def test_a_frame_that_is_none_is_named_with_its_file(tmp_path, value, file, message):
    SETS[miccai2023][0](tmp_path)
    dataset = read(miccai2023, tmp_path)
    frames = range(6, 12)  # of P002
    splits = (dataset.train, dataset.validation, dataset.test)
    (split,) = [split for split in splits if set(split.chosen) & set(frames)]
    number = list(split.chosen).index(frames[0])
    with h5py.File(tmp_path / file, "r+") as stored:
        (key,) = stored
        stored[key][0] = np.array((value, 0), stored[key].dtype)
    with pytest.raises(ValueError) as refused:
        split.take(torch.tensor([number]))
    assert str(refused.value) == f"sample {number}: {tmp_path / file}: {message}"


@pytest.mark.usefixtures("blank_figures")
def test_a_sweep_names_an_image_and_does_not_blame_the_network(tmp_path, monkeypatch, capsys):
    SETS[mstar][0](tmp_path)
    monkeypatch.chdir(tmp_path)
    validation = read(mstar, tmp_path).validation
    file = validation.samples.samples.files[validation.chosen[2]]
    write_chip(file, np.full((16, 16), np.nan))
    options = ["data=mstar", "data.path=.", "data.crop=16", "model=cnn", "model.channels=[2]"]
    assert main([*options, "batch_size=24", "max_steps=2", "lr_octave=0,1", "-m"]) == 2
    printed = capsys.readouterr().err
    assert "cvtrain: data: sample 2: " in printed
    assert "it holds NaN or infinity" in printed
    assert "refuses to be stacked" not in printed
