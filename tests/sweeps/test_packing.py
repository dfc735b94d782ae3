"""Which points are trained together, in what sizes, and why others are not."""

from __future__ import annotations

import pytest

from cvtrain.config.point import Point
from cvtrain.sweeps import memory_probe, packing
from cvtrain.sweeps.memory_probe import MemoryProbe, _peak_on_host, _train, probe_memory
from cvtrain.sweeps.packing import balanced, describe, largest_stack, pack
from cvtrain.sweeps.plan import Plan
from cvtrain.training.job import Job
from cvtrain.training.stacking import common_part, stack_numbers
from cvtrain.training.task import Task
from tests.training.trained_runs import composer, configured

SMALL = ("model.hidden=[8]", "max_steps=10", "signals.histograms_every=0")

AXES = (
    "seed=1",
    "init_jitter=1e-6",
    "objective.scale=0.5",
    "convention=wirtinger",
    "convention=unconjugated",
    "lr_octave=2",
    "optimizer.lr=0.3",
    "optimizer.momentum=0.5",
    "optimizer.weight_decay=0.1",
    "optimizer.real_parameters.lr=0.1",
    "scheduler=cosine",
    "output=elsewhere",
)
STRUCTURE = (
    "data.seed=1",
    "max_steps=11",
    "batch_size=32",
    "dtype=complex128",
    "model=mlp",
    "model.hidden=[9]",
    "optimizer=adam",
    "clip=norm",
    "signals.scalars_every=3",
    "signals.histograms_every=5",
    "goal.value=0.5",
    "checkpoint.every_n_steps=5",
    "ema.decay=0.9",
    "+trainer.detect_anomaly=true",
)


def points(*overrides: str) -> tuple[Point, ...]:
    return Plan.compose(composer(), [*SMALL, *overrides]).points


@pytest.mark.parametrize("axis", AXES)
def test_numbers_fit_together(axis):
    assert common_part(configured(*SMALL)) == common_part(configured(*SMALL, axis))


@pytest.mark.parametrize("choice", STRUCTURE)
def test_what_shapes_the_computation_does_not(choice):
    assert common_part(configured(*SMALL)) != common_part(configured(*SMALL, choice))


def test_draws_of_the_data_fit_together_where_they_have_one_shape_and_little_room_is_needed(
    monkeypatch,
):
    def sizes(*overrides: str) -> list[int]:
        return [len(job.points) for job in pack(points("seed=0,1", *overrides), None)]

    assert sizes("data.seed=0,1,2") == [6]
    noise = ("data=noncircular", "data.length=8", "data.seed=0,1")
    assert sizes(*noise, "data.samples_per_class=100,200") == [4, 4]
    monkeypatch.setattr("cvtrain.sweeps.packing.MOST_DRAWN", 1)
    assert sizes("data.seed=0,1,2") == [2, 2, 2]


def test_averages_of_weights_fit_together_whatever_their_decay():
    averaged = configured(*SMALL, "ema.decay=0.9")
    assert common_part(averaged) == common_part(configured(*SMALL, "ema.decay=0.5"))
    both = [averaged, configured(*SMALL, "ema.decay=0.5")]
    assert stack_numbers(both).decay.tolist() == [0.9, 0.5]
    assert stack_numbers([configured(*SMALL)]).decay is None


def test_bools_and_pairs_of_an_optimizer():
    adam = (*SMALL, "optimizer=adam")
    assert common_part(configured(*adam)) == common_part(configured(*adam, "optimizer.betas=[0,0]"))
    assert common_part(configured(*adam)) != common_part(
        configured(*adam, "optimizer.amsgrad=true")
    )
    clipped = (*SMALL, "clip=norm")
    assert common_part(configured(*clipped)) == common_part(configured(*clipped, "clip.eps=0.1"))


