"""Transforms of signals that make real ones complex: spectra and the analytic signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from cvtrain.data.array_files import Array

Transform: TypeAlias = Callable[[Array, int], Array]


def _short_time_fourier(x: Array, window: int) -> Array:
    if window > x.shape[-1]:
        raise ValueError(f"window={window}: should be at most the {x.shape[-1]} values of a signal")
    frames = np.lib.stride_tricks.sliding_window_view(x, window, axis=-1)
    frames = frames[..., :: max(window // 4, 1), :] * np.hanning(window + 1)[:-1]
    return np.fft.fft(frames, axis=-1).swapaxes(-1, -2)


def _analytic(x: Array, window: int) -> Array:
    from scipy.signal import hilbert

    if np.iscomplexobj(x) and np.any(x.imag):
        raise ValueError("transform=analytic: should be of real signals, these are complex")
    analytic: Array = hilbert(x.real, axis=-1)
    return analytic


TRANSFORMS: Mapping[str, Transform] = {
    "fft": lambda x, window: np.fft.fft(x, axis=-1),
    "fft2": lambda x, window: np.fft.fft2(x, axes=(-2, -1)),
    "stft": _short_time_fourier,
    "analytic": _analytic,
}
"""Functions of signals and a window length, by name: the spectrum along the last axis, or the last
two; spectra of Hann windows that overlap by three quarters, [..., frequency, time]; the analytic
signal."""
