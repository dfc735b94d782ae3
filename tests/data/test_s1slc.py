"""S1SLC_CVDL's arrays: mapped, never copied whole, and told where they are not what they should."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from torchcvnn.datasets import S1SLC

from cvtrain.data.s1slc import s1slc
from tests.data.formats.s1slc import CITIES, write_s1slc
from tests.data.on_disk import everything, trained_by_both_engines


@pytest.fixture
def written(tmp_path):
    return write_s1slc(tmp_path)


def read(path, **arguments):
    return s1slc(**{"path": str(path), "dtype": torch.complex128} | arguments)


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
    found, _ = everything(read(tmp_path, amplitude="log"))
    decades = torch.log10(linear.abs().clip(0.02, 40) / 0.02) / np.log10(40 / 0.02)
    torch.testing.assert_close(found.abs(), decades, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(found.angle()[decades > 0], linear.angle()[decades > 0])


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
    each = 20_000
    (tmp_path / "Houston").mkdir()
    for name in ("HH", "HV"):
        hollow(tmp_path / "Houston" / f"{name}.npy", (each, 32, 32))
        array = np.load(tmp_path / "Houston" / f"{name}.npy", mmap_mode="r+")
        array[:100] = 1j
        array.flush()
    np.save(tmp_path / "Houston" / "Labels.npy", 1 + np.arange(each) % 7)
    torch.empty(1).abs()
    tracemalloc.start()
    dataset = read(tmp_path, dtype=torch.complex64)
    for batch in dataset.train.batches(torch.arange(640).split(64)):
        assert batch.inputs.shape == (64, 2, 32, 32)
    sent = len(pickle.dumps(dataset.train))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = 2 * each * 32 * 32 * 8
    assert whole > 300e6
    assert peak < 10e6
    assert sent < 1e6


def test_a_copy_in_another_process_reads_the_same(tmp_path, written):
    train = read(tmp_path).train
    there = pickle.loads(pickle.dumps(train))
    assert torch.equal(there.take(torch.arange(9)).inputs, train.take(torch.arange(9)).inputs)
    with_workers = read(tmp_path, workers=2).train
    batches = list(with_workers.batches(torch.arange(9).split(3)))
    assert torch.equal(torch.cat([b.inputs for b in batches]), train.take(torch.arange(9)).inputs)


def labels(values):
    return lambda file: np.save(file.with_name("Labels.npy"), np.array(values))


@pytest.mark.parametrize(
    ("damage", "named", "told"),
    [
        (lambda file: file.unlink(), "HV.npy", "it is missing; it should hold a folder for each"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "HV.npy", "mmap length is greater"),
        (lambda file: file.write_bytes(b""), "HV.npy", "it is no .npy file"),
        (lambda file: file.write_bytes(pickle.dumps(print)), "HV.npy", "it is no .npy file"),
        (
            lambda file: np.save(file, np.array([print]), allow_pickle=True),
            "HV.npy",
            "Python objects",
        ),
        (lambda file: np.save(file, np.ones((21, 8, 8))), "HV.npy", "not float64 of [21, 8, 8]"),
        (lambda file: np.save(file, np.ones((20, 8, 8), complex)), "HV.npy", "of shape [21, H, W]"),
        (lambda file: np.save(file, np.ones((21, 8), complex)), "HV.npy", "of [21, 8]"),
        (labels([0] * 21), "Labels.npy", "labels span 0 to 0, allowed are 1 to 7"),
        (labels([8] * 21), "Labels.npy", "labels span 8 to 8, allowed are 1 to 7"),
        (labels([1.5] * 21), "Labels.npy", "whole numbers"),
        (labels([np.nan] * 21), "Labels.npy", "whole numbers"),
        (labels([]), "Labels.npy", "N at least 1"),
        (labels(["water"] * 21), "Labels.npy", "it should hold N labels, not <U5"),
        (labels([[1, 2]] * 21), "Labels.npy", "it should hold N labels, not int64 of [21, 2]"),
    ],
)
def test_a_damaged_file_is_named_before_training(tmp_path, written, damage, named, told):
    file = tmp_path / "Houston" / "HV.npy"
    damage(file)
    with pytest.raises(ValueError) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{file.with_name(named)}: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_patch_with_a_number_that_is_none_is_named_when_it_is_read(tmp_path, written):
    dataset = read(tmp_path)
    place = sorted(CITIES).index("Houston") * 21
    number = next(
        n for n, chosen in enumerate(dataset.train.chosen) if place <= chosen < place + 21
    )
    array = np.load(tmp_path / "Houston" / "HV.npy", mmap_mode="r+")
    array[dataset.train.chosen[number] - place, 3, 4] = np.nan
    array.flush()
    with pytest.raises(ValueError) as refused:
        dataset.train.take(torch.tensor([number]))
    file = tmp_path / "Houston" / "HV.npy"
    assert str(refused.value) == f"sample {number}: {file}: it holds NaN or infinity"


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
    with pytest.raises(ValueError, match="patches of different sizes, 4×4 and 8×8"):
        read(tmp_path)


def test_one_class_is_none(tmp_path, written):
    for city in CITIES:
        np.save(tmp_path / city / "Labels.npy", np.full(21, 3))
    with pytest.raises(ValueError, match="holds one class alone"):
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


def test_both_engines_train_on_it_to_the_same_weights(tmp_path):
    write_s1slc(tmp_path / "data")
    trained_by_both_engines(
        tmp_path,
        "data=s1slc",
        f"data.path={tmp_path / 'data'}",
        "model=cnn",
        "model.channels=[2,3]",
        "model.hidden=4",
    )
