"""How many points a command line means is counted as they are expanded."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.config.overrides import parse_override
from cvtrain.config.sweep_size import axis_length, product_size
from cvtrain.process.errors import InputError


@pytest.mark.parametrize(
    "values",
    [
        "1,2,3",
        "choice(a,b)",
        "range(10)",
        "range(3,10,4)",
        "range(10,3,-4)",
        "range(0,1,0.3)",
        "range(1,0,-0.25)",
        "shuffle(range(5))",
        "sort(range(5),reverse=true)",
        "tag(x,range(2,7))",
        "float(range(0,4))",
        "[1,2],[3]",
        "{a:1},{a:2}",
    ],
)
def test_an_axis_has_as_many_values_as_hydra_expands_it_to(values):
    override = parse_override(f"seed={values}")
    assert axis_length(override) == len(list(override.sweep_iterator()))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9) | st.integers(-9, -1))
def test_ranges_are_counted_as_python_counts_them(start, stop, step):
    text = f"seed=range({start},{stop},{step})"
    wanted = len(range(start, stop, step))
    if wanted:
        assert axis_length(parse_override(text)) == wanted
    else:
        with pytest.raises(InputError, match="at least one value"):
            parse_override(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=range(0,-inf,-1)", "should be finite"),
        ("seed=range(0,3,nan)", "should be finite"),
        ("seed=shuffle(range(0,1000000000))", "1,000,000,000 points; should be at most 100,000"),
        ("seed=tag(a,range(0,1e15))", "more than 1,000,000,000,000 points"),
        ("optimizer=range(0,1e9)", "1,000,000,000 points"),
        ("optimizer.lr=range(0.1,0.2,1e-300)", "more than 1,000,000,000,000 points"),
        (f"lr_octave={'9' * 5000}", "lr_octave=999.*4300 digits"),
        (f"model.hidden={'[' * 300}{']' * 300}", "at most 20 deep"),
        (f"model.hidden={'[' * 3000}{']' * 3000}", "at most 20 deep"),
        (f"{'a.' * 1000}b=3", "a.a.a.*no such key"),
    ],
    ids=lambda text: text[:30],
)
def test_what_no_sweep_has_room_for_is_refused_where_it_is_parsed(text, message):
    with pytest.raises(InputError, match=message):
        parse_override(text)


def test_fractions_are_counted_exactly():
    override = parse_override("lr_octave=range(0,1,0.125)")
    assert axis_length(override) == Fraction(1) / Fraction(1, 8)


def test_axes_multiply_and_of_two_of_a_key_the_later_counts():
    swept = map(parse_override, ("seed=0,1,2", "lr_octave=range(7)", "seed=0,1", "max_steps=3"))
    assert product_size(swept, variants=5) == 2 * 7 * 5