def test_groups_keep_the_order_of_their_points():
    chosen = points("optimizer=sgd,adam", "seed=0,1,2", "batch_size=32,64")
    packs = pack(chosen, None)
    assert [one_pack.engine for one_pack in packs] == ["stack"] * 4
    assert sorted(p.number for one_pack in packs for p in one_pack.points) == list(range(12))
    for one_pack in packs:
        assert list(one_pack.points) == sorted(one_pack.points, key=lambda p: p.number)
        assert len({(p.config.optimizer.target, p.config.batch_size) for p in one_pack.points}) == 1


def test_max_stack_bounds_the_size_and_one_means_never():
    chosen = points("seed=range(0,11)")
    assert [len(one_pack.points) for one_pack in pack(chosen, 4)] == [4, 4, 3]
    assert [len(one_pack.points) for one_pack in pack(chosen, 11)] == [11]
    singly = pack(chosen, 1)
    assert [(len(one_pack.points), one_pack.engine) for one_pack in singly] == [(1, "single")] * 11
    assert describe(singly) == ["11 runs one by one"]


def test_workers_share_a_group_and_none_gets_a_stack_of_one():
    chosen = points("seed=range(0,11)")
    assert [len(one_pack.points) for one_pack in pack(chosen, None, workers=2)] == [6, 5]
    assert [len(one_pack.points) for one_pack in pack(chosen, 3, workers=2)] == [3, 3, 3, 2]
    many = points("seed=range(0,40)")
    assert [len(one_pack.points) for one_pack in pack(many, None, workers=2, threads=1)] == [24, 16]
    few = pack(chosen[:4], None, workers=16)
    assert [(len(one_pack.points), one_pack.engine) for one_pack in few] == [(2, "stack")] * 2


def test_a_point_with_nothing_beside_it_is_trained_by_itself():
    packs = pack(points("batch_size=32,64"), None)
    assert [one_pack.engine for one_pack in packs] == ["single", "single"]


def test_a_network_whose_seed_shows_outside_its_tensors_is_trained_singly(tmp_path, monkeypatch):
    (tmp_path / "drawing_network.py").write_text(
        "import torch\n"
        "class Permuting(torch.nn.Linear):\n"
        "    def __init__(self, in_features, out_features, dtype):\n"
        "        super().__init__(in_features, out_features, dtype=dtype)\n"
        "        self.order = torch.randperm(in_features).tolist()\n"
        "    def forward(self, x):\n"
        "        return super().forward(x.flatten(1)[:, self.order])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    network = ("model=custom", "model._target_=drawing_network.Permuting")
    chosen = (*SMALL[1:], *network, "trusted_modules=[drawing_network]", "seed=0,1")
    packs = pack(Plan.compose(composer(), chosen).points, None)
    assert [one_pack.engine for one_pack in packs] == ["single"] * 2
    assert "the networks differ in order" in describe(packs)[0]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 65, 350])
