"""The adding problem: the sum of two marked numbers in a long sequence."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.random import data_generator
from cvtrain.data.split import Split


@checked_arguments
def adding(
    *,
    seed: Seed = 0,
    length: Annotated[int, Field(ge=2, strict=True)] = 100,
    train_samples: Count = 10_000,
    validation_samples: Count = 1000,
    test_samples: Count = 1000,
    dtype: ComplexDtype,
) -> Dataset:
    """Regression of the sum of two numbers of a sequence, those that a second sequence marks.

    Hochreiter and Schmidhuber (1997, Neural Computation 9:1735) in the form of Arjovsky, Shah and
    Bengio (2016, arXiv:1511.06464). The numbers u₁, …, u_T are uniform in [0, 1). The marks are 0
    except for two ones: at j in the first half and at k in the second (which is longer if T is
    odd), each uniform over its half. y = u_j + u_k has mean 1 and variance 2/12, so the constant
    answer 1 has a mean |error|² of 1/6, which is the reference. All values are real: imaginary
    parts are 0.

    Args:
        seed: seed of the random numbers and marks.
        length: T, at least 2; Arjovsky et al. have 100, 200, 400 and 750.
        train_samples: number of sequences for training; 100 000 in the literature.
        validation_samples: number of sequences for validation.
        test_samples: number of sequences for test; 10 000 in the literature.
        dtype: complex64 or complex128: dtype of inputs `[N, T, 2]`, number and mark, and targets
            `[N, 1]`.

    Raises:
        ValueError: an argument is out of range.
    """
    generator = data_generator(seed)

    def split(samples: int) -> Split:
        numbers = generator.random((samples, length))
        marks = np.zeros_like(numbers)
        for first, last in ((0, length // 2), (length // 2, length)):
            marks[np.arange(samples), generator.integers(first, last, samples)] = 1
        inputs = torch.from_numpy(np.stack([numbers, marks], axis=-1))
        sums = torch.from_numpy((numbers * marks).sum(axis=1, keepdims=True))
        return Split(inputs.to(dtype), sums.to(dtype))

    splits = (split(train_samples), split(validation_samples), split(test_samples))
    always_one = Reference("test/loss", "always 1", 1 / 6)
    return Dataset(*splits, task="regression", out_features=1, references=(always_one,))
