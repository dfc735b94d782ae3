"""SAMPLE's MAT-files: twins stay together, and an incomplete download is never taken for data."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torchcvnn.datasets import SAMPLE
from torchcvnn.datasets.sample.filelist import filelist

from cvtrain.data.sample import sample
from tests.data.on_disk import everything
from tests.data.on_disk import read as read_copy
from tests.data.published_files import VEHICLES, mat_name, write_mat, write_sample


def read(path, **arguments):
    return read_copy(sample, path, **arguments)


def in_order(images):
    return sorted(images, key=lambda image: image[0, 0].real)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """All 1984 files that torchcvnn lists: links to one image of each class."""
    top = tmp_path_factory.mktemp("complete")
    for number, name in enumerate(VEHICLES):
        first = None
        for kind in ("real", "synth"):
            for file in set(filelist[kind][name]):
                if first is None:
                    first = top / name / file
                    write_mat(first, np.full((8, 8), 1 + number * 1j))
                else:
                    os.link(first, top / name / file)
    return top


@pytest.mark.parametrize("cloned", [True, False])
def test_every_image_is_there_once_with_its_class_up_to_one_factor(tmp_path, cloned):
    written = write_sample(tmp_path, cloned=cloned)
    dataset = read(tmp_path)
    assert (dataset.class_names, dataset.input_shape) == (VEHICLES, (1, 8, 8))
    inputs, labels = everything(dataset)
    for label, name in enumerate(VEHICLES):
        pixels = (inputs[labels == label, 0] * dataset.train.samples.divisor).numpy()
        np.testing.assert_allclose(in_order(pixels), in_order(written[name]), rtol=1e-14)


def test_the_complete_set_is_what_torchcvnns_reader_has(complete, capsys):
    theirs = SAMPLE(str(complete))
    capsys.readouterr()
    dataset = read(complete, complete=True)
    assert capsys.readouterr() == ("", "")
    assert tuple(theirs.class_names) == dataset.class_names
    _, labels = everything(dataset)
    files = [theirs.num_data_files[name] for name in VEHICLES]
    assert torch.bincount(labels).tolist() == files
    image, label, _ = theirs[files[0]]
    ours = dataset.train.samples.samples
    (number,) = np.flatnonzero(np.array(ours.labels) == label)[:1]
    np.testing.assert_array_equal(ours[number][0][0], image[..., 0])


def test_an_incomplete_download_is_told_with_what_is_missing(complete):
    gone = complete / "m60" / filelist["synth"]["m60"][0]
    content = gone.read_bytes()
    gone.unlink()
    try:
        with pytest.raises(ValueError) as refused:
            read(complete, complete=True)
        assert len(everything(read(complete))[1]) == 1983
    finally:
        gone.write_bytes(content)
    assert str(refused.value) == (
        f"path={complete}: lacks 1 of 1984 files, e.g. m60/{gone.name};"
        " data.complete=false reads the others"
    )


def test_a_view_and_its_twin_are_in_one_split(tmp_path):
    write_sample(tmp_path)
    for seed in range(3):
        dataset = read(tmp_path, seed=seed)
        files = dataset.train.samples.samples.files
        views = [
            {files[number].name.replace("synth", "real") for number in split.chosen}
            for split in (dataset.train, dataset.validation, dataset.test)
        ]
        assert [len(of_split) for of_split in views] == [30, 10, 10]
        assert len(set.union(*views)) == 50


def test_compressed_files_are_read_too(tmp_path):
    for name in VEHICLES[:2]:
        for number in range(5):
            file = tmp_path / name / mat_name(name, "real", number)
            write_mat(file, np.full((8, 8), 2j), do_compression=True)
    assert (everything(read(tmp_path))[0] == 1j).all()


def test_one_class_is_none(tmp_path):
    write_mat(tmp_path / "t72" / mat_name("t72", "real", 0), np.ones((8, 8), complex))
    with pytest.raises(ValueError, match="the files of fewer than two classes; it should be the"):
        read(tmp_path)


def test_too_few_images_are_told(tmp_path):
    for name in VEHICLES[:2]:
        write_mat(tmp_path / name / mat_name(name, "real", 0), np.ones((8, 8), complex))
    with pytest.raises(
        ValueError, match="none of 2 images is for validation: a class is too small"
    ):
        read(tmp_path)
