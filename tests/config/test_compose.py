"""Quick composition gives what Hydra's own composition gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir, version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from cvtrain.config.compose import Composer, configuration_folder
from cvtrain.config.overrides import parse_override, quoted
from cvtrain.process.errors import InputError
from cvtrain.sweeps.fewer_points import fewer_points, without_typed_axes
from cvtrain.sweeps.plan import Plan, directory_name, swept_values

SWEEP = ["+experiment=sweep"]
AXES = [
    "optimizer=sgd,adam",
    "objective.scale=1,0.5",
    "convention=pytorch,wirtinger",
    "lr_octave=range(-3,4)",
    "seed=range(0,5)",
]


@pytest.fixture
def composer() -> Composer:
    version.setbase("1.3")
    return Composer(ConfigLoaderImpl(create_config_search_path(configuration_folder())))


@pytest.fixture
def hydras_own():
    GlobalHydra.instance().clear()
    with initialize_config_dir(configuration_folder(), version_base="1.3"):
        yield lambda overrides: OmegaConf.to_container(
            compose("config", overrides=list(overrides)), resolve=True
        )
    GlobalHydra.instance().clear()


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=adam", "optimizer.lr=0.25", "seed=3"],
        ["+experiment=article", "convention=unconjugated"],
        ["+experiment=sweep", "optimizer=sgd", "lr_octave=-2", "convention=wirtinger", "seed=4"],
        ["model=mlp", "model.hidden=[8,4]", "+trainer.detect_anomaly=true", "~checkpoint"],
        ["lr_octave=1", "optimizer=adam", "optimizer.reference_lr=0.5"],
        [
            "clip=norm",
            "clip.threshold=2",
            "++clip.eps=0",
            "data=system_id",
            "objective=complex_mse",
        ],
    ],
)
def test_a_point_equals_hydras_own_composition(composer, hydras_own, overrides):
    assert composer.compose(overrides) == hydras_own(overrides)


def test_every_point_of_the_sweep_equals_hydras_own_composition(composer, hydras_own):
    points = Plan.compose(composer, [*AXES, *SWEEP]).points
    for point in points[::23]:
        assert composer.compose(point.overrides) == hydras_own(point.overrides)


def test_the_jitter_control_of_an_ablation_repeats_the_arm_that_others_are_compared_with(composer):
    axes = ["null_arm=true", "clip=none,norm", "optimizer=sgd,adam", "seed=0,1"]
    for more, reference in (([], "none"), (["report.reference='clip.kind=norm'"], "norm")):
        points = Plan.compose(composer, [*axes, *more]).points
        twins = [point.config for point in points if point.config.init_jitter > 0]
        assert (len(points), len(twins)) == (12, 4)
        assert {config.clip.kind for config in twins} == {reference}
    with pytest.raises(InputError, match=r"should be one of clip\.kind=none; clip\.kind=norm"):
        Plan.compose(composer, [*axes, "report.reference=none"])


def test_the_sweep_has_350_points_of_which_70_are_jitter_controls_and_fewer_by_its_rules(composer):
    points = Plan.compose(composer, [*AXES, *SWEEP]).points
    assert len(points) == 350
    twins = [point for point in points if point.config.init_jitter > 0]
    assert len(twins) == 70
    assert {(p.config.objective.scale, p.config.convention.scale) for p in twins} == {(1.0, 1.0)}
    assert len({point.id for point in points}) == 350
    assert len({point.directory for point in points}) == 350
    fewer = [
        {"where": {"objective.scale": 0.5}, "keep": {"lr_octave": [-2, -1], "seed": [0, 7]}},
        {"where": {"objective.scale": 0.5, "optimizer": "sgd"}, "keep": {"lr_octave": [5]}},
    ]
    points = Plan.compose(composer, [*AXES, *SWEEP], fewer=fewer).points
    halved = [point.config for point in points if point.config.objective.scale == 0.5]
    assert {(config.lr_octave, config.seed) for config in halved} == {(-2.0, 0), (-1.0, 0)}
    assert len(points) == 210 + len(halved) == 210 + 8
    with pytest.raises(InputError, match="should have where and keep"):
        Plan.compose(composer, [*AXES, *SWEEP], fewer=[{"keep": {}}])


def test_an_axis_that_the_command_line_sets_is_trained_whole():
    rules = [{"where": {"optimizer": "adam"}, "keep": {"lr_octave": [-1], "seed": [0]}}]
    typed = without_typed_axes(rules, ["lr_octave=0,1", "max_steps=4"])
    assert typed == [{"where": {"optimizer": "adam"}, "keep": {"seed": [0]}}]
    points = [[f"optimizer={o}", f"lr_octave={lr}"] for o in ("sgd", "adam") for lr in (-1, 0)]
    assert len(fewer_points(points, rules)) == 3
    assert fewer_points(points, typed) == points


def test_a_rule_keeps_the_first_few_values_of_an_axis_whoever_set_it():
    rules = [{"where": {"optimizer": "adam"}, "keep": {"seed": 2}}]
    assert without_typed_axes(rules, ["seed=7,9,8"]) == rules
    points = [[f"optimizer={o}", f"seed={seed}"] for o in ("sgd", "adam") for seed in (7, 9, 8)]
    assert fewer_points(points, rules) == points[:5]
    assert fewer_points(points[3:4], rules) == points[3:4]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (3, "fewer=3: should be a list of rules"),
        ("x", "fewer=x: should be a list of rules"),
        ([3], "fewer=3: should have where and keep"),
        ([{"where": 1, "keep": 2}], "should have where and keep, as mappings"),
        ([{"where": {}, "keep": {"seed": 0.5}}], "keep.seed=0.5: should be a list, or a number"),
        ([{"where": {}, "keep": {"seed": 0}}], "keep.seed=0: should be a list, or a number"),
    ],
)
def test_rules_of_another_form_are_refused(rules, message):
    with pytest.raises(InputError, match=message):
        without_typed_axes(rules, [])


def test_learning_rates_go_by_octaves_of_each_optimizers_reference(composer):
    for name in ("sgd", "adam"):
        at_reference = composer.compose([f"optimizer={name}", "lr_octave=0"])["optimizer"]
        assert at_reference["lr"] == at_reference["reference_lr"]
        moved = composer.compose([f"optimizer={name}", "lr_octave=-3"])["optimizer"]
        assert moved["lr"] == at_reference["reference_lr"] / 8


def test_a_learning_rate_on_the_command_line_replaces_the_octave_axis(composer):
    points = Plan.compose(
        composer, [*AXES, *SWEEP, "null_arm=false", "optimizer.lr=0.1,0.2"]
    ).points
    assert len(points) == 2 * 2 * 2 * 5 * 2
    assert {point.config.optimizer.lr for point in points} == {0.1, 0.2}


def test_the_identity_is_of_what_is_computed_not_of_where_it_goes(composer):
    def identity(*overrides: str) -> str:
        return Plan.compose(composer, overrides).points[0].id

    assert identity() == identity("output=elsewhere", "on_error=stop")
    assert identity("lr_octave=1") == identity("optimizer.lr=0.25")
    assert identity() != identity("seed=1")
    assert identity() != identity("objective.scale=0.5")


def test_run_directories_are_named_by_number_and_swept_values():
    combination = [
        "lr_octave=-2",
        "objective.scale=0.5",
        "convention=wirtinger",
        "seed=1",
        "dtype=x",
    ]
    swept = {"lr_octave", "objective.scale", "convention", "seed"}
    values = swept_values(combination, swept)
    assert values == "lr_octave=-2,objective_scale=0.5,convention=wirtinger,seed=1"
    assert directory_name(7, 3, values) == f"007_{values}"
    assert directory_name(7, 3, "") == "007"


def test_run_directory_names_stay_short_safe_and_distinct():
    long = [swept_values([f"model.hidden=[{'9,' * 200}{last}]"], {"model.hidden"}) for last in "12"]
    names = [directory_name(0, 1, values) for values in long]
    assert names[0] != names[1]
    assert all(len(name) < 130 and "/" not in name for name in names)
    assert "/" not in swept_values(["output='../../x'"], {"output"})


@pytest.mark.parametrize("text", ["plain", "it's", "a,b=c", "back\\slash", "\\'", "ünï", "tail\\"])
def test_quoting_survives_hydras_grammar(text):
    assert str(parse_override(f"key={quoted(text)}").value()) == text


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["-sc", "query=bash"]])
def test_information_needs_neither_torch_nor_lightning(arguments, tmp_path: Path):
    program = (
        "import sys\n"
        "from cvtrain.cli.train import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'lightning', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={"COMP_LINE": "cvtrain optimizer=", "PATH": "", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "adam" in done.stdout or "SGD" in done.stdout
    assert list(tmp_path.iterdir()) == []
