"""The copying memory problem: symbols are seen, and recalled after a long delay."""

import math

import numpy as np
import numpy.typing as npt
import torch

from cvtrain.config.argument_checks import check_complex_dtype, check_integer
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.random import data_generator
from cvtrain.data.split import Split

SYMBOLS = 8
BLANK = 8
DELIMITER = 9


def copy_memory(
    *,
    seed: int = 0,
    delay: int = 100,
    length: int = 10,
    train_samples: int = 10_000,
    validation_samples: int = 1000,
    test_samples: int = 1000,
    dtype: torch.dtype,
) -> Dataset:
    """Classification at every position: blank, and at the last K the symbols of the first K.

    Hochreiter and Schmidhuber (1997, Neural Computation 9:1735) in the form of Arjovsky, Shah and
    Bengio (2016, arXiv:1511.06464): K symbols of eight, independent and equally likely, T − 1
    blanks, a delimiter and K blanks go in, T + K blanks and the K symbols should come out. T is the
    delay, K the length, the number of positions T + 2K:

        in   a b c … · · · · · | · · · …
        out  · · · … · · · · · · a b c …

    Without memory the best is to be certain of the blanks and to give each of the eight symbols
    the same probability: a cross-entropy of K ln 8/(T + 2K), mean over positions, and an accuracy
    of (T + K + K/8)/(T + 2K), which are the references. Since softmax does not change when a
    constant is added to all scores, moduli reach that loss as well as real outputs do.

    No two samples are of the same symbols.

    Args:
        seed: draws the symbols.
        delay: T, at least 1; Arjovsky et al. have 100, 200, 300 and 500.
        length: K, from 1 to 20; 10 in the literature.
        train_samples: at least 1, as the next two, all together at most 8ᴷ; 100 000 in the
            literature. A sample takes 160 (T + 2K) bytes in complex128, half of it in complex64.
        validation_samples: see above.
        test_samples: see above; 10 000 in the literature.
        dtype: complex64 or complex128, of inputs `[N, T + 2K, 10]`, one-hot: eight symbols, blank,
            delimiter; targets `[N, T + 2K]` int64, eight symbols and blank.

    Raises:
        ValueError: an argument is out of range.
    """
    check_integer("seed", seed, minimum=0)
    check_integer("delay", delay, minimum=1)
    check_integer("length", length, minimum=1, maximum=20)
    check_integer("train_samples", train_samples, minimum=1)
    check_integer("validation_samples", validation_samples, minimum=1)
    check_integer("test_samples", test_samples, minimum=1)
    check_complex_dtype(dtype)
    sizes = [train_samples, validation_samples, test_samples]
    if sum(sizes) > SYMBOLS**length:
        raise ValueError(
            f"length={length}: {SYMBOLS}^{length} = {SYMBOLS**length} sequences are fewer than the"
            f" {sum(sizes)} samples, which must all be different"
        )

    # Numbers without repetition, whose digits to the base of eight are the symbols.
    numbers = data_generator(seed).choice(SYMBOLS**length, sum(sizes), replace=False)
    digits = numbers[:, None] // SYMBOLS ** np.arange(length) % SYMBOLS
    train, validation, test = (
        _split(symbols, delay, dtype) for symbols in np.split(digits, np.cumsum(sizes)[:-1])
    )
    positions = delay + 2 * length
    loss = length * math.log(SYMBOLS) / positions
    accuracy = (delay + length + length / SYMBOLS) / positions
    return Dataset(
        train=train,
        validation=validation,
        test=test,
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
