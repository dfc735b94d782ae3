"""MNIST, seen through its Fourier transform."""

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
        files: ``test`` draws all splits from the two files for test alone, where those for
            training are missing; ``all`` takes the published division.
        seed: of the random choice of the images for validation, and of those of a reduced split.
        validation_samples: how many of the training images.
        train_samples: None for all other images.
        test_samples: None for all test images (of the test files alone a fifth).
        dtype: complex64 or complex128, of inputs `[N, 28, 28]`; targets are `[N]` int64.

    Raises:
        OSError: a file cannot be read.
        ValueError: an argument is out of range, or a file is missing, or not what it should be.
    """
    counts = (validation_samples, train_samples, test_samples)
    return idx_fft(MNIST, path, download, files, seed, *counts, dtype)
