"""Which rules turn with the plane, over a whole training."""

from __future__ import annotations

import pytest

from cvtrain.laws.rotation import CANDIDATES, EIGHTH, QUARTER, rotation_errors


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_quarter_turns_are_exact_and_others_only_for_one_number(candidate):
    quarter, error = rotation_errors(candidate, QUARTER, EIGHTH)
    assert quarter == 0
    if "split" in candidate.name:
        assert error > 1e-3
    else:
        assert error < 1e-13
