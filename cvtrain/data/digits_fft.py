"""Handwritten digits by their Fourier transforms."""

import numpy as np
import torch

from cvtrain.data.arguments import ComplexDtype, Seed, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import data_generator, stratified
from cvtrain.data.split import Split


@checked_arguments
def digits_fft(*, seed: Seed = 0, dtype: ComplexDtype) -> Dataset:
    """Classification of the 1797 8×8 digits bundled with scikit-learn, by their 2-D spectra.

    The images are real, so a spectrum F is Hermitian, F[−k] = conj F[k] (indices modulo 8): only
    half of its entries are independent. All spectra are divided by one number, the root mean square
    modulus of the training inputs.

    Args:
        seed: seed of the random split; of each digit 60 % are for training, 20 % for validation, 20
            % for test.
        dtype: complex64 or complex128: dtype of inputs `[N, 8, 8]`; targets are the digits, `[N]`
            int64.

    Raises:
        ValueError: an argument is out of range.
    """
    # Imported here because it is slow to import and other data sets do not need it.
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
    return Dataset(train, validation, test, task="classification", out_features=10)
