"""S1SLC_CVDL's arrays: mapped, never copied whole, and named where they are wrong."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from torchcvnn.datasets import S1SLC

from cvtrain.data.s1slc import s1slc
from tests.data.on_disk import everything
from tests.data.on_disk import read as read_copy
from tests.data.published_files import CITIES, write_s1slc


@pytest.fixture
def written(tmp_path):
    return write_s1slc(tmp_path)


def read(path, **arguments):
    return read_copy(s1slc, path, **arguments)


def expected_of(written):
    """Patches [2, H, W] and classes in the order of the cities' names."""
    cities = [written[city] for city in sorted(CITIES)]
    images = np.concatenate([np.stack([city["HH"], city["HV"]], axis=1) for city in cities])
    return images, np.concatenate([city["Labels"].ravel() - 1 for city in cities])


def test_torchcvnns_reader_sees_what_was_written(tmp_path, written):
    theirs = [S1SLC(str(tmp_path))[number] for number in range(63)]
    images, labels = expected_of(written)
    order = np.argsort([image[0, 0, 0].real for image, _ in theirs])
    ours = np.argsort(images[:, 0, 0, 0].real)
    np.testing.assert_array_equal([theirs[number][0] for number in order], images[ours])
    np.testing.assert_array_equal([theirs[number][1] for number in order], labels[ours])


def test_every_patch_is_there_once_with_its_class_up_to_one_factor(tmp_path, written):
    dataset = read(tmp_path)
    assert (dataset.out_features, dataset.input_shape) == (7, (2, 8, 8))
    splits = [dataset.train, dataset.validation, dataset.test]
    chosen = np.concatenate([split.chosen for split in splits])
    assert sorted(chosen) == list(range(63))
    inputs, labels = everything(dataset)
    images, classes = expected_of(written)
    np.testing.assert_allclose(inputs * dataset.train.samples.divisor, images[chosen], rtol=1e-14)
    np.testing.assert_array_equal(labels, classes[chosen])
    assert inputs[: len(dataset.train)].abs().square().mean() == pytest.approx(1)


def test_log_amplitudes_are_in_decades_between_their_bounds_and_keep_the_phase(tmp_path, written):
    linear, _ = everything(read(tmp_path))
    samples, _ = everything(read(tmp_path, amplitude="log"))
    decades = torch.log10(linear.abs().clip(0.02, 40) / 0.02) / np.log10(40 / 0.02)
    torch.testing.assert_close(samples.abs(), decades, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(samples.angle()[decades > 0], linear.angle()[decades > 0])


def test_other_folders_are_passed_over(tmp_path, written):
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "readme.txt").write_text("S1SLC_CVDL")
    assert len(everything(read(tmp_path))[1]) == 63


def hollow(file, shape):
    """An array of zeros that takes no room on the disk."""
    with file.open("wb") as stream:
        header = {"descr": "<c8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 8 * int(np.prod(shape)))


def test_what_is_mapped_is_never_copied_whole(tmp_path):
    count = 20_000
    (tmp_path / "Houston").mkdir()
    for name in ("HH", "HV"):
        hollow(tmp_path / "Houston" / f"{name}.npy", (count, 32, 32))
        array = np.load(tmp_path / "Houston" / f"{name}.npy", mmap_mode="r+")
        array[:100] = 1j
        array.flush()
    np.save(tmp_path / "Houston" / "Labels.npy", 1 + np.arange(count) % 7)
    torch.empty(1).abs()
    tracemalloc.start()
    dataset = read(tmp_path, dtype=torch.complex64)
    for batch in dataset.train.batches(torch.arange(640).split(64)):
        assert batch.inputs.shape == (64, 2, 32, 32)
    sent = len(pickle.dumps(dataset.train))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = 2 * count * 32 * 32 * 8
    assert whole > 300e6
    assert peak < 10e6
    assert sent < 1e6


@pytest.mark.parametrize("largest", [1e60, 1e200])
def test_a_modulus_that_no_radar_measures_is_named(tmp_path, written, largest):
    for city in CITIES:
        np.save(tmp_path / city / "HV.npy", np.full((21, 8, 8), largest, complex))
    with pytest.raises(ValueError, match=r"HV\.npy: it holds a modulus of 1e\+\d+, more than any"):
        read(tmp_path)


def test_a_city_without_arrays_is_an_incomplete_download(tmp_path, written):
    for name in ("HH.npy", "HV.npy", "Labels.npy"):
        (tmp_path / "Chicago" / name).unlink()
    with pytest.raises(ValueError, match=r"Chicago/Labels\.npy: it is missing; it should hold"):
        read(tmp_path)


def test_patches_of_two_sizes_are_refused(tmp_path, written):
    for name in ("HH.npy", "HV.npy"):
        np.save(tmp_path / "Chicago" / name, np.ones((21, 4, 4), complex))
    with pytest.raises(ValueError, match="patches should be of one size, are 4×4 and 8×8"):
        read(tmp_path)


def test_one_class_is_none(tmp_path, written):
    for city in CITIES:
        np.save(tmp_path / city / "Labels.npy", np.full(21, 3))
    with pytest.raises(ValueError, match="holds one class, should be two"):
        read(tmp_path)


def test_zeros_throughout_are_refused(tmp_path):
    (tmp_path / "Houston").mkdir()
    for name in ("HH", "HV"):
        hollow(tmp_path / "Houston" / f"{name}.npy", (70, 4, 4))
    np.save(tmp_path / "Houston" / "Labels.npy", 1 + np.arange(70) % 7)
    with pytest.raises(ValueError, match="the training images are zero throughout"):
        read(tmp_path)


def test_a_folder_without_cities_is_told_how_it_should_look(tmp_path):
    with pytest.raises(ValueError, match=r"holds no such arrays; .* S1SLC_CVDL of IEEE DataPort"):
        read(tmp_path)
