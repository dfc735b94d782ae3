"""PolSF's scene: patches, labels and blocks, and what is told of a wrong file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchcvnn.datasets import PolSFDataset

from cvtrain.data.dataset import IGNORED
from cvtrain.data.polsf import polsf
from tests.data.alos2_files import write_polsf
from tests.data.on_disk import SCENE
from tests.data.on_disk import read as read_copy

SHAPE, CORNER = SCENE["shape"], SCENE["corner"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    top = tmp_path_factory.mktemp("scene")
    return top, *write_polsf(top, SHAPE, CORNER, calibration=26.0)


def read(path, **arguments):
    return read_copy(polsf, path, **arguments)


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def placed(split):
    """Patches' places in the area, and their samples."""
    patches = split.samples.samples
    corners = [patches.corner(patch) for patch in split.chosen]
    return [(row - CORNER[0], column - CORNER[1]) for row, column in corners], split.samples


def test_torchcvnns_reader_sees_what_was_written(scene):
    top, areas, labels = scene
    theirs = PolSFDataset(str(top), patch_size=SHAPE, patch_stride=(32, 32))
    offset = 2 * theirs.alos_dataset.nsamples_per_cols + 1
    image, seen = theirs[offset]
    np.testing.assert_allclose(image, areas * np.sqrt(10**-0.6), rtol=1e-7)
    np.testing.assert_array_equal(seen, labels)
    assert theirs.labels.sum() == labels.sum()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_patch_holds_its_part_of_the_scene_up_to_one_factor(scene, channels):
    top, (hh, hv, vh, vv), labels = scene
    expected = {1: [hh], 2: [hh, vv], 3: [hh, (hv + vh) / 2, vv], 4: [hh, hv, vh, vv]}[channels]
    dataset = read(top, channels=channels)
    assert (dataset.out_features, len(dataset.class_names)) == (6, 6)
    assert (dataset.input_shape, dataset.positions) == ((channels, 16, 16), (16, 16))
    factor = dataset.train.samples.divisor / np.sqrt(10**-0.6)
    for split in splits(dataset):
        places, _ = placed(split)
        taken = split.take(torch.arange(len(split)))
        for (row, column), image, label in zip(places, taken.inputs, taken.targets, strict=True):
            expected_patch = np.stack(expected)[:, row : row + 16, column : column + 16]
            np.testing.assert_allclose(image * factor, expected_patch, rtol=1e-6)
            of_patch = labels[row : row + 16, column : column + 16]
            np.testing.assert_array_equal(label, np.where(of_patch == 0, IGNORED, of_patch - 1))


def test_every_labelled_patch_is_in_one_split_and_blocks_are_whole(scene):
    dataset = read(scene[0])
    blocks = [{(r // 32, c // 32) for r, c in placed(split)[0]} for split in splits(dataset)]
    assert [len(split) for split in splits(dataset)] == [16, 4, 4]
    assert [len(of_split) for of_split in blocks] == [4, 1, 1]
    assert len(set.union(*blocks)) == 6


@pytest.mark.parametrize("stride", [9, 16, 24])
def test_no_pixel_is_in_two_splits_whatever_the_stride(scene, stride):
    seen = []
    for split in splits(read(scene[0], patch_stride=stride)):
        pixels = np.zeros(SHAPE, bool)
        for row, column in placed(split)[0]:
            assert 0 <= row <= SHAPE[0] - 16
            assert 0 <= column <= SHAPE[1] - 16
            pixels[row : row + 16, column : column + 16] = True
        seen.append(pixels)
    assert np.sum(seen, axis=0).max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block_size": 15}, "block_size=15: should be an integer of at least 16"),
        ({"block_size": 512}, "1 blocks of 512×512 with labels: should be 3 or more"),
        ({"patch_stride": 1000}, "no patch is left for training"),
    ],
)
def test_blocks_that_leave_a_split_without_patches_are_refused(scene, arguments, message):
    with pytest.raises(ValueError, match=message):
        read(scene[0], **arguments)
