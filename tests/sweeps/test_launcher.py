"""The stacked launcher does for Hydra what Hydra's own launcher does."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext, RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf._utils import get_omega_conf_dumper

from cvtrain.cli.train import _task, main
from cvtrain.config.compose import configuration_folder
from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.process.errors import SweepStopped
from cvtrain.sweeps.config_yaml import config_yaml
from cvtrain.sweeps.executors.in_process import InProcess
from cvtrain.sweeps.hydra_jobs import HydraJob, job_overrides
from cvtrain.sweeps.job_composer import JobComposer, sweep_composer
from cvtrain.sweeps.launcher import JobBatch
from cvtrain.sweeps.point_jobs import PointJobs
from cvtrain.training.stack import Stack
from tests.restored_logging import logging_put_back

SHORT = ("max_steps=6", "model.hidden=[8]", "signals.validation_every=3")


class Told:
    """Callbacks that note what they are told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def on_job_start(self, config: Any, **_: Any) -> None:
        assert HydraConfig.get().job.num == config.hydra.job.num
        assert Path(config.hydra.runtime.output_dir).is_dir()
        self.calls.append(("start", config.hydra.job.num))

    def on_job_end(self, config: Any, job_return: Any) -> None:
        self.calls.append(("end", config.hydra.job.num))


class Setting:
    """Hydra as it is when a sweeper calls a launcher."""

    def __init__(self, root: Path, *overrides: str, max_stack: int | None = None) -> None:
        GlobalHydra.instance().clear()
        version.setbase("1.3")
        hydra = Hydra.create_main_hydra2(
            "cvtrain", create_config_search_path(configuration_folder())
        )
        arguments = [
            *overrides,
            "hydra.mode=MULTIRUN",
            f"hydra.sweep.dir={root}",
            "hydra.sweep.subdir=job${hydra.job.num}",
        ]
        self.loader = hydra.config_loader
        self.master = hydra.compose_config("config", arguments, run_mode=RunMode.MULTIRUN)
        self.callbacks = Told()
        context = HydraContext(config_loader=self.loader, callbacks=self.callbacks)
        self._launch = JobBatch(
            context, self.master, _task, max_stack, InProcess(bool(self.master.hydra.job.chdir))
        ).launch
        self._common = [text for text in overrides if "hydra." not in text]

    def launch(self, jobs: Sequence[list[str]], first: int) -> list[JobReturn]:
        """As a sweeper does: every job has the whole command line."""
        return self._launch([[*self._common, *job] for job in jobs], first)


@pytest.fixture(autouse=True)
def logging_and_hydra_are_left_alone(monkeypatch):
    monkeypatch.setattr("cvtrain.sweeps.launcher.configure_log", lambda *_: None)
    yield
    GlobalHydra.instance().clear()


COMPOSED = [
    ("seed=3",),
    ("optimizer=adam", "lr_octave=2", "objective.scale=0.5", "seed=1"),
    ("+experiment=sweep", "convention=wirtinger", "optimizer.betas=[0.5,0.6]", "optimizer=adam"),
    ("optimizer=sgd", "~optimizer.momentum", "+trainer.detect_anomaly=true"),
    ("+hydra.job.env_set.A=b", "seed=2", "hydra.sweep.subdir='a b'", "hydra/job_logging=none"),
    ("output='a=b,c'", "data.seed=4"),
]


def test_a_jobs_configuration_is_the_one_that_hydra_composes(tmp_path):
    setting = Setting(tmp_path)
    quick = JobComposer(sweep_composer(setting.loader, setting.master), setting.master)
    for number, overrides in enumerate([*COMPOSED, COMPOSED[1]]):
        expected = setting.loader.load_sweep_config(setting.master, list(overrides))
        expected.hydra.job.id = expected.hydra.job.num = number
        composed = quick.compose(overrides, number)
        assert OmegaConf.to_yaml(composed) == OmegaConf.to_yaml(expected), overrides


