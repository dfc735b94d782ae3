"""MSTAR's files: what is read is what was written, and what is no chip is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchcvnn.datasets import MSTARTargets

from cvtrain.data.mstar import mstar
from tests.data.on_disk import everything
from tests.data.on_disk import read as read_copy
from tests.data.published_files import CHIPS, MIXED, write_chip, write_mstar

NAMES = ("2S1", "BMP2", "T72", "ZSU_23_4")


@pytest.fixture
def written(tmp_path):
    return write_mstar(tmp_path)


def read(path, **arguments):
    return read_copy(mstar, path, **arguments)


def test_torchcvnns_reader_sees_what_was_written(tmp_path, written):
    theirs = MSTARTargets(str(tmp_path))
    assert sorted(theirs.class_names) == sorted(NAMES)
    for name, files in theirs.data_files.items():
        chips = {int(file.stem.removeprefix("HB")): file for file in files}
        assert len(chips) == len(files) == len(written[name])
    seen = [(theirs.class_names[label], chip[..., 0]) for chip, label in theirs]
    for name in NAMES:
        chips_of_class = sorted(
            (chip for of, chip in seen if of == name), key=lambda chip: chip[0, 0].real
        )
        expected = sorted(written[name], key=lambda chip: chip[0, 0].real)
        np.testing.assert_allclose(chips_of_class, expected, rtol=0, atol=3e-6)


def test_every_chip_is_there_once_with_its_class_up_to_one_factor(tmp_path, written):
    dataset = read(tmp_path)
    assert (dataset.class_names, dataset.out_features) == (NAMES, 4)
    assert dataset.input_shape == (1, 16, 16)
    inputs, labels = everything(dataset)
    rms = dataset.train.samples.divisor
    for label, name in enumerate(NAMES):
        chips_read = sorted((inputs[labels == label, 0] * rms).numpy(), key=lambda x: x[0, 0].real)
        expected = sorted(written[name], key=lambda x: x[0, 0].real)
        np.testing.assert_allclose(chips_read, expected, rtol=0, atol=3e-6)


def test_every_class_is_split_sixty_twenty_and_twenty(tmp_path, written):
    dataset = read(tmp_path)
    for split, share in ((dataset.train, 6), (dataset.validation, 2), (dataset.test, 2)):
        labels = split.take(torch.arange(len(split))).targets
        assert torch.bincount(labels).tolist() == [share] * 4


def test_chips_of_any_size_get_one_about_their_centre(tmp_path):
    for number, size in enumerate([5, 6, 8, 11] * 3):
        chip = np.zeros((size, size + 1), complex)
        chip[size // 2, (size + 1) // 2] = 2j
        for name in ("D7", "T62"):
            write_chip(tmp_path / MIXED / name / f"HB{number:05d}.000", chip, TargetType=name)
    inputs, _ = everything(read(tmp_path, crop=8, amplitude="linear"))
    expected = torch.zeros(8, 8, dtype=torch.complex128)
    expected[4, 4] = 8j  # a root mean square of 2/8
    torch.testing.assert_close(inputs, expected.expand_as(inputs), rtol=0, atol=1e-6)


def test_resizing_keeps_a_constant(tmp_path):
    for number in range(6):
        for name in ("D7", "T62"):
            file = tmp_path / MIXED / name / f"HB{number:05d}.000"
            write_chip(file, np.full((8, 8), 3 - 4j), TargetType=name)
    inputs, _ = everything(read(tmp_path, crop=8, size=6))
    expected = torch.full((6, 6), 0.6 - 0.8j, dtype=torch.complex128).expand_as(inputs)
    torch.testing.assert_close(inputs, expected, rtol=0, atol=3e-6)


def test_what_is_no_chip_by_its_name_is_passed_over(tmp_path, written):
    beside = tmp_path / CHIPS / "TARGETS/TRAIN/17_DEG/T72/SN_132"
    for name in ("HB00000.JPG", "HB.html", "README"):
        (beside / name).write_text("a picture of a tank")
    assert len(everything(read(tmp_path))[1]) == 40


@pytest.mark.parametrize("layout", ["17_DEG", "17_DEG/COL1/SCENE1", ""])
def test_folders_without_a_class_are_told_how_they_should_look(tmp_path, written, layout):
    file = tmp_path / MIXED / layout / "HB00000.017"
    write_chip(file, np.ones((16, 16)))
    with pytest.raises(
        ValueError, match=r"no folder names its class; below .*17_DEG/COL1"
    ) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{file}: ")


def test_a_chip_that_lies_in_two_folders_is_named(tmp_path, written):
    file = tmp_path / MIXED / "15_DEG/COL1/SCENE1/ZSU_23_4/HB00003.015"
    copy = tmp_path / MIXED / "15_DEG/COL2/SCENE1/BRDM_2" / file.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"it is the same chip as .*; remove one of them"):
        read(tmp_path)
    write_chip(copy, np.ones((16, 16)))  # of the same name alone, as in the collections
    assert "BRDM_2" in read(tmp_path).class_names


def test_one_class_is_none(tmp_path):
    write_chip(tmp_path / MIXED / "T62/HB00000.000", np.ones((4, 4)))
    with pytest.raises(ValueError, match="holds one class alone, T62; it should hold one or more"):
        read(tmp_path)


def test_a_folder_without_the_collections_is_told_how_it_should_look(tmp_path):
    with pytest.raises(ValueError, match=r"holds no file HB.*MSTAR_PUBLIC_T_72_VARIANTS_CD1.*SDMS"):
        read(tmp_path)