@pytest.mark.parametrize("limit", [1, 2, 64, 1000])
@pytest.mark.parametrize("multiple", [1, 8])
def test_parts_are_few_and_even_and_are_not_filled_up(size, limit, multiple):
    chosen = points("seed=range(0,7)") * 50
    sizes = [len(part) for part in balanced(chosen[:size], limit, multiple)]
    assert sum(sizes) == size
    assert max(sizes) <= limit
    assert len(sizes) == -(-size // limit)
    assert sizes[-1] == min(sizes)
    unit = multiple if limit % multiple == 0 and size % multiple != 1 else 1
    assert all(part % unit == 0 for part in sizes[:-1])
    filled = [-(-part // unit) for part in sizes]
    assert max(filled) - min(filled) <= 1


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("optimizer=lbfgs", "batch_size=null"), "LBFGS has no stacked form"),
        (("+optimizer.differentiable=true",), "the stacked SGD has no argument differentiable"),
        (("trainer.accumulate_grad_batches=2",), "accumulate_grad_batches"),
        (
            ("+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.Timer}]",),
            "trainer.callbacks",
        ),
        (
            (
                "model=custom",
                "model._target_=refusing_network.Branching",
                "trusted_modules=[refusing_network]",
            ),
            "the network refuses to be stacked: ",
        ),
        (
            (
                "model=custom",
                "model._target_=refusing_network.Noisy",
                "trusted_modules=[refusing_network]",
            ),
            "one by one: its forward draws random numbers by randn_like (a stack has those of",
        ),
    ],
)
def test_what_cannot_be_stacked_is_named_with_its_reason(tmp_path, monkeypatch, overrides, reason):
    (tmp_path / "refusing_network.py").write_text(
        "import torch\n"
        "class Branching(torch.nn.Linear):\n"
        "    def __init__(self, in_features, out_features, dtype):\n"
        "        super().__init__(in_features, out_features, dtype=dtype)\n"
        "    def forward(self, x):\n"
        "        y = super().forward(x.flatten(1))\n"
        "        return y if y.abs().sum() > 0 else -y\n"
        "class Noisy(Branching):\n"
        "    def forward(self, x):\n"
        "        y = torch.nn.Linear.forward(self, x.flatten(1))\n"
        "        return y + torch.randn_like(y)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = Plan.compose(composer(), [*SMALL[1:], *overrides, "seed=0,1,2"]).points
    packs = pack(chosen, None)
    assert [one_pack.engine for one_pack in packs] == ["single"] * 3
    (line,) = describe(packs)
    assert line.startswith("3 runs one by one: ")
    assert reason in line
    assert chosen[0].directory in line


def test_memory_bounds_the_size(monkeypatch):
    chosen = points("seed=range(0,20)")
    trial = probe_memory(chosen[0].config, Task(chosen[0].config))
    assert trial.refusal is None
    monkeypatch.setattr(packing, "alignment", lambda *_: 4)

    def packs_where_there_is_room_for(members: int) -> list[Job]:
        available = trial.bytes(members) / packing.MEMORY_SHARE * 1.001
        monkeypatch.setattr(packing, "available_memory", lambda config: available)
        return pack(chosen, None)

    # 11 make stacks of 8, since 10 would be filled up to 12.
    assert [len(one_pack.points) for one_pack in packs_where_there_is_room_for(11)] == [8, 8, 4]
    assert [len(one_pack.points) for one_pack in packs_where_there_is_room_for(4)] == [4] * 5
    packs = packs_where_there_is_room_for(3)
    assert {one_pack.engine for one_pack in packs} == {"single"}
    assert "a stack of 4 takes" in describe(packs)[0]
    assert "more than there is" in describe(packs)[0]


def test_where_everything_fits_in_any_case_one_stack_is_tried(monkeypatch):
    chosen = points("seed=range(0,20)")
    sizes = []
    monkeypatch.setattr(memory_probe, "_train", lambda config, task, size: sizes.append(size))
    monkeypatch.setattr(memory_probe, "_peak_on_host", lambda work: work() or 1e6 * sizes[-1])
    monkeypatch.setattr(packing, "alignment", lambda *_: 8)
    for members, tried in ((24, [2]), (23, [2, 4])):  # 20 are filled up to 24
        available = members * 1e6 / packing.MEMORY_SHARE * 1.001
        monkeypatch.setattr(packing, "available_memory", lambda task, bytes=available: bytes)
        sizes.clear()
        stacks = pack(chosen, None)
        assert sizes == tried
        assert [len(job.points) for job in stacks] == ([20] if members == 24 else [16, 4])


def test_the_largest_stack_is_the_one_that_still_fits():
    trial = MemoryProbe(None, fixed=100.0, per_member=10.0)
    memory = 200.0 / packing.MEMORY_SHARE
    assert largest_stack(trial, memory, 1) == 10
    assert largest_stack(trial, memory, 4) == 8
    assert trial.bytes(10) == 200.0


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_memory_is_foreseen_to_a_fifth_and_linear(optimizer):
    config = configured("model=mlp", "signals.histograms_every=0", f"optimizer={optimizer}")
    task = Task(config)
    trial = probe_memory(config, task)
    for size in (24, 48):
        seen = _peak_on_host(lambda size=size: _train(config, task, size))
        assert 0.8 < seen / trial.bytes(size) < 1.25, size
