import pytest
import torch
from sklearn.datasets import load_digits

from cvtrain.data.digits_fft import digits_fft


@pytest.fixture(scope="module")
def dataset():
    return digits_fft(dtype=torch.complex128)


@pytest.fixture(scope="module")
def parts(dataset):
    return [dataset.train, dataset.validation, dataset.test]


def test_spectra_are_hermitian(parts):
    for part in parts:
        negated = part.inputs.flip(1, 2).roll((1, 1), (1, 2))  # F[−k]
        torch.testing.assert_close(negated, part.inputs.conj(), rtol=0, atol=1e-13)


def test_the_training_inputs_have_rms_modulus_one(dataset):
    assert dataset.train.inputs.abs().square().mean().item() == pytest.approx(1)


def test_the_splits_hold_every_image_with_its_label_once_up_to_one_factor(parts):
    images = torch.cat([torch.fft.ifft2(part.inputs).real for part in parts])
    images = (images * (16 / images.max())).round().flatten(1).int()
    labels = torch.cat([part.targets for part in parts])
    digits = load_digits()
    seen = zip(images.tolist(), labels.tolist(), strict=True)
    bundled = zip(digits.data.astype(int).tolist(), digits.target.tolist(), strict=True)
    assert sorted(seen) == sorted(bundled)


def test_every_digit_is_split_sixty_twenty_and_twenty(parts):
    counts = torch.stack([torch.bincount(part.targets, minlength=10) for part in parts])
    shares = torch.tensor([[0.6], [0.2], [0.2]])
    assert (counts - shares * counts.sum(0)).abs().max() <= 1


def test_inputs_are_images_of_ten_classes(dataset):
    assert dataset.task == "classification"
    assert dataset.input_shape == (8, 8)
    assert dataset.out_features == 10
