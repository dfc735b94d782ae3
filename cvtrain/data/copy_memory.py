"""The copying memory problem: recall symbols after a long delay."""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.random import data_generator
from cvtrain.data.split import Split

SYMBOLS = 8
BLANK = 8
DELIMITER = 9


@checked_arguments
def copy_memory(
    *,
    seed: Seed = 0,
    delay: Count = 100,
    length: Annotated[int, Field(ge=1, le=20, strict=True)] = 10,
    train_samples: Count = 10_000,
    validation_samples: Count = 1000,
    test_samples: Count = 1000,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification at every position: blank, and at the last K the symbols of the first K.

    Hochreiter and Schmidhuber (1997, Neural Computation 9:1735) in the form of Arjovsky, Shah and
    Bengio (2016, arXiv:1511.06464): K symbols of eight, independent and equally likely, T − 1
    blanks, a delimiter and K blanks go in, T + K blanks and the K symbols should come out. T is the
    delay, K the length, the number of positions T + 2K:

        in   a b c … · · · · · | · · · …
        out  · · · … · · · · · · a b c …

    Without memory the best answer is certain of the blanks and gives each of the eight symbols the
    same probability: a cross-entropy of K ln 8/(T + 2K), averaged over positions, and an accuracy
    of (T + K + K/8)/(T + 2K), which are the references. Since softmax does not change when a
    constant is added to all scores, moduli reach that loss as well as real outputs do.

    No two samples have the same symbols.

    Args:
        seed: seed of the random symbols.
        delay: T; Arjovsky et al. have 100, 200, 300 and 500.
        length: K, from 1 to 20; 10 in the literature.
        train_samples: number of sequences for training; 100 000 in the literature. The three splits
            together hold at most 8ᴷ. A sample takes 160 (T + 2K) bytes in complex128, half in
            complex64.
        validation_samples: number of sequences for validation.
        test_samples: number of sequences for test; 10 000 in the literature.
        dtype: complex64 or complex128: dtype of inputs `[N, T + 2K, 10]`, one-hot: eight symbols,
            blank, delimiter; targets `[N, T + 2K]` int64, eight symbols and blank.

    Raises:
        ValueError: an argument is out of range.
    """
    sizes = [train_samples, validation_samples, test_samples]
    if sum(sizes) > SYMBOLS**length:
        raise ValueError(
            f"length={length}: {sum(sizes)} different samples should be at most"
            f" {SYMBOLS}^{length} = {SYMBOLS**length} sequences"
        )

    # Distinct numbers, whose digits in base eight are the symbols.
    numbers = data_generator(seed).choice(SYMBOLS**length, sum(sizes), replace=False)
    digits = numbers[:, None] // SYMBOLS ** np.arange(length) % SYMBOLS
    symbols = np.split(digits, np.cumsum(sizes)[:-1])
    positions = delay + 2 * length
    loss = length * math.log(SYMBOLS) / positions
    accuracy = (delay + length + length / SYMBOLS) / positions
    train, validation, test = (_split(of_split, delay, dtype) for of_split in symbols)
    return Dataset(
        train,
        validation,
        test,
        task="classification",
        out_features=SYMBOLS + 1,
        class_names=(*(str(symbol) for symbol in range(SYMBOLS)), "blank"),
        references=(
            Reference("test/loss", "memoryless", loss),
            Reference("test/accuracy", "memoryless", accuracy),
        ),
    )


def _split(symbols: npt.NDArray[np.int64], delay: int, dtype: torch.dtype) -> Split:
    seen = torch.from_numpy(symbols)
    samples, length = seen.shape
    read = torch.full((samples, delay + 2 * length), BLANK)
    read[:, :length] = seen
    read[:, length + delay - 1] = DELIMITER
    targets = torch.full_like(read, BLANK)
    targets[:, length + delay :] = seen
    inputs = torch.zeros(*read.shape, SYMBOLS + 2, dtype=dtype)
    return Split(inputs.scatter_(-1, read.unsqueeze(-1), 1.0), targets)
