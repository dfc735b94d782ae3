"""Data sets of one slice of measured k-space: from a file made here, and from the real one."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import cvtrain
from cvtrain.data.kspace import central, read_kspace, to_images
from cvtrain.data.mri_image import mri_image
from cvtrain.data.mri_undersampled import mri_undersampled
from cvtrain.process.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "data" / "mri" / "cartesian_ksp.npy"
DTYPE = torch.complex128
COUNTS = {"train_samples": 40, "validation_samples": 6, "test_samples": 8}
ROWS, COLUMNS, FULL = 30, 27, 16


@pytest.fixture(scope="module")
def kspace():
    """Five coils' k-space of a bright disc off the centre, without some of the outer places."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    disc = np.exp(-(((y - 18) / 4) ** 2) - ((x - 10) / 3) ** 2)
    coils = np.exp(1j * np.arange(5)[:, None, None] * (0.3 * y + 0.1 * x) / 4)
    axes = (-2, -1)
    space = np.fft.fft2(np.fft.ifftshift(coils * disc, axes=axes), norm="ortho")
    space = np.fft.fftshift(space, axes=axes)
    kept = np.random.default_rng(0).random((ROWS, COLUMNS)) < 0.5
    first, left = ROWS // 2 - FULL // 2, COLUMNS // 2 - FULL // 2
    kept[first : first + FULL, left : left + FULL] = True
    return space * kept


