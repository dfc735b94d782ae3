"""Labels: what is compared with what, by name."""

from __future__ import annotations

import pytest

from cvtrain.analysis.compare import compare
from cvtrain.process.errors import InputError
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


ADAM = {"optimizer___target_": "torch.optim.Adam"}


def test_beside_the_factor_what_else_differs_makes_groups_that_are_named_by_it():
    rows = [row(0.1), row(0.1, optimizer__momentum=0.9), row(0.1, **HALVED), row(0.1, **ADAM)]
    del rows[3]["optimizer.momentum"]
    groups = compare(sweep_of(rows)).groups
    assert [group.name for group in groups] == ["SGD, momentum=0", "SGD, momentum=0.9", "Adam"]
    assert {(group.reference, group.varied) for group in groups} == {("scale 1, pytorch", "")}


def test_what_follows_from_variant_and_network_together_is_in_no_name():
    """A real twin's arguments, which depend on the task too."""
    rows = [
        row(0.1, variant=task, model={"_target_": f"cvtrain.models.{kind}", "output": output})
        for task, kind, output in (
            ("'digits'", "Mlp", None),
            ("'digits'", "RealMlp", "real"),
            ("'equalizer'", "RealMlp", "complex"),
        )
    ]
    names = [group.name for group in compare(sweep_of(rows)).groups]
    assert names == [
        f"SGD, variant='{task}', model={kind}"
        for task, kind in (("digits", "Mlp"), ("digits", "RealMlp"), ("equalizer", "RealMlp"))
    ]


def labels(rows):
    return {
        group.name: (group.reference, [arm.name for arm in group.arms])
        for group in compare(sweep_of(rows)).groups
    }


def test_any_other_swept_key_makes_arms_and_the_first_value_is_the_reference():
    rows = [row(0.1, clip={"kind": "none"}), row(0.1, clip={"kind": "norm", "threshold": 0.5})]
    rows += [one | {"optimizer._target_": "torch.optim.Adam"} for one in rows]
    arms = ("clip.kind=none", ["clip.kind=none", "clip.kind=norm"])
    assert labels(rows) == {"SGD": arms, "Adam": arms}
    assert compare(sweep_of(rows)).groups[0].varied == "clip.kind"


def test_two_swept_keys_make_an_arm_of_each_combination():
    rows = [row(0.1, batch_size=b, optimizer__momentum=m) for b in (8, 16) for m in (0.0, 0.9)]
    (names,) = labels(rows).values()
    assert names[1] == [f"batch_size={b}, momentum={m:g}" for b in (8, 16) for m in (0, 0.9)]


def test_optimizers_are_arms_where_nothing_else_was_swept_and_data_sets_are_groups():
    optimizers = ("optimizer=SGD", ["optimizer=SGD", "optimizer=Adam"])
    assert labels([row(0.1), row(0.1, **ADAM)]) == {"optimizers": optimizers}
    data = {"data___target_": "cvtrain.data.system_id.system_id"}
    names = labels([row(0.1, batch_size=b, **d) for d in ({}, data) for b in (8, 16)])
    assert list(names) == ["SGD, data=digits_fft", "SGD, data=system_id"]


def test_the_reference_is_the_one_that_is_asked_for_and_its_twins_are_the_control():
    rows = [row(0.1, batch_size=b, init_jitter=j) for b in (8, 16) for j in (0.0, 1e-6)]
    for one in rows:
        one["report.reference"] = "batch_size=16"
    (names,) = labels(rows).values()
    arms = ["batch_size=16", "batch_size=8", "batch_size=8, jittered", "jitter control"]
    assert names == ("batch_size=16", arms)
    for one in rows:
        one["report.reference"] = "batch_size=4"
    with pytest.raises(InputError, match=r"report\.reference=batch_size=4: should be one of batch"):
        labels(rows)


@pytest.mark.parametrize("swept", [{"batch_size": 16}, HALVED])
def test_splits_of_the_data_and_settings_of_the_report_make_neither_arms_nor_groups(swept):
    rows = [row(0.1, data__seed=s, **changed) for s in (0, 1) for changed in ({}, swept)]
    if swept is not HALVED:
        rows[0]["report.margin"] = 0.1
    ((name, (_, arms)),) = labels(rows).items()
    assert (name, len(arms)) == ("SGD", 2)


def test_settings_are_shown_as_they_were_given_and_left_out_where_there_are_none():
    rows = [row(0.1), row(0.1, data___target_="cvtrain.data.system_id.system_id", batch_size=None)]
    rows[1] |= {"data.taps": 8, "test/nmse": 0.1}
    names = [group.name for group in compare(sweep_of(rows)).groups]
    assert names == ["SGD, batch_size=64, data=digits_fft", "SGD, data=system_id, data.taps=8"]
