"""PolSF's scene: patches, labels and blocks, and what is told of a wrong file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchcvnn.datasets import PolSFDataset

from cvtrain.data.dataset import IGNORED
from cvtrain.data.polsf import LABELS, VOLUME, polsf
from tests.data.formats.alos2 import leader, trailer, volume, write_image, write_polsf
from tests.data.on_disk import trained_by_both_engines

SHAPE, CORNER = (96, 64), (64, 32)
"""The labelled area: six blocks of 32 × 32, four patches of 16 × 16 in each."""

HH = VOLUME.replace("VOL-", "IMG-HH-")
VH = VOLUME.replace("VOL-", "IMG-VH-")
LEADER = VOLUME.replace("VOL-", "LED-")
TRAILER = VOLUME.replace("VOL-", "TRL-")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    top = tmp_path_factory.mktemp("scene")
    return top, *write_polsf(top, SHAPE, CORNER, calibration=26.0)


@pytest.fixture
def copied(tmp_path):
    write_polsf(tmp_path, SHAPE, CORNER)
    return tmp_path


def read(path, **arguments):
    given = {"path": str(path), "patch_size": 16, "block_size": 32, "dtype": torch.complex128}
    return polsf(**given | arguments)


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
    place = 2 * theirs.alos_dataset.nsamples_per_cols + 1
    image, seen = theirs[place]
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
            there = np.stack(expected)[:, row : row + 16, column : column + 16]
            np.testing.assert_allclose(image * factor, there, rtol=1e-6)
            of_patch = labels[row : row + 16, column : column + 16]
            np.testing.assert_array_equal(label, np.where(of_patch == 0, IGNORED, of_patch - 1))


def test_every_labelled_patch_is_in_one_split_and_blocks_are_whole(scene):
    dataset = read(scene[0])
    blocks = [{(r // 32, c // 32) for r, c in placed(split)[0]} for split in splits(dataset)]
    assert [len(split) for split in splits(dataset)] == [16, 4, 4]
    assert [len(of_split) for of_split in blocks] == [4, 1, 1]
    assert len(set.union(*blocks)) == 6


@pytest.mark.parametrize("stride", [5, 8, 16, 24])
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


def test_the_seed_deals_the_blocks(scene):
    chosen = [read(scene[0], seed=seed).train.chosen for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_copy_in_another_process_reads_the_same(scene):
    train = read(scene[0]).train
    sent = pickle.dumps(train)
    assert len(sent) < 10_000  # not the labels of the scene
    assert torch.equal(
        pickle.loads(sent).take(torch.arange(3)).inputs, train.take(torch.arange(3)).inputs
    )


def rewritten(name, content):
    return lambda top: (top / name).write_bytes(content)


def picture(array):
    return lambda top: Image.fromarray(array).save(top / LABELS)


def cut(top):
    with (top / VH).open("r+b") as stream:
        stream.truncate((top / VH).stat().st_size - 1)


WRONG_LABEL = np.full((5056, 2784), 7, np.uint8)
ONE_CLASS = np.full((5056, 2784), 3, np.uint8)


@pytest.mark.parametrize(
    ("damage", "named", "told"),
    [
        (lambda top: (top / VOLUME).unlink(), VOLUME, "it is missing; it should hold VOL-ALOS2"),
        (lambda top: (top / LEADER).unlink(), LEADER, "it is missing"),
        (lambda top: (top / VH).unlink(), VH, "it is missing"),
        (lambda top: (top / LABELS).unlink(), LABELS, "PolSF by X. Liu"),
        (rewritten(VOLUME, b"<html>"), VOLUME, "not of the format that it should be"),
        (rewritten(VOLUME, volume(images=3)), VOLUME, "it tells of 3 images, not 4"),
        (rewritten(LEADER, leader("a lot")), LEADER, "a lot"),
        (rewritten(LEADER, leader("nan")), LEADER, "its calibration factor is no number"),
        (rewritten(LEADER, leader(26.0)[:9000]), LEADER, "could not convert string to float"),
        (
            rewritten(TRAILER, trailer(999999, 999999, held=80)),
            TRAILER,
            "it is cut short: 800 bytes",
        ),
        (rewritten(VH, b""), VH, "not of the format that it should be"),
        (cut, VH, "it is cut short"),
        (rewritten(LABELS, b"GIF89a"), LABELS, "cannot identify image file"),
        (picture(np.zeros((3, 4), np.uint8)), LABELS, "it has 3 × 4 pixels, not (5056, 2784)"),
        (picture(np.zeros((5056, 2784, 3), np.uint8)), LABELS, "it should have one channel"),
        (picture(WRONG_LABEL), LABELS, "labels reach 7, allowed are 0 to 6"),
        (picture(ONE_CLASS), LABELS, "its labels are of fewer than two classes"),
    ],
)
def test_a_damaged_file_is_named_before_training(copied, damage, named, told):
    damage(copied)
    with pytest.raises(ValueError) as refused:
        read(copied)
    assert str(refused.value).startswith(f"{copied / named}: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_scene_that_is_too_small_is_refused(copied, monkeypatch):
    monkeypatch.setattr("tests.data.formats.alos2.PART", ((0, 0), (50, 60)))
    write_image(copied / VH, np.ones((4, 4)), (0, 0))
    with pytest.raises(
        ValueError, match=r"IMG-VH-.*: it has 50 × 60 pixels, at least \(7888, 3520\)"
    ):
        read(copied)


def nan(stream, row, column):
    stream.seek(720 + row * (544 + 8 * 3520) + 544 + 8 * column)
    stream.write(np.full(2, np.nan, ">f4").tobytes())


def no_record(stream, row, column):
    stream.seek(720 + row * (544 + 8 * 3520) + 5)
    stream.write(b"\0")


@pytest.mark.parametrize(
    ("damage", "told"),
    [(nan, "it holds NaN or infinity"), (no_record, "not of the format that it should be")],
)
def test_a_patch_that_cannot_be_read_is_told_with_its_file(copied, damage, told):
    dataset = read(copied)
    row, column = dataset.train.samples.samples.corner(dataset.train.chosen[3])
    with (copied / VH).open("r+b") as stream:
        damage(stream, 2832 + row + 7, 736 + column + 9)
    with pytest.raises(ValueError) as refused:
        dataset.train.take(torch.tensor([3]))
    assert str(refused.value).startswith(f"sample 3: {copied / VH}: {told}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"channels": 5}, "channels must be an integer from 1 to 4, not 5"),
        ({"patch_size": 2785}, "patch_size must be an integer from 1 to 2784"),
        ({"patch_stride": 0}, "patch_stride must be an integer of at least 1"),
        ({"block_size": 15}, "block_size must be an integer of at least 16"),
        ({"block_size": 512}, "1 blocks of 512×512 with labels: at least 3 are needed"),
        ({"patch_stride": 1000}, "no patch is left for training"),
    ],
)
def test_wrong_arguments_are_named(scene, arguments, told):
    with pytest.raises(ValueError, match=told):
        read(scene[0], **arguments)


def test_both_engines_train_on_it_to_the_same_weights(scene, tmp_path):
    trained_by_both_engines(
        tmp_path,
        "data=polsf",
        f"data.path={scene[0]}",
        "data.patch_size=16",
        "data.block_size=32",
        "model=unet",
        "model.channels=[2,3]",
    )