@pytest.mark.parametrize("kind", ["cvtrain", "default", "none"])
def test_points_begin_with_the_files_that_hydra_writes(tmp_path, kind):
    setting = Setting(tmp_path, f"hydra/job_logging={kind}", "hydra.job.name=a_job")
    composer = JobComposer(sweep_composer(setting.loader, setting.master), setting.master)
    point_jobs = PointJobs(composer, tmp_path)
    context = HydraContext(config_loader=setting.loader, callbacks=Told())
    config = Config.model_construct()
    for number, overrides in enumerate([*COMPOSED[:4], *COMPOSED[5:], ("resume='a b'",), (), ()]):
        point = Point(number, config, overrides, f"{number}_a=1,b=-2")
        folder = tmp_path / point.directory / ".hydra"
        begins = (
            HydraJob(composer.compose(job_overrides(point, tmp_path), number), context, _task),
            point_jobs,
        )
        written = []
        for arguments, job in zip(((), (point,)), begins, strict=True):
            with logging_put_back():
                job.begin(*arguments)
            written.append({path.name: path.read_bytes() for path in folder.iterdir()})
            shutil.rmtree(folder)
        assert written[0] == written[1], overrides
        assert written[0].keys() == {"config.yaml", "hydra.yaml", "overrides.yaml"}


def test_a_point_job_opens_the_log_that_hydra_opens(tmp_path):
    setting = Setting(tmp_path)
    point_jobs = PointJobs(
        JobComposer(sweep_composer(setting.loader, setting.master), setting.master), tmp_path
    )
    with logging_put_back():
        for number in range(2):
            point_jobs.begin(Point(number, Config.model_construct(), (), f"run{number}"))
            logging.getLogger(__name__).warning("number %d", number)
    for number in range(2):
        said = (tmp_path / f"run{number}" / "cvtrain.log").read_text()
        assert f"number {number}\n" in said
        assert f"number {1 - number}\n" not in said


