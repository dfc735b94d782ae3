"""MNIST by its Fourier transforms."""

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.idx_fft import MNIST, Files, idx_fft


@checked_arguments
def mnist_fft(
    *,
    path: str = "data/mnist",
    download: bool = False,
    files: Files = "all",
    seed: Seed = 0,
    validation_samples: Count = 10_000,
    train_samples: Count | None = None,
    test_samples: Count | None = None,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of MNIST's 28×28 handwritten digits by their 2-D spectra.

    LeCun, Bottou, Bengio and Haffner (1998, Proc. IEEE 86:2278): 60 000 images for training, from
    which `seed` draws some for validation, and 10 000 for test, as published. The images are real,
    so a spectrum F is Hermitian, F[−k] = conj F[k] (indices modulo 28). All spectra are divided by
    one number, the root mean square modulus of the training inputs. Every split is stratified;
    `cvtrain.data.idx_fft.idx_fft` describes how it is drawn.

    All spectra are in memory: 440 MB in complex64, twice as much in complex128, and a third more
    while they are made; in every process, and for every `seed` that a process trains on.

    Args:
        path: folder, relative to the working directory, of ``train-images-idx3-ubyte``,
            ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``,
            each with or without ``.gz``. They may hold fewer images than MNIST.
        download: whether to download missing files, 12 MB, and compare their checksums.
        files: ``all`` keeps the published division; ``test`` draws all splits from the two test
            files, if the training files are missing.
        seed: seed of the random choice of validation images, and of the images of a reduced split.
        validation_samples: number of training images that are used for validation.
        train_samples: number of training images; None: all others.
        test_samples: number of test images; None: all (with files=test a fifth).
        dtype: complex64 or complex128: dtype of inputs `[N, 28, 28]`; targets are `[N]` int64.

    Raises:
        OSError: a file cannot be read.
        ValueError: an argument is out of range, or a file is missing or not valid.
    """
    counts = (validation_samples, train_samples, test_samples)
    return idx_fft(MNIST, path, download, files, seed, *counts, dtype)
