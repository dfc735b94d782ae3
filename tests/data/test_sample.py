"""SAMPLE's MAT-files: twins stay together, and an incomplete download is never taken for data."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchcvnn.datasets import SAMPLE
from torchcvnn.datasets.sample.filelist import filelist

from cvtrain.data.sample import sample
from tests.data.formats.sample import CLASSES, file_name, write_image, write_sample
from tests.data.on_disk import everything, trained_by_both_engines

DAMAGED = ("real", "m60", file_name("m60", "real", 3))


def read(path, **arguments):
    given = {"path": str(path), "complete": False, "crop": 8, "dtype": torch.complex128}
    return sample(**given | arguments)


def in_order(images):
    return sorted(images, key=lambda image: image[0, 0].real)


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """All 1984 files that torchcvnn lists: links to one image of each class."""
    top = tmp_path_factory.mktemp("complete")
    for number, name in enumerate(CLASSES):
        first = None
        for kind in ("real", "synth"):
            for file in set(filelist[kind][name]):
                if first is None:
                    first = top / name / file
                    write_image(first, np.full((8, 8), 1 + number * 1j))
                else:
                    os.link(first, top / name / file)
    return top


@pytest.mark.parametrize("cloned", [True, False])
def test_every_image_is_there_once_with_its_class_up_to_one_factor(tmp_path, cloned):
    written = write_sample(tmp_path, cloned=cloned)
    dataset = read(tmp_path)
    assert (dataset.class_names, dataset.input_shape) == (CLASSES, (1, 8, 8))
    inputs, labels = everything(dataset)
    for label, name in enumerate(CLASSES):
        found = (inputs[labels == label, 0] * dataset.train.samples.divisor).numpy()
        np.testing.assert_allclose(in_order(found), in_order(written[name]), rtol=1e-14)


def test_the_complete_set_is_what_torchcvnns_reader_has(complete, capsys):
    theirs = SAMPLE(str(complete))
    capsys.readouterr()
    dataset = read(complete, complete=True)
    assert capsys.readouterr() == ("", "")
    assert tuple(theirs.class_names) == dataset.class_names
    _, labels = everything(dataset)
    files = [theirs.num_data_files[name] for name in CLASSES]
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
        f"path={complete} lacks 1 of 1984 files, e.g. m60/{gone.name};"
        " data.complete=false takes what is there"
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
    for name in CLASSES[:2]:
        for number in range(5):
            file = tmp_path / name / file_name(name, "real", number)
            write_image(file, np.full((8, 8), 2j), do_compression=True)
    assert (everything(read(tmp_path))[0] == 1j).all()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda file: file.write_bytes(b"<html>404: Not Found</html>" * 9), "it is no MAT-file"),
        (lambda file: file.write_bytes(b""), "it is no MAT-file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "it is cut short"),
        (lambda file: file.write_bytes(file.read_bytes()[:128]), "it is cut short"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\0"), "it is cut short"),
    ],
)
def test_a_damaged_file_is_named_before_training(tmp_path, damage, told):
    write_sample(tmp_path)
    file = tmp_path.joinpath(*DAMAGED)
    damage(file)
    with pytest.raises(ValueError, match=told) as refused:
        read(tmp_path)
    assert str(refused.value).startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"image": np.ones((8, 8))}, "it has no complex_img"),
        ({"complex_img": np.ones((8, 8))}, "it holds float64, not complex numbers"),
        ({"complex_img": np.array([["tank"]], object)}, "it holds object, not complex numbers"),
        ({"complex_img": np.ones((8, 8, 2), complex)}, "should be [H, W], not [8, 8, 2]"),
        ({"complex_img": np.ones((0, 8), complex)}, "should be [H, W], not [0, 8]"),
        ({"complex_img": np.full((8, 8), np.inf + 0j)}, "it holds NaN or infinity"),
    ],
)
def test_a_file_without_an_image_is_named_when_it_is_read(tmp_path, content, told):
    write_sample(tmp_path)
    dataset = read(tmp_path)
    files = dataset.train.samples.samples.files
    file = files[dataset.train.chosen[7]]
    savemat(file, content)
    with pytest.raises(ValueError) as refused:
        dataset.train.take(torch.tensor([7]))
    assert str(refused.value).startswith(f"sample 7: {file}: ")
    assert told in str(refused.value)


def test_one_class_is_none(tmp_path):
    write_image(tmp_path / "t72" / file_name("t72", "real", 0), np.ones((8, 8), complex))
    with pytest.raises(ValueError, match="the files of fewer than two classes; it should be the"):
        read(tmp_path)


def test_too_few_images_are_told(tmp_path):
    for name in CLASSES[:2]:
        write_image(tmp_path / name / file_name(name, "real", 0), np.ones((8, 8), complex))
    with pytest.raises(
        ValueError, match="none of 2 images is for validation: a class is too small"
    ):
        read(tmp_path)


def test_both_engines_train_on_it_to_the_same_weights(tmp_path):
    write_sample(tmp_path / "data", views=4)
    trained_by_both_engines(
        tmp_path,
        "data=sample",
        f"data.path={tmp_path / 'data'}",
        "data.complete=false",
        "data.crop=8",
        "model=cnn",
        "model.channels=[2,3]",
        "model.hidden=4",
    )
