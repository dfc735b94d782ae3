"""A sum of plane waves within an aperture, of unit power, on a grid that is dealt to splits."""

import numpy as np
import pytest
import torch

from cvtrain.data.split import in_memory
from cvtrain.data.wave_field import wave_field

DTYPE = torch.complex128


def on_the_grid(size: int, **given) -> np.ndarray:
    """The field [size, size], put together from the points of all splits."""
    data = wave_field(size=size, dtype=DTYPE, **given)
    grid = np.full((size, size), np.nan, dtype=complex)
    for part in (data.train, data.validation, data.test):
        split = in_memory(part)
        assert not split.inputs.imag.any()
        row, column = ((split.inputs.real + 1) / 2 * (size - 1)).round().long().T
        grid[row, column] = split.targets[:, 0].numpy()
    return grid


def test_every_point_of_the_grid_is_in_one_split():
    data = wave_field(size=20, dtype=DTYPE)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [240, 80, 80]
    assert np.isfinite(on_the_grid(20)).all()


def test_it_has_unit_power_and_no_wave_outside_of_the_aperture():
    field = on_the_grid(64, bandwidth=3.0, seed=2)
    assert np.mean(np.abs(field) ** 2) == pytest.approx(1)
    # A window keeps what leaks from the edges below what would be seen.
    window = np.outer(np.hanning(64), np.hanning(64))
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(window * field))) ** 2
    periods = np.fft.fftshift(np.fft.fftfreq(64, d=1 / 64))
    outside = np.hypot(*np.meshgrid(periods, periods)) > 3.0 + 3
    assert spectrum[outside].sum() < 1e-3 * spectrum.sum()


def test_a_single_wave_has_one_modulus_everywhere():
    field = on_the_grid(16, waves=1, bandwidth=2.0)
    np.testing.assert_allclose(np.abs(field), 1, rtol=1e-12)


def test_speckle_is_circular_with_exponential_intensity():
    values = np.concatenate([on_the_grid(32, seed=s, bandwidth=8.0).ravel() for s in range(20)])
    assert abs(np.mean(values**2)) < 0.05
    assert np.mean(np.abs(values) ** 4) == pytest.approx(2, rel=0.1)  # E I² = 2 (E I)²


def test_noise_is_on_the_training_points_alone():
    clean, noisy = (wave_field(noise=noise, dtype=DTYPE) for noise in (0.0, 0.3))
    difference = in_memory(noisy.train).targets - in_memory(clean.train).targets
    assert difference.abs().square().mean().sqrt().item() == pytest.approx(0.3, rel=0.1)
    assert torch.equal(in_memory(noisy.test).targets, in_memory(clean.test).targets)
