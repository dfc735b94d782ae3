"""MNIST, seen through its Fourier transform."""

import torch

from cvtrain.data.dataset import Dataset
from cvtrain.data.idx_fft import Source, idx_fft

MNIST = Source(
    name="MNIST",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    checksums={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)


def mnist_fft(
    *,
    path: str = "data/mnist",
    download: bool = False,
    seed: int = 0,
    validation_samples: int = 10_000,
    train_samples: int | None = None,
    test_samples: int | None = None,
    dtype: torch.dtype,
) -> Dataset:
    """Classification of MNIST's 28×28 handwritten digits by their 2-D spectra.

    LeCun, Bottou, Bengio and Haffner (1998, Proc. IEEE 86:2278): 60 000 images for training, of
    which `seed` draws some for validation, and 10 000 for test, as published. The images are real,
    so a spectrum F is Hermitian, F[−k] = conj F[k] (indices modulo 28). All spectra are divided by
    one number, the root mean square modulus of the training inputs. Every split is stratified; how
    they are drawn is said in `cvtrain.data.idx_fft.idx_fft`.

    All spectra are in memory: 440 MB in complex64, twice that in complex128, a third more while
    they are made; in every process, and for every `seed` that a process trains on.

    Args:
        path: folder, relative to the current one, of ``train-images-idx3-ubyte``,
            ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``,
            each with or without ``.gz``. They may hold fewer images than MNIST's.
        download: fetch the files that are not there, 12 MB, with their checksums compared.
        seed: draws the images for validation, and those of a reduced split.
        validation_samples: at least 1.
        train_samples: at least 1; None for all that are left.
        test_samples: at least 1; None for all.
        dtype: complex64 or complex128, of inputs `[N, 28, 28]`; targets are `[N]` int64.

    Raises:
        OSError: a file cannot be read.
        ValueError: an argument is out of range, or a file is missing, or not what it should be.
    """
    return idx_fft(
        MNIST,
        path=path,
        fetch=download,
        seed=seed,
        validation_samples=validation_samples,
        train_samples=train_samples,
        test_samples=test_samples,
        dtype=dtype,
    )
