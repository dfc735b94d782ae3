"""Fashion-MNIST by its Fourier transforms."""

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.idx_fft import FASHION, Files, idx_fft


@checked_arguments
def fashion_fft(
    *,
    path: str = "data/fashion",
    download: bool = False,
    files: Files = "all",
    seed: Seed = 0,
    validation_samples: Count = 10_000,
    train_samples: Count | None = None,
    test_samples: Count | None = None,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of Fashion-MNIST's 28×28 articles of clothing by their 2-D spectra.

    Xiao, Rasul and Vollgraf (2017, arXiv:1708.07747): number, size and format are those of MNIST,
    with equally many images of each class; the task is harder. Everything else, including the
    memory, is as in `cvtrain.data.mnist_fft.mnist_fft`.

    Args:
        path: folder of the four files, with MNIST's file names.
        download: whether to download missing files, 31 MB, and compare their checksums.
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
    return idx_fft(FASHION, path, download, files, seed, *counts, dtype)
