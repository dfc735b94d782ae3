"""What people type first, and the line that mends it; nothing is made on disk."""

from __future__ import annotations

import io
import sys

import pytest

from cvtrain.cli import convert, inform, report, tensorboard
from cvtrain.cli.train import main

NEW = "should be the path of a new directory"
SWEEP = ("seed=1,2", "-m")
MENDED = [
    # Another program's words, and those that a program's help is asked for with.
    (["experiment=sweep"], "experiment=sweep: should be +experiment=sweep"),
    (["+model=mlp"], "+model=mlp: should be model=mlp"),
    (["lr=0.1"], "lr=0.1: no such key; did you mean optimizer.lr?"),
    (["learning_rate=1"], "learning_rate=1: no such key; did you mean optimizer.lr?"),
    (["epochs=3"], "epochs=3: no such key; did you mean max_steps?"),
    (["steps=3"], "steps=3: no such key; did you mean max_steps?"),
    (["nosuch=3"], "nosuch=3: no such key; --help lists the keys"),
    (["trainer.max_epochs=3"], "trainer.max_epochs=3: should be left out; use max_steps"),
    (["help"], "help: should be key=value, or first a command; did you mean --help?"),
    (["evalute", "x"], "evalute: should be key=value, or first a command; did you mean evaluate?"),
    (["seed"], "seed: should be key=value, group=option or key=a,b; --help lists groups and keys"),
    (["seed", "=", "1"], "seed = 1: should be seed=1, without spaces around ="),
    (["seed", "=1"], "seed =1: should be seed=1, without spaces around ="),
    (["seed=", "1"], "seed= 1: should be seed=1, without spaces around ="),
    # One value where a list is wanted, and others of the wrong kind.
    (["model.hidden=64"], "model.hidden=64: should be a list, e.g. [64]"),
    (["trusted_modules=radar"], "trusted_modules=radar: should be a list, e.g. [radar]"),
    (["goal.value=50"], "goal.value=50.0: should be above 0 and at most 1"),
    (["data.seed=x"], "data.seed=x: should be a valid integer"),
    (["data=system_id", "data.samples=null"], "data.samples=None: should be a valid integer"),
    (["start_from=nosuch"], "start_from=nosuch: should be a run directory or a checkpoint"),
    (["~clip.kind"], "clip.kind: should have a value"),
    (["seed=interval()", "-m"], "seed=interval(): missing a required argument: 'start'"),
    (["seed=range(0,nan)", "-m"], "seed=range(0,nan): start, stop and step of a range should be"),
    (["seed=" + "9" * 5000], "seed=9999"),
    # Arguments that a class does not have.
    (["model.width=4"], "model.width=4: MixedMlp takes no such argument; it takes activation, "),
    (["model.args.width=4"], "model.width=4: MixedMlp takes no such argument; it takes"),
    (
        ["data.args.seed=4"],
        "data.args={'seed': 4}: digits_fft takes no such argument; did you mean data.seed?",
    ),
    (
        ["optimizer.lrr=4"],
        "optimizer.lrr=4: SGD takes no such argument; did you mean optimizer.lr?",
    ),
    (
        ["model=real_mlp", "+model.out_features=0"],
        "model._target_=cvtrain.models.real_mlp.RealMlp: a trial forward and backward",
    ),
    # Settings of Hydra.
    (["hydra.run.dir=."], f"hydra.run.dir=.: {NEW}"),
    (["hydra.run.dir=/"], f"hydra.run.dir=/: {NEW}"),
    (["hydra.run.dir=a/.."], f"hydra.run.dir=a/..: {NEW}"),
    (["hydra.run.dir=''"], f"hydra.run.dir=: {NEW}"),
    (["hydra.run.dir=/etc/passwd"], "hydra.run.dir=/etc/passwd: should be the path of a directory"),
    (["hydra.run.dir=${nosuch}"], "hydra.run.dir: Interpolation key 'nosuch' not found"),
    (["hydra.sweep.dir=${oc.env:NOSUCH}", *SWEEP], "hydra.sweep.dir: KeyError raised while"),
    (["hydra.sweep.dir=.", *SWEEP], f"hydra.sweep.dir=.: {NEW}"),
    (["hydra.sweep.subdir=x", *SWEEP], "hydra.sweep.subdir=x: should be left out"),
    (["hydra.job=x"], "Error merging override hydra.job=x"),
    (["hydra.job.env_copy=[NOSUCH]"], "hydra.job.env_copy: NOSUCH should be an environment"),
    (["hydra.job.env_copy=${seed}"], "hydra.job.env_copy: should be a list of environment"),
    (["+hydra.job.env_set.X=${hydra.job.num}"], "hydra.job.env_set.X: MissingMandatoryValue"),
    (["hydra.run.dir=${hydra.job.num}"], "hydra.run.dir: MissingMandatoryValue"),
    (["hydra.job.name=a/b"], "hydra.job.name=a/b: should have no / in it"),
    (["hydra.output_subdir=/x"], "hydra.output_subdir=/x: should be a name below the run"),
    (["hydra.job_logging.version=7"], "hydra.job_logging: cannot be set up: Unsupported version"),
    (["+hydra.callbacks.x=1"], "hydra.callbacks.x=1: should have a _target_"),
    (["+hydra.callbacks.x._target_=no.X"], "Error locating target 'no.X'"),
    (["hydra.launcher._target_=x", *SWEEP], "hydra.sweeper, hydra.launcher: Invalid plugin 'x'"),
    (["hydra.launcher=3"], "hydra.launcher=3: should be chosen by hydra/launcher=…"),
    (["hydra.sweeper.params=3", *SWEEP], "hydra.sweeper.params=3: should have a text for each key"),
    # What Hydra prints instead of training.
    (["--help", "nosuch=1"], "nosuch=1: no such key; --help lists the keys"),
    (["--info", "all", "nosuch=1"], "nosuch=1: no such key; --help lists the keys"),
    (["--cfg", "job", *SWEEP], "seed=1,2: should have one value where a configuration is shown"),
    (["--cfg", "job", "seed=${nosuch}", "--resolve"], "Interpolation key 'nosuch' not found"),
    (["--cfg", "job", "--package", "no"], "--package no: should be a key of the configuration"),
    (
        ["-sc", "query=bash"],
        "--shell-completion query=bash: is called by the shell",
    ),
    (["-sc", "x=bash"], "--shell-completion x=bash: should be with install=bash"),
]


