"""Fashion-MNIST, seen through its Fourier transform."""

import torch

from cvtrain.data.dataset import Dataset
from cvtrain.data.idx_fft import Source, idx_fft

FASHION = Source(
    name="Fashion-MNIST",
    mirrors=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    checksums={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)


def fashion_fft(
    *,
    path: str = "data/fashion",
    download: bool = False,
    seed: int = 0,
    validation_samples: int = 10_000,
    train_samples: int | None = None,
    test_samples: int | None = None,
    dtype: torch.dtype,
) -> Dataset:
    """Classification of Fashion-MNIST's 28×28 articles of clothing by their 2-D spectra.

    Xiao, Rasul and Vollgraf (2017, arXiv:1708.07747): in number, size and format as MNIST, with
    equally many images of each class, and harder. All else is as in
    `cvtrain.data.mnist_fft.mnist_fft`, the memory included.

    Args:
        path: folder of the four files, named as MNIST's.
        download: fetch the files that are not there, 31 MB, with their checksums compared.
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
        FASHION,
        path=path,
        fetch=download,
        seed=seed,
        validation_samples=validation_samples,
        train_samples=train_samples,
        test_samples=test_samples,
        dtype=dtype,
    )
