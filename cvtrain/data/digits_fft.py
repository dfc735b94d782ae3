"""Handwritten digits, seen through their Fourier transform."""

import numpy as np
import torch

from cvtrain.config.argument_checks import check_complex_dtype, check_integer
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import data_generator
from cvtrain.data.split import Split
from cvtrain.data.splits import stratified


def digits_fft(*, seed: int = 0, dtype: torch.dtype) -> Dataset:
    """Classification of the 1797 8×8 digits bundled with scikit-learn, by their 2-D spectra.

    The images are real, so a spectrum F is Hermitian, F[−k] = conj F[k] (indices modulo 8): only
    half of its entries are free. All spectra are divided by one number, the root mean square
    modulus of the training inputs.

    Args:
        seed: draws the split: of each digit 60 % for training, 20 % for validation, 20 % for test.
        dtype: complex64 or complex128, of inputs `[N, 8, 8]`; targets are the digits, `[N]` int64.

    Raises:
        ValueError: an argument is out of range.
    """
    check_integer("seed", seed, minimum=0)
    check_complex_dtype(dtype)
    # Imported here because it is slow, and the other data sets do without.
    from sklearn.datasets import load_digits

    digits = load_digits()
    labels = digits.target.astype(np.int64)
    spectra = np.fft.fft2(digits.images)
    parts = stratified(labels, data_generator(seed))
    spectra /= np.sqrt(np.mean(np.abs(spectra[parts[0]]) ** 2))
    train, validation, test = (
        Split(torch.from_numpy(spectra[part]).to(dtype), torch.from_numpy(labels[part]))
        for part in parts
    )
    return Dataset(
        train=train, validation=validation, test=test, task="classification", out_features=10
    )
