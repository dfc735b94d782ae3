"""MNIST and Fashion-MNIST from their files: spectra, splits, what is refused, a training."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cvtrain
from cvtrain.data import idx_fft as shared
from cvtrain.data.fashion_fft import fashion_fft
from cvtrain.data.idx_fft import FASHION, interleaved
from cvtrain.data.mnist_fft import mnist_fft
from cvtrain.data.random import data_generator
from cvtrain.process.errors import InputError
from tests.data.idx_files import digits, idx, write, write_digits
from tests.models.member_networks import assert_engines_agree

GENERATORS = [mnist_fft, fashion_fft]
TRAIN = 700
TEST = 200
IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("mnist"), train=TRAIN))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)


def load(path, dtype=torch.complex128, generator=mnist_fft, **arguments):
    return generator(path=str(path), dtype=dtype, **{"validation_samples": 200} | arguments)


def splits(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def same(first, second):
    return torch.equal(first.inputs, second.inputs) and torch.equal(first.targets, second.targets)


def pixels(split):
    """Its images, up to one factor, and labels."""
    images = torch.fft.ifft2(split.inputs).real
    scaled = (images * (240 / images.max())).round().to(torch.uint8).numpy()
    return labelled(scaled, split.targets.tolist())


def labelled(images, labels):
    return {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}


def shares_kept(part, whole):
    """Of a class with share s, a split of n has n s to within 1 + 10 s."""
    share = torch.bincount(whole, minlength=10) / len(whole)
    of_each = torch.bincount(part, minlength=10)
    return bool(((of_each - share * len(part)).abs() <= 1 + 10 * share).all())


@pytest.mark.parametrize("generator", GENERATORS)
def test_inputs_are_numpys_spectra_over_the_rms_modulus_of_the_training_inputs(folder, generator):
    dataset = load(folder, generator=generator)
    images, labels = digits()
    spectra = np.fft.fft2(images[TRAIN:].astype(float))
    factor = np.abs(spectra).max() / dataset.test.inputs.abs().max().item()
    np.testing.assert_allclose(dataset.test.inputs * factor, spectra, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(dataset.test.targets, labels[TRAIN:])
    assert dataset.train.inputs.abs().square().mean().item() == pytest.approx(1, rel=1e-13)
    assert dataset.input_shape == (28, 28)
    assert dataset.out_features == 10
    assert dataset.class_names == (FASHION.class_names if generator is fashion_fft else ())


def test_the_splits_hold_every_image_with_its_label_once(folder):
    of_train, of_validation, of_test = map(pixels, splits(load(folder)))
    assert not of_train & of_validation
    images, labels = digits()
    assert of_train | of_validation == labelled(images[:TRAIN], labels[:TRAIN].tolist())
    assert of_test == labelled(images[TRAIN:], labels[TRAIN:].tolist())


def test_images_are_transformed_in_pieces_without_a_seam(folder, monkeypatch):
    whole = load(folder)
    monkeypatch.setattr(shared, "PIECE", 7)
    assert all(map(same, splits(load(folder)), splits(whole)))


def test_both_dtypes_see_the_same_data(folder):
    single, double = (load(folder, dtype) for dtype in (torch.complex64, torch.complex128))
    for s, d in zip(splits(single), splits(double), strict=True):
        assert (s.inputs.dtype, d.inputs.dtype) == (torch.complex64, torch.complex128)
        assert torch.equal(s.inputs, d.inputs.to(torch.complex64))
        assert torch.equal(s.targets, d.targets)


def test_packed_and_unpacked_files_are_the_same_data(folder, tmp_path):
    packed = load(write_digits(tmp_path, train=TRAIN, ending=".gz"))
    assert all(map(same, splits(packed), splits(load(folder))))


def test_the_seed_alone_draws_what_is_validation_and_not_what_is_test(folder):
    torch.manual_seed(0)
    first = load(folder, seed=1)
    torch.manual_seed(1)
    again, other = load(folder, seed=1), load(folder, seed=2)
    assert all(map(same, splits(first), splits(again)))
    assert not same(first.validation, other.validation)
    assert pixels(first.test) == pixels(other.test)
    assert torch.equal(first.test.targets, other.test.targets)
    fewer = [load(folder, seed=seed, test_samples=50).test for seed in (1, 2)]
    assert pixels(fewer[0]) != pixels(fewer[1])


def test_every_split_keeps_the_order_of_the_files(folder):
    images, _ = digits()
    for split in splits(load(folder, test_samples=50)):
        restored = torch.fft.ifft2(split.inputs).real.flatten(1)
        known = torch.from_numpy(images).double().flatten(1)
        places = torch.cdist(
            restored / restored.norm(dim=1, keepdim=True), known / known.norm(dim=1, keepdim=True)
        ).argmin(dim=1)
        assert (places.diff() > 0).all()


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"train_samples": 100, "test_samples": 60},
        {"train_samples": 500, "test_samples": TEST},
        {"validation_samples": TRAIN - 20, "train_samples": 20, "test_samples": 10},
    ],
)
def test_splits_have_the_sizes_asked_for_and_are_stratified(folder, sizes):
    dataset = load(folder, seed=3, **sizes)
    wanted = {"validation_samples": 200, "train_samples": 500, "test_samples": TEST} | sizes
    assert len(dataset.train) == wanted["train_samples"]
    assert len(dataset.validation) == wanted["validation_samples"]
    assert len(dataset.test) == wanted["test_samples"]
    labels = torch.from_numpy(digits()[1]).long()
    assert shares_kept(dataset.train.targets, labels[:TRAIN])
    assert shares_kept(dataset.validation.targets, labels[:TRAIN])
    assert shares_kept(dataset.test.targets, labels[TRAIN:])


def test_a_smaller_split_is_part_of_a_larger_one_and_moves_no_other(folder):
    small, large = load(folder, train_samples=30, test_samples=40), load(folder)
    assert pixels(small.train) < pixels(large.train)
    assert pixels(small.test) < pixels(large.test)
    assert torch.equal(small.validation.targets, large.validation.targets)
    assert pixels(small.validation) == pixels(large.validation)


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=10).filter(any),
    seed=st.integers(0, 99),
    cuts=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_every_part_of_an_interleaved_order_is_stratified(sizes, seed, cuts):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    order = interleaved(labels, data_generator(seed))
    assert sorted(order) == list(range(len(labels)))
    start, end = sorted(round(cut * len(labels)) for cut in cuts)
    share = np.array(sizes) / len(labels)
    of_each = np.bincount(labels[order[start:end]], minlength=len(sizes))
    assert (np.abs(of_each - share * (end - start)) <= 1 + len(sizes) * share + 1e-9).all()


def test_a_member_of_a_class_is_anywhere_among_its_places():
    labels = np.repeat(np.arange(2), 50)
    first = [interleaved(labels, data_generator(seed))[0] for seed in range(200)]
    assert len(set(first)) > 60  # 86 of 100 expected
    assert 60 < sum(index < 50 for index in first) < 140


BAD = {
    "seed": ({"seed": -1}, "seed=-1: should be greater than or equal to 0"),
    "dtype": ({"dtype": torch.float32}, "dtype=torch.float32: should be torch.complex64 or"),
    "no validation": ({"validation_samples": 0}, "validation_samples=0: should be greater than"),
    "all validation": (
        {"validation_samples": TRAIN},
        f"validation_samples={TRAIN}: should be an integer from 1 to {TRAIN - 1}",
    ),
    "no training": ({"train_samples": 0}, "train_samples=0: should be greater than or equal to 1"),
    "much training": (
        {"train_samples": 501},
        "train_samples=501: should be an integer from 1 to 5",
    ),
    "no test": ({"test_samples": 0}, "test_samples=0: should be greater than or equal to 1"),
    "much test": (
        {"test_samples": TEST + 1},
        f"test_samples={TEST + 1}: should be an integer from 1 to {TEST}",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_an_argument_out_of_range_is_a_line(folder, arguments, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        load(folder, **arguments)


@pytest.mark.parametrize("generator", GENERATORS)
def test_files_that_are_not_there_are_named_with_the_way_to_them(tmp_path, generator):
    source = {mnist_fft: "MNIST", fashion_fft: "Fashion-MNIST"}[generator]
    write_digits(tmp_path, train=TRAIN)
    (tmp_path / IMAGES).unlink()
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    message = (
        f"path={tmp_path}: there is no {IMAGES}, no t10k-labels-idx1-ubyte, with or without .gz;"
        f" data.download=true fetches {source} from http"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        load(tmp_path, generator=generator)
    assert len(list(tmp_path.iterdir())) == 2


def without_training_files(folder):
    write_digits(folder, train=TRAIN)
    for name in (IMAGES, LABELS):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_test_files_alone_make_three_splits_without_a_common_image(tmp_path, generator):
    folder = without_training_files(tmp_path)
    alone = {"generator": generator, "files": "test", "validation_samples": 50}
    whole = load(folder, **alone)
    assert [len(split) for split in splits(whole)] == [TEST - 50 - TEST // 5, 50, TEST // 5]
    images, labels = (array[TRAIN:] for array in digits())
    assert set.union(*map(pixels, splits(whole))) == labelled(images, labels.tolist())
    fewer = load(folder, **alone, train_samples=20, test_samples=30)
    assert [len(split) for split in splits(fewer)] == [20, 50, 30]
    assert np.bincount(fewer.validation.targets, minlength=10).min() >= 3
    most = f"train_samples={TEST - 79}: should be an integer from 1 to {TEST - 80}"
    with pytest.raises(ValueError, match=re.escape(most)):
        load(folder, **alone, train_samples=TEST - 79, test_samples=30)
    no_room = f"test_samples={TEST - 50}: should be an integer from 1 to {TEST - 51}"
    with pytest.raises(ValueError, match=re.escape(no_room)):
        load(folder, **alone, test_samples=TEST - 50)


def test_who_has_the_test_files_alone_is_told_of_them(tmp_path):
    folder = without_training_files(tmp_path)
    with pytest.raises(ValueError, match=r"by hand; data\.files=test draws all splits"):
        load(folder)


REAL = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.mark.skipif(not REAL.is_dir(), reason="MNIST's test files are not beside the repository")
def test_the_test_files_of_mnist_are_divided():
    dataset = load(REAL, files="test", validation_samples=200, test_samples=500)
    assert [len(split) for split in splits(dataset)] == [9300, 200, 500]


@pytest.mark.parametrize("generator", GENERATORS)
def test_download_asks_for_what_is_missing_before_it_is_looked_for(
    tmp_path, monkeypatch, generator
):
    def fetched(folder, checksums, mirrors):
        assert set(checksums) >= {f"{IMAGES}.gz", f"{LABELS}.gz"}
        assert mirrors
        write_digits(folder, train=TRAIN, ending=".gz")

    monkeypatch.setattr(shared, "download", fetched)
    assert len(load(tmp_path, generator=generator, download=True).test) == TEST


def test_a_wrong_argument_is_told_before_anything_is_downloaded(tmp_path):
    with pytest.raises(ValueError, match="test_samples=0: should be"):
        load(tmp_path, download=True, test_samples=0)


def test_home_may_be_written_as_a_tilde(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(Path(folder).parent))
    assert same(load(f"~/{Path(folder).name}").test, load(folder).test)


def test_images_and_labels_of_different_counts_are_a_line(tmp_path):
    write_digits(tmp_path, train=TRAIN)
    write(tmp_path / LABELS, idx(digits()[1][: TRAIN - 1]))
    message = f"{tmp_path / IMAGES} holds 700 images, {tmp_path / LABELS} 699 labels"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (LABELS, idx(np.arange(10, 30).repeat(35)), "label 29, should be 0 to 9"),
        (IMAGES, idx(np.ones((TRAIN, 28, 27))), "sizes 700×28×27, should be N×28×28"),
        (LABELS, idx(np.ones((TRAIN, 1))), "number of dimensions 2, should be 1"),
        ("t10k-images-idx3-ubyte", b"<html>", "not an IDX file"),
    ],
)
def test_a_file_of_another_content_is_a_line_that_names_it(tmp_path, name, content, message):
    write_digits(tmp_path, train=TRAIN)
    write(tmp_path / name, content)
    with pytest.raises(ValueError, match="^" + re.escape(f"{tmp_path / name}: {message}")):
        load(tmp_path)


def test_images_without_a_pixel_or_without_an_image_are_refused(tmp_path):
    write_digits(tmp_path, train=TRAIN)
    write(tmp_path / IMAGES, idx(np.zeros((TRAIN, 28, 28))))
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: the training images are all")):
        load(tmp_path)
    write_digits(tmp_path, train=TRAIN + TEST)
    with pytest.raises(ValueError, match="test split: should hold samples"):
        load(tmp_path)
    write_digits(tmp_path, train=1)
    with pytest.raises(ValueError, match="number of training images 1, should be at least 2"):
        load(tmp_path)


def test_a_command_without_the_files_is_told_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = f"^data: path=data/mnist: there is no {IMAGES}, no .*https://"
    with pytest.raises(InputError, match=message):
        cvtrain.configure("data=mnist_fft", "model=cnn")
    assert not list(tmp_path.iterdir())


def test_both_engines_train_a_network_on_it_to_the_same_weights(folder, tmp_path):
    data = ("data=mnist_fft", f"data.path={folder}", "data.validation_samples=20")
    fewer = ("data.train_samples=100", "data.test_samples=20")
    assert_engines_agree(
        tmp_path, *data, *fewer, "model=cnn", "model.channels=[2,3]", "model.hidden=5"
    )
