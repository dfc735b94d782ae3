"""Recognition of the modulation of a received burst, with the maximum-likelihood classifier."""

import math
from itertools import product
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, StrictBool
from torch import Tensor

from cvtrain.data.arguments import ComplexDtype, Count, Seed, check_names, checked_arguments
from cvtrain.data.dataset import Dataset, Reference
from cvtrain.data.random import ComplexArray, complex_gaussian, data_generator
from cvtrain.data.split import Split

AT_ONCE = 2**18
"""Number of distances to constellation points that are held in memory at a time."""


def _psk(points: int) -> ComplexArray:
    constellation: ComplexArray = np.exp(2j * np.pi * np.arange(points) / points)
    return constellation


def _square_qam(points: int) -> ComplexArray:
    levels = np.arange(1 - math.isqrt(points), math.isqrt(points), 2)
    constellation = np.array([complex(re, im) for re, im in product(levels, levels)])
    normalised: ComplexArray = constellation / np.sqrt(np.mean(np.abs(constellation) ** 2))
    return normalised


CONSTELLATIONS = {
    "BPSK": _psk(2),
    "QPSK": _square_qam(4),
    "8PSK": _psk(8),
    "16QAM": _square_qam(16),
    "64QAM": _square_qam(64),
}
"""Constellation points of unit mean power by format; QPSK is (±1 ± i)/√2. All are symmetric about
zero."""


@checked_arguments
def modulation(
    *,
    seed: Seed = 0,
    formats: tuple[str, ...] = ("BPSK", "QPSK", "8PSK", "16QAM", "64QAM"),
    symbols: Count = 32,
    snr_db: Annotated[float, Field(ge=-100, le=100, strict=True)] = 10.0,
    random_phase: StrictBool = False,
    samples_per_format: Annotated[int, Field(ge=5, strict=True)] = 2000,
    dtype: ComplexDtype,
) -> Dataset:
    """Classification of bursts rₙ = e^{iφ} sₙ + νₙ by the constellation of the symbols sₙ.

    The symbols are independent and equally likely, the noise ν is circular Gaussian with E|ν|² = σ²
    = 10^(−SNR/10), the SNR in decibels. φ is 0, or uniform over [0, 2π) and constant within a
    burst. If φ is 0, the accuracy of `maximum_likelihood` on the test split is a reference: for
    equally likely formats no classifier is better, up to the chance of a finite test split. With
    random phases it is left out, since the average over phases takes hundreds of times as long;
    call the function to compute it.

    60 % of each format are for training, 20 % each for validation and test (rounded down, the rest
    goes to training).

    Args:
        seed: seed of the random symbols, noise, phases and order.
        formats: at least two different names in `CONSTELLATIONS`: the classes in their order.
        symbols: number of received values per burst.
        snr_db: signal-to-noise ratio in decibels, from −100 to 100; beyond that complex64 could not
            represent the samples distinctly.
        random_phase: whether φ is random.
        samples_per_format: number of bursts of each format, at least 5.
        dtype: complex64 or complex128: dtype of inputs `[N, symbols]`; targets `[N]` int64.

    Raises:
        ValueError: an argument is out of range.
    """
    check_names("formats", formats, CONSTELLATIONS)
    generator = data_generator(seed)
    noise = math.sqrt(_noise_power(snr_db))
    held_out = samples_per_format // 5

    def draw(of_each: int) -> Split:
        sent = np.concatenate(
            [generator.choice(CONSTELLATIONS[name], (of_each, symbols)) for name in formats]
        )
        # Drawn in either case, so that symbols and noise are the same with and without it.
        phases = generator.uniform(0, 2 * np.pi, (len(sent), 1))
        rotation = np.exp(1j * phases) if random_phase else 1.0
        received = rotation * sent + noise * complex_gaussian(generator, sent.shape)
        order = generator.permutation(len(sent))
        labels = np.repeat(np.arange(len(formats)), of_each)
        return Split(torch.from_numpy(received[order]), torch.from_numpy(labels[order]))

    train, validation, test = map(draw, (samples_per_format - 2 * held_out, held_out, held_out))
    references: tuple[Reference, ...] = ()
    if not random_phase:
        decided = maximum_likelihood(test.each_input[0], formats, snr_db)
        share = (decided == test.targets).double().mean().item()
        references = (Reference("test/accuracy", "maximum likelihood", share),)
    train, validation, test = (
        split.of([split.each_input[0].to(dtype), split.targets])
        for split in (train, validation, test)
    )
    return Dataset(
        train,
        validation,
        test,
        task="classification",
        out_features=len(formats),
        class_names=tuple(formats),
        references=references,
    )


def maximum_likelihood(
    received: Tensor, formats: tuple[str, ...], snr_db: float, *, random_phase: bool = False
) -> Tensor:
    """The most likely format of each burst, from the signal-to-noise ratio and the constellations.

    It maximises Σₙ log meanₛ exp(−|rₙ − s|²/σ²), the mean over the points s of a constellation;
    with a random phase the log of the mean over φ of Πₙ meanₛ exp(−|rₙ − e^{iφ} s|²/σ²). That mean
    is taken at equally spaced phases of half a turn (after which the constellations repeat), no
    farther apart than half of σ/√(2N), the narrowest that N symbols make its peak: the sum of a
    smooth periodic function converges exponentially in the number of its terms.

    Wei and Mendel 2000, Maximum-likelihood classification for digital amplitude-phase modulations.

    Args:
        received: r `[n, N]`, complex.
        formats: names in `CONSTELLATIONS`.
        snr_db: signal-to-noise ratio 10 log₁₀(1/σ²), as in `modulation`.
        random_phase: whether the phase is unknown.

    Returns:
        Labels `[n]` int64, indices of `formats`.

    Raises:
        ValueError: a format is unknown, or there are fewer than two.
    """
    check_names("formats", formats, CONSTELLATIONS)
    noise_power = _noise_power(snr_db)
    phases = torch.zeros(1, dtype=torch.float64)
    if random_phase:
        width = math.sqrt(noise_power / (2 * received.shape[1]))
        count = max(16, math.ceil(2 * math.pi / width))
        phases = torch.arange(count, dtype=torch.float64) * (math.pi / count)
    scores = []
    for name in formats:
        points = torch.from_numpy(CONSTELLATIONS[name])
        at_once = max(1, AT_ONCE // (received.shape[1] * len(points)))
        pieces = torch.split(received.to(torch.complex128), at_once)
        scores.append(torch.cat([_log_likelihood(r, points, noise_power, phases) for r in pieces]))
    return torch.stack(scores, dim=1).argmax(dim=1)


def _log_likelihood(r: Tensor, points: Tensor, noise_power: float, phases: Tensor) -> Tensor:
    """Log-likelihood [n], up to a constant that is the same for all constellations."""
    # −|r − s|² without |r|², which is the same for all points: far fewer operations.
    coordinates = torch.view_as_real(points)
    offsets = -points.abs().square() / noise_power
    by_phase = []
    for turn in torch.polar(torch.ones_like(phases), -phases):
        inner = torch.view_as_real(r * turn) @ coordinates.T
        exponents = torch.add(offsets, inner, alpha=2 / noise_power)
        by_symbol = torch.logsumexp(exponents, dim=-1) - math.log(len(points))
        by_phase.append(by_symbol.sum(dim=-1))
    return torch.logsumexp(torch.stack(by_phase), dim=0) - math.log(len(by_phase))


def _noise_power(snr_db: float) -> float:
    return float(10 ** (-snr_db / 10))