@pytest.fixture(scope="module")
def file(kspace, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "kspace.npy"
    np.save(path, kspace)
    return str(path)


def test_the_image_of_all_of_kspace_is_where_the_disc_was(kspace):
    bright = np.abs(to_images(kspace)[0])
    assert np.unravel_index(bright.argmax(), bright.shape) == (18, 10)
    # Unitary, so that powers are equal; its centre is the place of frequency 0.
    assert np.sum(np.abs(to_images(kspace)) ** 2) == pytest.approx(np.sum(np.abs(kspace) ** 2))
    assert central(kspace, 1)[0, 0, 0] == kspace[0, ROWS // 2, COLUMNS // 2]


def test_every_pixel_of_every_coil_is_in_one_split(kspace, file):
    data = mri_image(path=file, size=16, seed=3, dtype=DTYPE)
    images = to_images(central(kspace, 16))
    seen = np.full(images.shape, np.nan, dtype=complex)
    for split in (data.train, data.validation, data.test):
        row, column = ((split.inputs.real + 1) / 2 * 15).round().long().T
        seen[:, row, column] = split.targets.numpy().T
    np.testing.assert_allclose(seen * data.scales["targets"], images, rtol=1e-12)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [154, 51, 51]
    assert data.train.targets.abs().square().mean().item() == pytest.approx(1)
    one_coil = mri_image(path=file, size=16, seed=3, coils=1, dtype=DTYPE)
    factor = data.scales["targets"] / one_coil.scales["targets"]
    torch.testing.assert_close(one_coil.train.targets, factor * data.train.targets[:, :1])


def test_what_interpolation_reaches_is_stated(file):
    data = mri_image(path=file, size=16, dtype=DTYPE)
    (known,) = data.references
    assert known.tag == "test/nmse"
    assert 0 < known.value < 1


def test_an_input_is_the_target_without_a_part_of_its_kspace(file):
    data = mri_undersampled(path=file, size=FULL, centre=4, seed=1, dtype=DTYPE, **COUNTS)
    x, y = data.train.inputs.numpy(), data.train.targets[:, 0].numpy()
    axes = (-2, -1)
    x, y = (np.fft.fft2(np.fft.ifftshift(z, axes=axes)) for z in (x, y))
    kept = np.abs(x) > 1e-9
    assert (kept.sum(axis=(1, 2)) == round(FULL**2 / 3)).all()
    np.testing.assert_allclose(x[kept], y[kept])
    assert len({mask.tobytes() for mask in kept}) == 40
    assert kept[:, 0, 0].all()  # the middle, before it was shifted there
    power = data.train.inputs.abs().square().mean(dim=(1, 2))
    torch.testing.assert_close(power, torch.ones_like(power))
    # Less of the rest is kept the farther it is from the middle.
    k = np.abs(np.fft.fftfreq(FULL, 1 / FULL))
    far = np.maximum(k[:, None], k) >= 6
    assert kept[:, far].mean() < 0.8 * kept[:, ~far].mean()


def test_no_coil_is_in_two_splits(file, kspace):
    data = mri_undersampled(path=file, size=FULL, dtype=DTYPE, **COUNTS)
    images = to_images(central(kspace, FULL)).reshape(5, -1).T
    used = []
    for split in (data.train, data.validation, data.test):
        targets = split.targets.flatten(1).numpy().T
        weights, residual, *_ = np.linalg.lstsq(images, targets, rcond=None)
        assert residual.max() < 1e-9
        used.append(set(np.flatnonzero(np.abs(weights).max(axis=1) > 1e-6)))
    assert [len(coils) for coils in used] == [3, 1, 1]
    assert set.union(*used) == set(range(5))


def test_zero_filling_is_the_input_as_an_answer(file):
    data = mri_undersampled(path=file, size=FULL, dtype=DTYPE, **COUNTS)
    (known,) = data.references
    error = (data.test.targets[:, 0] - data.test.inputs).abs().square().sum()
    assert known.value == pytest.approx((error / data.test.targets.abs().square().sum()).item())


BAD = {
    "size": ({"size": FULL + 6}, f"size={FULL + 6}: should be smaller; of the central 22×22"),
    "large": ({"size": 28}, "size=28: should be at most 27, as k-space has it"),
    "acceleration": ({"acceleration": 1.0}, "acceleration=1.0: should be greater than 1"),
    "little": (
        {"acceleration": 30.0},
        "acceleration=30.0: should keep more than centre² = 36 of 256 places, and not all; it"
        " keeps 9",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_undersampled_is_a_line(file, arguments, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        mri_undersampled(path=file, dtype=DTYPE, **{"size": FULL, **COUNTS} | arguments)


def test_other_numbers_of_coils_and_pixels_are_refused(file, tmp_path, kspace):
    with pytest.raises(ValueError, match=r"^coils=6: should be at most 5, as .* has them"):
        mri_image(path=file, size=16, coils=6, dtype=DTYPE)
    with pytest.raises(ValueError, match=r"^size=7: should be at least 8"):
        mri_image(path=file, size=7, dtype=DTYPE)
    np.save(tmp_path / "two.npy", kspace[:2])
    with pytest.raises(ValueError, match=r"^2 coils: should be 3 or more"):
        mri_undersampled(path=str(tmp_path / "two.npy"), size=FULL, dtype=DTYPE)


def test_another_file_is_a_line_that_says_what_is_wanted(tmp_path, kspace):
    for name, array in {"real": kspace.real, "line": kspace[0, 0], "empty": kspace[:0]}.items():
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(ValueError, match=r"holds \w+ [\d×]+; it should hold the k-space of"):
            read_kspace(str(tmp_path / f"{name}.npy"))
    np.save(tmp_path / "silent.npy", np.zeros_like(kspace))
    with pytest.raises(ValueError, match="should be finite, and not all zero in any coil"):
        read_kspace(str(tmp_path / "silent.npy"))
    np.savez(tmp_path / "two.npz", kspace=kspace[0], mask=kspace[0] != 0)
    assert read_kspace(f"{tmp_path}/two.npz:kspace").shape == (1, ROWS, COLUMNS)
    with pytest.raises(ValueError, match=r"holds several variables; .* kspace, mask"):
        read_kspace(f"{tmp_path}/two.npz")


@pytest.mark.parametrize("name", ["mri_image", "mri_undersampled"])
def test_without_the_file_a_line_says_where_it_is_and_which_key_names_another(
    tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    message = (
        r"^data: path=data/mri/cartesian_ksp.npy: there is no such file; .*tutorial; data.path"
    )
    with pytest.raises(InputError, match=message):
        cvtrain.configure(f"data={name}", "model=unet", "objective=complex_mse")


@pytest.mark.skipif(not REAL.is_file(), reason="the scan is not beside the repository")
def test_the_scan_is_fully_sampled_in_24_by_24_places_and_properly_complex():
    kspace = read_kspace(str(REAL))
    assert kspace.shape == (8, 230, 180)
    images = to_images(kspace)
    circularity = np.abs(np.sum(images**2)) / np.sum(np.abs(images) ** 2)
    assert circularity == pytest.approx(0.136, abs=1e-3)
    mri_undersampled(path=str(REAL), dtype=DTYPE, **COUNTS)
    with pytest.raises(ValueError, match=r"^size=26: should be smaller; .* 94% are sampled"):
        mri_undersampled(path=str(REAL), size=26, dtype=DTYPE)
