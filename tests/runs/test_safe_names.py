"""Names of run directories lead nowhere else, and a stranger's that do are told from them."""

from __future__ import annotations

import pytest

from cvtrain.runs.safe_names import is_plain, plain, shortened
from cvtrain.sweep.plan import directory_name


@pytest.mark.parametrize(
    "values",
    [
        "lr_octave=-2,objective_scale=0.5",
        "optimizer.betas=[0.9, 0.99]",
        "data.path=../../a b",
        "x=${oc.env:HOME}",
        "name=ü\n'\"\\",
        "y=" + "9" * 400,
        "",
    ],
)
def test_what_is_swept_makes_a_plain_name(values):
    assert is_plain(directory_name(7, 3, values))


def test_a_plain_name_stays_as_it_is():
    assert plain("lr_octave=-2.5,seed=1e+3") == "lr_octave=-2.5,seed=1e+3"
    assert shortened("a" * 120) == "a" * 120


@pytest.mark.parametrize("name", ["", ".", "..", ".lock", "-x", "a/b", "a\\b", "${a}", "a\n", "ü"])
def test_other_names_are_not(name):
    assert not is_plain(name)
