"""Which rules turn with the plane, over a whole training."""

from __future__ import annotations

import pytest

from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_error


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_quarter_turns_are_exact_and_others_only_for_one_number(monkeypatch, candidate):
    monkeypatch.setattr("cvtrain.laws.rotation.STEPS", 40)
    assert rotation_error(candidate, QUARTER) == 0
    error = rotation_error(candidate, EIGHTH)
    if "split" in candidate.name:
        assert error > 1e-3
    else:
        assert error < 1e-13
