"""A stranger's run or sweep executes nothing and reaches no network."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvtrain.cli import evaluate
from cvtrain.cli.train import main
from cvtrain.config.schema import check_config
from tests.sweeps.small_sweep import SMALL, resume, sweep

pytestmark = pytest.mark.usefixtures("blank_figures")

RUN = ("model.hidden=[4]", "max_steps=6", "signals.validation_every=3", "optimizer=adam")
EXECUTES = "torch.fx.graph_module.reduce_graph_module"
"""A function annotated to return a module, which executes its arguments."""


def arguments(made: Path) -> dict:
    return {"body": {"_code": ""}, "import_block": f"import os; os.mkdir({str(made)!r})\n"}


def overrides(made: Path) -> list[str]:
    return [
        *("model=custom", f"model._target_={EXECUTES}", "+model.args.body={_code: ''}"),
        f"+model.args.import_block=\"import os; os.mkdir('{made}')\\n\"",
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was stopped, and a sweep of two."""
    folder = tmp_path_factory.mktemp("trained")
    assert main([*RUN, "pause_at=3", f"hydra.run.dir={folder / 'run'}"]) == 0
    assert sweep(folder / "sweep", "optimizer=sgd", "objective.scale=1", "seed=0,1") == 0
    return folder


@pytest.fixture
def copies(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "of")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "of"


def change_run(directory: Path, change: Callable[[dict], object]) -> None:
    """As a stranger would, who can compute the configuration's hash."""
    path = directory / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["config"])
    content["id"] = check_config(content["config"]).identity
    path.write_text(json.dumps(content), encoding="utf-8")


def change_command(directory: Path, change: Callable[[list], list]) -> None:
    path = directory / "sweep.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["command"] = change(content["command"])
    path.write_text(json.dumps(content), encoding="utf-8")


def refused(capsys, status: int, *message: str) -> None:
    captured = capsys.readouterr().err
    assert status == 2
    assert len(captured.splitlines()) == 1, captured
    for text in message:
        assert text in captured


@pytest.mark.parametrize("way", ["evaluate", "run", "sweep", "command line"])
def test_a_target_that_executes_its_arguments_is_refused_in_a_line(copies, tmp_path, capsys, way):
    made = tmp_path / "executed"
    stranger = {"_target_": EXECUTES, "args": arguments(made)}
    capsys.readouterr()
    if way == "evaluate":
        change_run(copies / "run", lambda config: config.update(model=stranger))
        status = evaluate.main([str(copies / "run"), "--checkpoint", "last"])
    elif way == "run":
        change_run(copies / "run", lambda config: config.update(model=stranger))
        status = resume(copies / "run")
    elif way == "sweep":
        change_command(copies / "sweep", lambda _: [*overrides(made), "seed=0,1"])
        status = resume(copies / "sweep")
    else:
        status = main(overrides(made))
    assert not made.exists()
    if way in ("sweep",):  # and the point that it is in
        captured = capsys.readouterr().err
        assert status == 2
        assert f"model._target_={EXECUTES}: should be a torch Module class of" in captured
        assert "Traceback" not in captured
    else:
        refused(capsys, status, f"model._target_={EXECUTES}: should be a torch Module class of")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of"]


@pytest.mark.parametrize(
    ("slot", "target", "arguments"),
    [
        ("data", "cvtrain.data.load.build_dataset", {"slot": {}, "dtype": "complex64"}),
        ("data", "cvtrain.data.idx_fft.idx_fft", {"fetch": True}),
        ("optimizer", "torch.hub.load", {"lr": 0.1, "reference_lr": 0.1}),
    ],
)
def test_the_other_slots_of_a_file_take_no_function_either(
    copies, tmp_path, capsys, slot, target, arguments
):
    content = {"_target_": target, **arguments}
    change_run(copies / "run", lambda config: config.update({slot: content}))
    capsys.readouterr()
    refused(capsys, resume(copies / "run"), f"{slot}._target_={target}: should be a")


COMMANDS = [
    (["logger=mlflow", "logger.tracking_uri=http://127.0.0.1:9"], "sets logger", "logger=…"),
    (["logger.kind=wandb", "+logger.project=x"], "sets logger.kind", "logger.kind=…"),
    (["+logger@x=mlflow"], "sets logger", "logger=…"),
    (["+model@logger=mlp"], "sets model", "the whole command"),
    (["~logger", "+logger={kind: wandb, project: x}"], "sets logger", "logger=…"),
    (["trusted_modules=[antenna]"], "sets trusted_modules", "trusted_modules=…"),
    (["variant='${oc.env:SECRET}'"], "sets variant", "variant=…"),
    (["output=${oc.env:SECRET}"], "sets output", "output=…"),
    (['variant="a ${ oc.env:SECRET}"'], "sets variant", "variant=…"),
    (["variant='${variant_${oc.env:SECRET}}'"], "sets variant", "variant=…"),
    (["variant='${learning_rate:${oc.env:SECRET},1}'"], "sets variant", "variant=…"),
    (['variant="${oc.decode:\\${oc.env:SECRET}}"'], "sets variant", "variant=…"),
    (["variant=${hydra:runtime.cwd}"], "sets variant", "variant=…"),
    (["+data.path=${oc.env:SECRET}"], "sets data.path", "the whole command"),
    (["hydra.searchpath=[file:///tmp]"], "sets hydra.searchpath", "hydra.searchpath=…"),
    (["hydra.job.env_set={A: b}"], "sets hydra.job.env_set", "hydra.job.env_set=…"),
    (["+hydra.callbacks.x._target_=subprocess.Popen"], "sets hydra.callbacks", "hydra.callbacks"),
    (["hydra.launcher._target_=subprocess.Popen"], "sets hydra.launcher", "hydra/launcher=…"),
    (["hydra/launcher=ray_aws"], "sets hydra/launcher", "hydra/launcher=…"),
    (["hydra/launcher=ray,slurm"], "sets hydra/launcher", "hydra/launcher=…"),
    (["hydra.launcher.address=127.0.0.1:9"], "sets hydra.launcher.address", "hydra/launcher=…"),
    (["hydra.sweeper.variants=[['logger=mlflow']]"], "sets hydra.sweeper.variants", "variants=…"),
]