TEXT = st.text(st.sampled_from("aA01_/=.,+-~ :#'\"\n\té{}[]&*!|>%@`eEyno"), max_size=90)
CONTENT = st.recursive(
    st.one_of(TEXT, st.integers().map(str), st.integers(), st.floats(), st.booleans(), st.none()),
    lambda inside: st.one_of(
        st.lists(inside, max_size=4), st.dictionaries(TEXT, inside, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(TEXT, CONTENT, max_size=5))
def test_yaml_is_what_omegaconf_writes(content):
    dumped = yaml.dump(
        content,
        default_flow_style=False,
        allow_unicode=True,
        sort_keys=False,
        Dumper=get_omega_conf_dumper(),
    )
    assert config_yaml(content) == dumped


def test_returns_are_in_the_order_of_the_jobs_whatever_was_packed(tmp_path):
    setting = Setting(tmp_path, *SHORT)
    jobs = [
        [f"optimizer={name}", f"seed={seed}"]
        for seed in (0, 1)
        for name in ("sgd", "lbfgs", "adam")
    ]
    returns = setting.launch(jobs, 10)
    assert [r.overrides[-2:] for r in returns] == jobs
    for number, returned in enumerate(returns, start=10):
        assert returned.status == JobStatus.COMPLETED
        record = json.loads((tmp_path / f"job{number}" / "run.json").read_text())
        assert returned.return_value == record["final"]["val/loss"]
        assert returned.hydra_cfg.hydra.job.num == number
        assert returned.cfg.seed == record["config"]["seed"]
        assert "hydra" not in returned.cfg
        assert returned.task_name
    engines = {n: _engine(tmp_path / f"job{n}") for n in range(10, 16)}
    assert engines == {
        10: "stack",
        11: "single",
        12: "stack",
        13: "stack",
        14: "single",
        15: "stack",
    }
    assert sorted(setting.callbacks.calls) == sorted(
        (what, n) for what in ("start", "end") for n in range(10, 16)
    )


def test_a_sweeper_may_ask_for_one_batch_after_another(tmp_path):
    setting = Setting(tmp_path, *SHORT)
    for first in (0, 4, 8):
        rates = [0.01 * 2**k for k in range(first, first + 4)]
        returns = setting.launch([[f"optimizer.lr={rate}"] for rate in rates], first)
        assert all(r.status == JobStatus.COMPLETED for r in returns)
    sizes = [json.loads(p.read_text())["stack_size"] for p in tmp_path.glob("*/run.json")]
    assert sizes == [4] * 12


def test_a_stack_that_fails_is_told_for_each_of_its_jobs_and_for_no_other(tmp_path, monkeypatch):
    original = Stack.batch_losses

    def failing(self, batch):
        if "Adam" in self.config.optimizer.target and self.config.max_steps == 6:
            raise RuntimeError("a loss of its own")
        return original(self, batch)

    monkeypatch.setattr(Stack, "batch_losses", failing)
    monkeypatch.setattr("cvtrain.sweeps.memory_probe.STEPS", 1)
    setting = Setting(tmp_path, *SHORT)
    jobs = [[f"optimizer={name}", f"seed={seed}"] for name in ("adam", "sgd") for seed in (0, 1)]
    returns = setting.launch(jobs, 0)
    assert [r.status.name for r in returns] == ["FAILED", "FAILED", "COMPLETED", "COMPLETED"]
    with pytest.raises(RuntimeError, match="of its own"):
        _ = returns[1].return_value
    assert len(setting.callbacks.calls) == 8
    with pytest.raises(SweepStopped):
        Setting(tmp_path / "again", *SHORT, "on_error=stop").launch(jobs, 0)
    assert not (tmp_path / "again" / "job2").exists()


def test_a_jobs_environment_is_set_while_its_stack_trains(tmp_path, monkeypatch):
    seen = []
    original = Stack.batch_losses

    def looking(self, batch):
        seen.append(os.environ.get("CVTRAIN_SEEN"))
        return original(self, batch)

    setting = Setting(tmp_path, *SHORT, "+hydra.job.env_set.CVTRAIN_SEEN=yes")
    monkeypatch.setattr(Stack, "batch_losses", looking)
    setting.launch([["seed=0"], ["seed=1"]], 0)
    assert seen[-6:] == ["yes"] * 6
    assert "CVTRAIN_SEEN" not in os.environ


def test_runs_with_a_working_directory_of_their_own_are_trained_singly(tmp_path, capsys):
    here = Path.cwd()
    Setting(tmp_path, *SHORT, "hydra.job.chdir=true").launch([["seed=0"], ["seed=1"]], 0)
    assert [_engine(tmp_path / f"job{n}") for n in (0, 1)] == ["single", "single"]
    assert Path.cwd() == here
    assert "2 runs one by one: hydra.job.chdir gives every run" in capsys.readouterr().err


@pytest.fixture(scope="module")
def by_launcher(tmp_path_factory):
    paths = {}
    for launcher in ("basic", "stacked"):
        root = tmp_path_factory.mktemp(launcher)
        axes = ("optimizer=sgd,adam", "seed=0,1")
        status = main(["-m", *SHORT, *axes, f"hydra/launcher={launcher}", f"output={root}"])
        assert status == 0
        (paths[launcher],) = (root / "sweep").iterdir()
    return paths


def test_a_sweep_leaves_the_same_files_under_either_launcher(by_launcher):
    def files(root: Path) -> list[str]:
        paths = (str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())
        return sorted(name.split(".tfevents")[0] for name in paths)

    assert files(by_launcher["basic"]) == files(by_launcher["stacked"])
    engines = {name: {_engine(p) for p in root.glob("*_*")} for name, root in by_launcher.items()}
    assert engines == {"basic": {"single"}, "stacked": {"stack"}}


@pytest.mark.parametrize("name", ["config", "overrides", "hydra"])
def test_hydras_own_files_say_the_same(by_launcher, name):
    basic, stacked = by_launcher["basic"], by_launcher["stacked"]
    for directory in basic.glob("*_*"):
        theirs = (directory / ".hydra" / f"{name}.yaml").read_text()
        ours = (stacked / directory.name / ".hydra" / f"{name}.yaml").read_text()
        theirs = theirs.replace(str(basic), str(stacked))
        theirs = theirs.replace(str(basic.parents[1]), str(stacked.parents[1]))
        differing = {
            line.split(":")[0].strip(" -")
            for line in set(theirs.splitlines()) ^ set(ours.splitlines())
        }
        assert differing <= {
            "_target_",
            "max_stack",
            "workers",
            "hydra/launcher",
            "hydra/launcher=basic",
            "hydra/launcher=stacked",
        }


def test_each_runs_log_says_what_it_trained(by_launcher):
    for directory in by_launcher["stacked"].glob("*_*"):
        log = (directory / "cvtrain.log").read_text()
        config = json.loads((directory / "run.json").read_text())["config"]
        assert f"lr {config['optimizer']['lr']:g}" in log
        assert log.count("optimizer  ") == 1


def _engine(directory: Path) -> str:
    return str(json.loads((directory / "run.json").read_text())["engine"])
