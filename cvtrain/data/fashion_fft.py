"""Fashion-MNIST, seen through its Fourier transform."""

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

    Xiao, Rasul and Vollgraf (2017, arXiv:1708.07747): in number, size and format as MNIST, with
    equally many images of each class, and harder. All else is as in
    `cvtrain.data.mnist_fft.mnist_fft`, the memory included.

    Args:
        path: folder of the four files, named as MNIST's.
        download: fetch the files that are not there, 31 MB, with their checksums compared.
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
    return idx_fft(FASHION, path, download, files, seed, *counts, dtype)
