"""Labels: what is compared with what, by name."""

from __future__ import annotations

import pytest

from cvtrain.analysis.scores import compare
from tests.analysis.synthetic import HALVED, JITTERED, UNCONJUGATED, WIRTINGER, row, sweep_of


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "scale 1, pytorch"),
        ({"objective__scale": 0.25}, "scale ¼, pytorch"),
        ({"objective__scale": 3.0}, "scale 3, pytorch"),
        (HALVED | WIRTINGER, "scale ½, wirtinger"),
        (WIRTINGER | UNCONJUGATED, "scale 1, unconjugated_wirtinger"),
        ({"convention__scale": 2.0}, "scale 1, scale=2"),
        (JITTERED, "jitter control"),
    ],
)
def test_arms_are_named_by_scale_and_convention(changed, name):
    (group,) = compare(sweep_of([row(0.1, **changed)])).groups
    assert [arm.name for arm in group.arms] == [name]


def test_what_else_differs_makes_groups_that_are_named_by_it():
    adam = {"optimizer___target_": "torch.optim.Adam"}
    rows = [
        row(0.1),
        row(0.1, optimizer__momentum=0.9),
        row(0.1, **adam),
        row(0.1, **adam, optimizer__lr=0.5, seed=2, null_arm=False, lr_octave=2.0),
    ]
    for one in rows[2:]:
        del one["optimizer.momentum"]
    groups = compare(sweep_of(rows)).groups
    assert [group.name for group in groups] == ["SGD, momentum=0", "SGD, momentum=0.9", "Adam"]


def test_settings_are_shown_as_they_were_given_and_left_out_where_there_are_none():
    rows = [row(0.1), row(0.1, data___target_="cvtrain.data.system_id.system_id", batch_size=None)]
    rows[1] |= {"data.taps": 8, "test/nmse": 0.1}
    names = [group.name for group in compare(sweep_of(rows)).groups]
    assert names == ["SGD, batch_size=64, data=digits_fft", "SGD, data=system_id, data.taps=8"]