@pytest.mark.parametrize(("words", "line"), MENDED, ids=[" ".join(w)[:50] for w, _ in MENDED])
def test_a_first_mistake_gets_the_line_that_mends_it(command, monkeypatch, words, line):
    monkeypatch.delenv(inform.COMPLETED_LINE, raising=False)
    outcome = command(*words)
    lines = [text for text in outcome.err.splitlines() if "cvtrain: checking" not in text]
    assert outcome.status == 2
    assert outcome.out == ""
    assert len(lines) == 1
    assert lines[0].startswith(f"cvtrain: {line}")
    assert outcome.made == []


@pytest.mark.parametrize("kind", ["run", "sweep"])
@pytest.mark.usefixtures("blank_figures")
def test_a_directory_may_be_named_as_plain_hydra_takes_it(command, kind):
    sweep = SWEEP if kind == "sweep" else ()
    outcome = command(f"hydra.{kind}.dir=${{hydra:runtime.cwd}}/x", "max_steps=1", *sweep)
    assert outcome.status == 0, outcome.err
    assert [path.name for path in outcome.made] == ["x"]


def test_a_configuration_of_a_sweep_is_shown_without_its_axes(command):
    outcome = command("--cfg", "job", "-m")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("seed: 0\n")


CONVERSIONS = [
    (["lr=nan"], "lr=nan: should be a finite number"),
    (["lr=x"], "lr=x: should be a finite number"),
    (["lr=" + "9" * 5000], "lr=99"),
    (["betas=1"], "adam: betas=1: should be 2 numbers"),
    (["amsgrad=3"], "amsgrad=3: should be true or false"),
    (["lr=1", "lr=2"], "lr=2: should be left out, lr is set already"),
    (["clip.norm=1", "clip.modulus=1"], "clip.modulus=1: should be left out, clip is set already"),
]


@pytest.mark.parametrize(("words", "line"), CONVERSIONS, ids=[w[-1][:30] for w, _ in CONVERSIONS])
def test_a_wrong_hyperparameter_is_refused_by_its_name(capsys, words, line):
    assert convert.main(["--from", "wirtinger", "--to", "pytorch", "adam", *words]) == 2
    assert capsys.readouterr().err.startswith(f"cvtrain convert: {line}")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--port", "-1"], "--port=-1: should be from 0 to 65535"),
        (["--port", "99999"], "--port=99999: should be from 0 to 65535"),
        (["--port", "x"], "argument --port: invalid int value: 'x'; see --help"),
        (["--nosuch"], "unrecognized arguments: --nosuch; see --help"),
    ],
)
def test_a_wrong_word_for_tensorboard_is_a_line(capsys, words, line):
    assert tensorboard.main([".", *words]) == 2
    assert capsys.readouterr().err == f"cvtrain tensorboard: {line}\n"


def test_a_folder_for_the_report_of_one_sweep_is_refused(tmp_path, capsys):
    assert report.main([str(tmp_path), "--folder", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("cvtrain report: --folder x: should be left out for one sweep")
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_not_utf8_shows_escapes_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        status = main(["max_steps=2", "model.hidden=[4]", "output='ü'"])
        refused = main(["model='ü'"])
    out, err = (stream.buffer.getvalue().decode("ascii") for stream in streams)
    assert (status, refused) == (0, 2), err
    assert "2 \\u2202L/\\u2202w*" in out
    assert "model=\\xfc: should be one of" in err
    assert [path.name for path in tmp_path.iterdir()] == ["ü"]
