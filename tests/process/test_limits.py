"""What asks for more memory than there is gets an error, instead of ending the process."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import torch

from cvtrain.process.limits import within_free_memory


@pytest.fixture
def half_a_gigabyte(monkeypatch):
    monkeypatch.setattr("cvtrain.process.limits.free_host_memory", lambda: 0.5e9)


def test_too_large_a_request_is_an_error_inside_and_the_limit_is_taken_back(half_a_gigabyte):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with within_free_memory():
        assert len(np.empty(10_000_000)) == 10_000_000
        with pytest.raises(MemoryError):
            np.empty(200_000_000)
        with pytest.raises(RuntimeError, match="memory"):
            torch.empty(200_000_000, dtype=torch.float64)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert len(np.empty(200_000_000)) == 200_000_000


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["model.hidden=[1000000]"], "model: MixedMlp refuses its arguments"),
        (["data=equalizer", "objective=complex_mse", "data.taps=100000"], "data: it cannot be"),
        (["data=wave_field", "model=inr", "objective=complex_mse", "data.waves=100000"], "data: "),
    ],
)
def test_a_size_that_the_machine_has_no_memory_for_is_a_line(
    command, half_a_gigabyte, arguments, named
):
    outcome = command(*arguments, "max_steps=2")
    assert outcome.status == 2
    assert named in outcome.err
    assert outcome.made == []
