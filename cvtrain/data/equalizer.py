"""Equalization of a nonlinear channel with memory, the classic complex regression task."""

from itertools import product
from typing import Annotated

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from cvtrain.config.argument_checks import check_integer
from cvtrain.data.arguments import ComplexDtype, Count, Seed, checked_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.random import ComplexArray, complex_gaussian, data_generator
from cvtrain.data.split import Split

CHANNEL = np.array([0.34 - 0.27j, 0.87 + 0.43j, 0.34 - 0.21j])
SYMBOLS = np.array([0.7 + 0.7j, 0.7 - 0.7j, -0.7 + 0.7j, -0.7 - 0.7j])


@checked_arguments
def equalizer(
    *,
    seed: Seed = 0,
    delay: int = 1,
    taps: Count = 3,
    snr_db: Annotated[float, Field(ge=-300, le=300, strict=True)] = 20.0,
    train_samples: Count = 5000,
    validation_samples: Count = 5000,
    test_samples: Count = 10000,
    dtype: ComplexDtype,
) -> Dataset:
    """Regression of the 4-QAM symbol sₙ₋ₔ, d the delay, on the received xₙ, …, xₙ₋ₜₐₚₛ₊₁.

    The channel is the one of Cha and Kassam (1995, IEEE JSAC 13:122), with circular Gaussian ν:

        oₙ = (.34 − .27i) sₙ + (.87 + .43i) sₙ₋₁ + (.34 − .21i) sₙ₋₂
        xₙ = oₙ + .1 oₙ² + .05 oₙ³ + νₙ.

    The symbols are ±.7 ± .7i, independent and equally likely. The signal power in the
    signal-to-noise ratio is that of the distorted oₙ + .1 oₙ² + .05 oₙ³, not of oₙ. Every split is
    a sequence of its own. At the defaults the best linear model has a mean |error|² of about .167,
    the best cubic in x and x* about .048.

    Args:
        seed: seed of the random symbols and noise.
        delay: d, from 0 to taps + 1: the oldest symbol that affects the inputs.
        taps: number of received values per input.
        snr_db: signal-to-noise ratio in decibels, from −300 to 300.
        train_samples: number of training samples.
        validation_samples: number of validation samples.
        test_samples: number of test samples.
        dtype: complex64 or complex128: dtype of inputs `[N, taps]` (newest first) and targets `[N,
        1]`.

    Raises:
        ValueError: an argument is out of range.
    """
    check_integer("delay", delay, minimum=0, maximum=taps + 1)
    generator = data_generator(seed)
    noise = np.sqrt(_signal_power() / 10 ** (snr_db / 10))

    def split(samples: int) -> Split:
        # The first input needs taps received values, and these need two earlier symbols.
        symbols = generator.choice(SYMBOLS, samples + taps + 1)
        received = _distorted(symbols) + noise * complex_gaussian(generator, (samples + taps - 1,))
        x = sliding_window_view(received, taps)[:, ::-1].copy()
        newest = taps + 1
        y = symbols[newest - delay : newest - delay + samples, None]
        return Split(torch.from_numpy(x).to(dtype), torch.from_numpy(y).to(dtype))

    splits = (split(train_samples), split(validation_samples), split(test_samples))
    alphabet = torch.from_numpy(SYMBOLS).to(dtype)
    return Dataset(*splits, task="regression", out_features=1, alphabet=alphabet)


def _distorted(symbols: ComplexArray) -> ComplexArray:
    """Noiseless channel output: `[N]` symbols give `[N − 2]` values."""
    o: ComplexArray = np.convolve(symbols, CHANNEL, mode="valid")
    distorted: ComplexArray = o + 0.1 * o**2 + 0.05 * o**3
    return distorted


def _signal_power() -> float:
    """E|oₙ + .1 oₙ² + .05 oₙ³|², exact: the mean over the 64 equally likely triples of symbols."""
    outputs = [_distorted(np.array(triple)) for triple in product(SYMBOLS, repeat=len(CHANNEL))]
    return float(np.mean(np.abs(outputs) ** 2))