@pytest.mark.parametrize(("added", "message", "wanted"), COMMANDS)
def test_a_recorded_command_brings_no_trust_no_address_and_no_environment(
    copies, capsys, monkeypatch, added, message, wanted
):
    monkeypatch.setenv("SECRET", "hunter2")
    change_command(copies / "sweep", lambda command: [*command, *added])
    capsys.readouterr()
    status = resume(copies / "sweep")
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    assert status == 2
    assert len(captured.err.splitlines()) == 1
    assert "is not taken from a file" in captured.err
    assert message in captured.err
    assert wanted in captured.err
    assert "beside resume" in captured.err


@pytest.mark.parametrize(
    ("recorded", "typed"),
    [
        (["logger=mlflow", "logger.tracking_uri=http://127.0.0.1:9"], ["logger=none"]),
        (["trusted_modules=[antenna]"], ["trusted_modules=[]"]),
        (["variant=${oc.env:SECRET}"], ["variant=mine"]),
        (["hydra/launcher=ray_aws", "hydra.launcher.x=y"], ["hydra/launcher=stacked"]),
        (["hydra.job.chdir=true"], ["hydra.job.chdir=false"]),
    ],
)
def test_what_is_typed_beside_resume_replaces_what_a_file_may_not_bring(copies, recorded, typed):
    change_command(copies / "sweep", lambda command: [*command, *recorded])
    assert resume(copies / "sweep", *typed) == 0


def test_an_assembled_interpolation_stays_text(copies, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    change_command(
        copies / "sweep",
        lambda command: [*command, "variant='$'", "output='${variant}{oc.env:SECRET}'"],
    )
    assert resume(copies / "sweep") == 0
    for path in (copies / "sweep").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_the_name_of_a_sweeps_directory_reads_no_environment(copies, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    directory = (copies / "sweep").rename(tmp_path / "${oc.env:SECRET}")
    capsys.readouterr()
    refused(capsys, main([f"resume='{directory}'"]), "in its name should be renamed")
    assert not (tmp_path / "hunter2").exists()


def test_a_runs_file_names_no_tracker(copies, capsys):
    logger = {"kind": "mlflow", "experiment": "x", "tracking_uri": "http://127.0.0.1:9"}
    change_run(copies / "run", lambda config: config.update(logger=logger))
    capsys.readouterr()
    refused(
        capsys,
        resume(copies / "run"),
        "its run.json sets logger=mlflow, which is not taken from a file",
    )
    assert evaluate.main([str(copies / "run"), "--checkpoint", "last"]) == 0
    assert resume(copies / "run", "logger=none") == 0


@pytest.mark.parametrize("way", ["evaluate", "run", "sweep"])
def test_a_file_begins_no_download(copies, capsys, monkeypatch, way):
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("connects")

    monkeypatch.setattr("cvtrain.data.idx_download.urlopen", connect)
    data = {"_target_": "cvtrain.data.mnist_fft.mnist_fft", "path": "elsewhere", "download": True}
    capsys.readouterr()
    if way == "sweep":
        added = ["data=mnist_fft", "data.path=elsewhere", "data.download=true"]
        change_command(copies / "sweep", lambda command: [*command, *added])
        status = resume(copies / "sweep")
    else:
        change_run(copies / "run", lambda config: config.update(data=data))
        command = evaluate.main if way == "evaluate" else main
        argument = str(copies / "run") if way == "evaluate" else f"resume={copies / 'run'}"
        status = command([argument])
    captured = capsys.readouterr().err
    assert status == 2
    assert "a download is not begun because a file says data.download=true" in captured
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize("flag", ["--experimental-rerun", "--experimental-re"])
def test_a_pickled_job_is_not_run_again(tmp_path, capsys, flag):
    path = tmp_path / "job.pickle"
    path.write_bytes(b"cos\nmkdir\n(S'" + os.fsencode(tmp_path / "executed") + b"'\ntR.")
    refused(
        capsys,
        main([flag, str(path), *SMALL]),
        f"--experimental-rerun {path}: is refused, since it executes the content of the file",
    )
    assert not (tmp_path / "executed").exists()
