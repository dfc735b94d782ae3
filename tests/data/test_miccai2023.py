"""CMRxRecon's k-space: pairs of images of one scale, patients in one split, one frame at a time."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest
import torch
from torchcvnn.datasets.miccai2023 import MICCAI2023, AccFactor, CINEView

from cvtrain.data.miccai2023 import TRAINING_SET, miccai2023
from tests.data.on_disk import read as read_copy
from tests.data.published_files import write_miccai2023

FULL = TRAINING_SET / "P002" / "cine_sax.mat"
SUB = TRAINING_SET / "AccFactor04" / "P002" / "cine_sax.mat"


@pytest.fixture
def written(tmp_path):
    return write_miccai2023(tmp_path)


def read(path, **arguments):
    return read_copy(miccai2023, path, **arguments)


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def patients_of(split):
    """The patient of each sample."""
    frames = split.samples
    names = [p.full.parent.name for p in frames.patients for _ in range(len(p))]
    return [names[number] for number in split.chosen]


def image_of(kspace):
    """The definition, by sums: x[r, c] = Σ k[u, v] e^{2πi(ur/R + vc/C)} / RC, centred."""

    def matrix(size):
        centred = np.arange(size) - size // 2
        return np.exp(2j * np.pi * np.outer(centred, centred) / size) / size

    return matrix(kspace.shape[-2]) @ kspace @ matrix(kspace.shape[-1]).T


def central(image, size=8):
    """The central square, with zeros around where the image is smaller."""
    image_sum = np.zeros((*image.shape[:-2], size, size), complex)
    rows, columns = image.shape[-2:]
    for row in range(size):
        for column in range(size):
            r, c = row - size // 2 + rows // 2, column - size // 2 + columns // 2
            if 0 <= r < rows and 0 <= c < columns:
                image_sum[..., row, column] = image[..., r, c]
    return image_sum


@pytest.mark.parametrize(("view", "acceleration"), [("sax", 4), ("lax", 8), ("sax", 10)])
def test_torchcvnns_reader_sees_what_was_written(tmp_path, view, acceleration):
    written = write_miccai2023(tmp_path, view=view, acceleration=acceleration)
    theirs = MICCAI2023(str(tmp_path), CINEView[view.upper()], AccFactor(acceleration))
    assert len(theirs) == len(written)
    for patient, (sub, mask, full) in zip(theirs.patients, theirs, strict=True):
        for array, expected in zip((sub, full), written[patient.name], strict=True):
            np.testing.assert_array_equal(array.transpose(4, 3, 2, 0, 1), expected)
        np.testing.assert_array_equal(sub == full, np.broadcast_to(mask.T == 1, full.T.shape).T)


@pytest.mark.parametrize(("view", "acceleration"), [("sax", 4), ("lax", 8), ("sax", 10)])
def test_every_frame_is_a_pair_of_images_in_units_of_the_inputs_rms(tmp_path, view, acceleration):
    written = write_miccai2023(tmp_path, view=view, acceleration=acceleration)
    dataset = read(tmp_path, view=view, acceleration=acceleration)
    assert (dataset.task, dataset.out_features) == ("regression", 2)
    assert (dataset.input_shape, dataset.positions) == ((2, 8, 8), (8, 8))
    for split in splits(dataset):
        taken = split.take(torch.arange(len(split)))
        expected = {
            name: [central(image_of(k.reshape(-1, *k.shape[2:]))) for k in written[name]]
            for name in patients_of(split)
        }
        frame = dict.fromkeys(expected, 0)
        for name, x, y in zip(patients_of(split), taken.inputs, taken.targets, strict=True):
            sub, full = (images[frame[name]] for images in expected[name])
            frame[name] += 1
            rms = np.sqrt(np.mean(np.abs(sub) ** 2))
            np.testing.assert_allclose(x, sub / rms, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(y, full / rms, rtol=1e-5, atol=1e-6)
        assert set(frame.values()) == {6}


def test_a_patient_is_in_one_split(tmp_path, written):
    for seed in range(3):
        patients = [set(patients_of(split)) for split in splits(read(tmp_path, seed=seed))]
        assert [len(of_split) for of_split in patients] == [3, 1, 1]
        assert len(set.union(*patients)) == 5
        assert [len(split) for split in splits(read(tmp_path, seed=seed))] == [18, 6, 6]


def test_the_first_coils_are_taken(tmp_path, written):
    few, all_ = read(tmp_path, coils=1), read(tmp_path)
    assert (few.out_features, few.input_shape) == (1, (1, 8, 8))
    one, both = (of.train.take(torch.arange(2)) for of in (few, all_))
    ratio = one.inputs[:, 0] / both.inputs[:, 0]  # the scales differ
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-9, atol=1e-9)


def test_of_a_file_one_frame_is_read(tmp_path):
    write_miccai2023(tmp_path, patients=3, sizes=((8, 8),))
    shape = (40, 10, 2, 64, 64)
    pairs = np.dtype([("real", "<f4"), ("imag", "<f4")])
    one = np.array((1, 1), pairs)[()]
    for file, key in ((FULL, "kspace_full"), (SUB, "kspace_sub04")):
        with h5py.File(tmp_path / file, "w") as stored:
            stored.create_dataset(key, shape, pairs, chunks=(1, 1, *shape[2:]), fillvalue=one)
    read(tmp_path)  # imports
    tracemalloc.start()
    dataset = read(tmp_path)
    for split in splits(dataset):
        split.take(torch.arange(0, len(split), 50))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(map(len, splits(dataset))) == 400 + 12
    assert np.prod(shape) * 8 > 25e6
    assert peak < 5e6


def test_a_patient_without_the_view_is_none_that_is_lost(tmp_path, written):
    (tmp_path / SUB).unlink()
    (tmp_path / FULL).unlink()
    dataset = read(tmp_path)
    assert "P002" not in {name for split in splits(dataset) for name in patients_of(split)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acceleration": 8}, "has no MultiCoil/cine/TrainingSet/AccFactor08; it should be the"),
        ({"view": "lax"}, "no patient has cine_lax.mat"),
        ({"coils": 3}, "P001/cine_sax.mat: it has 2 coils, should be 3"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, written, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **arguments)


def test_two_patients_are_too_few(tmp_path):
    write_miccai2023(tmp_path, patients=2)
    with pytest.raises(ValueError, match="2 patients: should be 3 or more"):
        read(tmp_path)
