"""Arms whose truth is known, drawn as arrays: curves as SGD's on digits_fft, with chaos above."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from cvtrain.analysis.grid import Grid, collapsed
from cvtrain.analysis.statistics import RealArray

UNTRAINED = math.log(10)
WHOLE = np.arange(-5.0, 3.0)
HALF = np.arange(-5.0, 2.5, 0.5)
KNOTS = np.array([-9, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2.0])
LOGS = np.array([0.82, 0.73, 0.55, 0.2, -0.45, -1.1, -1.6, -1.92, -2.05, -1.9, -1.2])

SMOOTH = PchipInterpolator(KNOTS, LOGS, extrapolate=True)


@dataclass(frozen=True)
class Truth:
    """What an arm is drawn from.

    Attributes:
        shift: octaves of its curve.
        spread: standard deviation over seeds of a seed's own shift.
        rest: logarithm of the factor on its test loss.
        effect: on its test accuracy at the best rate.
        noise: standard deviation of the accuracy around the seed's own.
        heavy: whether noise has the tails of Student's t with three degrees of freedom.
        collapse: probability that a run near the best rate collapses.
        ties: whether accuracies are of 359 samples.
        flat: whether the curve does not fall.
    """

    shift: float = 0.0
    spread: float = 0.05
    rest: float = 0.0
    effect: float = 0.0
    noise: float = 0.005
    heavy: bool = False
    collapse: float = 0.0
    ties: bool = False
    flat: bool = False


def curve(octaves: RealArray) -> RealArray:
    """Logarithm of the validation loss, a smooth curve with its lowest point near 0."""
    return np.asarray(SMOOTH(octaves))


def draw(rng: np.random.Generator, truth: Truth, seeds: int, octaves: RealArray = WHOLE) -> Grid:
    """One arm; arms drawn one after another share what belongs to a seed."""
    own = np.random.default_rng(77).normal(0, 1, (2, 2000))[:, :seeds, None]
    shape = (seeds, len(octaves))
    moved = octaves - truth.shift - truth.spread * rng.standard_normal((seeds, 1))
    smooth = np.full(shape, 0.8) if truth.flat else curve(np.clip(moved, -9, 2))
    # Training is the more chaotic the higher the rate: 0.005 two octaves below the best, 0.1 at it.
    chaos = 0.1 * 2.0 ** (1.5 * np.clip(moved, -4, 1))
    noise = rng.standard_t(3, shape) if truth.heavy else rng.standard_normal(shape)
    logs = smooth + 0.03 * own[0] + chaos * noise
    test = logs + truth.rest + 0.02 * own[1] + chaos * rng.standard_normal(shape)
    tails = rng.standard_t(3, shape) if truth.heavy else rng.standard_normal(shape)
    best = curve(np.array([0.0]))
    accuracy = 0.97 + 0.01 * own[0] + truth.effect - 0.05 * (smooth - best) + truth.noise * tails
    loss = np.exp(logs)
    lost = (rng.random(shape) < truth.collapse) & (moved > -1.5)
    lost |= rng.random(shape) < np.clip(moved - 0.8, 0, 1)
    loss[lost] = UNTRAINED
    test[lost] = np.log(UNTRAINED)
    accuracy[lost] = 0.1
    if truth.ties:
        accuracy = np.round(359 * accuracy) / 359
    fails = collapsed(loss, UNTRAINED)
    steps: npt.NDArray[np.float64] = np.full(shape, 100.0)
    keys = tuple((0, seed) for seed in range(seeds))
    return Grid(keys, 2.0**octaves, loss, np.exp(test), np.minimum(accuracy, 1), steps, fails)
