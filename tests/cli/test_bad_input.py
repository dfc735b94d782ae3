"""Bad input: one to three lines that name key, value and what is allowed; nothing is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = [
    # command line, what stderr must name
    (["optimizer=foo"], ["optimizer=foo", "sgd", "adam"]),
    (["+experiment=swep"], ["experiment=swep", "sweep"]),
    (["max_step=3"], ["max_step=3", "max_steps"]),
    (["+max_step=3"], ["max_step=3", "max_steps"]),
    (["data.sed=3"], ["data.sed=3", "data.seed"]),
    (["+model.hiden=[3]"], ["model.hiden=[3]", "hidden"]),
    (["batch_size=2.5"], ["batch_size=2.5", "integer"]),
    (["seed=true"], ["seed=True", "integer"]),
    (["model.hidden=wide"], ["model.hidden=wide"]),
    (["optimizer.lr=-1"], ["optimizer.lr=-1", "greater than 0"]),
    (["optimizer.lr=nan"], ["optimizer.lr=nan", "finite"]),
    (["objective.scale=0"], ["objective.scale=0", "greater than 0"]),
    (["convention=textbook"], ["convention=textbook", "wirtinger"]),
    (["max_steps=0"], ["max_steps=0", "1"]),
    (["clip.kind=box"], ["clip.kind=box", "norm"]),
    (["clip=norm", "clip.threshold=-1"], ["clip.threshold=-1", "greater than 0"]),
    (["+optimizer.beta=3"], ["optimizer.beta=3", "SGD", "momentum"]),
    (["optimizer=adam", "optimizer.betas=[1.5,0.9]"], ["optimizer", "Adam", "1.5"]),
    (["optimizer._target_=torch.optim.Adafactor"], ["torch.optim.Adafactor", "complex"]),
    ([f"hydra.output_subdir={'a.' * 200}"], ["hydra.output_subdir", "shorter"]),
    ([f"hydra.job.name={'a' * 252}"], ["hydra.job.name", "shorter"]),
    (["++hydra.run=${hydra:runtime.cwd}"], ["hydra.run=", "set by its keys"]),
    (["++hydra.job_logging=${hydra:runtime.cwd}"], ["hydra.job_logging=", "set by its keys"]),
    (["optimizer=lbfgs", "optimizer.line_search_fn=strong"], ["LBFGS", "strong_wolfe"]),
    (["optimizer._target_=torch.optim.Muon"], ["torch.optim.Muon", "complex"]),
    (["optimizer=adam", "+optimizer.fused=true"], ["optimizer.fused=True", "complex"]),
    (["batch_size=100000"], ["batch_size", "100000", "1078"]),
    (["model._target_=os.system"], ["model._target_=os.system", "trusted"]),
    (["model._target_=torch.os.system"], ["model._target_=torch.os.system", "trusted"]),
    (["model._target_=torch.optim.SGD"], ["model._target_=torch.optim.SGD", "Module"]),
    (["model._target_=torch.nn.Linnear"], ["torch.nn.Linnear", "Linear"]),
    (["data._target_=torch.nn.Linear"], ["data._target_=torch.nn.Linear", "Dataset"]),
    (["model=custom"], ["model._target_: should have a value"]),
    (
        [
            "model=custom",
            "model._target_=torch.nn.Conv2d",
            "+model.args.in_channels=1",
            "+model.args.out_channels=1",
            "+model.args.kernel_size=3",
            "+model.args.dtype=x",
        ],
        ["model"],
    ),
    (["model.in_features=65"], ["model", "trial forward", "65"]),
    (
        ["model=custom", "model._target_=torch.nn.Flatten"],
        ["model._target_=torch.nn.Flatten", "trial forward"],
    ),
    (["objective=complex_mse"], ["should be cross_entropy for", "a classification"]),
    (
        ["data=equalizer", "model=mlp"],
        ["objective=cross_entropy", "should be complex_mse or complex_huber"],
    ),
    (["data=mnist_fft", "data.train_samples=nan"], ["data.train_samples=nan: should be a finite"]),
    (["+trainer.gradient_clip_val=inf"], ["trainer.gradient_clip_val=inf: should be a finite"]),
    (["data.seed=true"], ["data.seed=True: should be a number, not true or false"]),
    (
        ["data=equalizer", "model=mlp", "objective=complex_mse", "data.taps=99999999999999999999"],
        ["data: it cannot be made with", "taps=99999999999999999999"],
    ),
    (["trainer.accelerator=tpu"], ["trainer.accelerator=tpu", "cpu"]),
    (["trainer.devices=0"], ["trainer.devices=0", "at least 1"]),
    (
        ["trainer.devices=2", "model.normalisation=batch"],
        ["trainer.devices=2", "running_mean", "should be 1"],
    ),
    (["+trainer.max_epochs=2"], ["trainer.max_epochs=2", "max_steps"]),
    (["+trainer.gradient_clip_val=2"], ["trainer.gradient_clip_val=2", "clip"]),
    (["+trainer.precision=16-true"], ["trainer.precision=16-true", "real"]),
    (["+trainer.precision=64-true"], ["trainer.precision=64-true", "complex128"]),
    (["+trainer.precision=bf16-mixed"], ["trainer.precision=bf16-mixed", "autocast"]),
    (["+trainer.num_nodes=2"], ["trainer.num_nodes=2", "hydra/launcher"]),
    (["+trainer.strategy=ddp_spawn"], ["trainer.strategy=ddp_spawn", "trainer.devices"]),
    (["model=custom", "model._target_=torch.utils.model_dump.__main__.x"], ["dotted path"]),
    (["+trainer.logger=true"], ["trainer.logger=True", "logger=wandb"]),
    (["+trainer.limit_train_batches=0"], ["trainer.limit_train_batches=0", "max_steps"]),
    (["+trainer.fast_dev_run=true"], ["trainer.fast_dev_run=True", "max_steps"]),
    (
        ["optimizer=lbfgs", "trainer.accumulate_grad_batches=2"],
        ["trainer.accumulate_grad_batches=2: should be 1", "as LBFGS evaluates"],
    ),
    ([f"model.in_features={'9' * 40}"], ["model", "refuses its arguments", "Overflow"]),
    (["data=system_id", "model=linear", f"data.samples={'9' * 40}"], ["data"]),
    (["+trainer.no_such=1"], ["trainer.no_such=1"]),
    (["+trainer.callbacks=hello"], ["trainer.callbacks=hello: should be a list", "_target_"]),
    (["+trainer.callbacks=[1]"], ["trainer.callbacks[0]=1: should be a list"]),
    (["+trainer.callbacks=[{a: 1}]"], ["trainer.callbacks[0]={'a': 1}: should be a list"]),
    (
        ["+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.Timer, duration: soon}]"],
        ["trainer.callbacks[0]: Timer refuses its arguments"],
    ),
    (
        ["+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.ModelCheckpoint}]"],
        ["trainer.callbacks[0]._target_", "use checkpoint.every_n_steps"],
    ),
    (
        [
            "+trainer.callbacks=[{_target_: lightning.pytorch.callbacks.EarlyStopping}]",
            "seed=1,2",
            "-m",
        ],
        ["trainer.callbacks[0]._target_", "use early_stopping.patience"],
    ),
    (["+trainer.profiler=foo"], ["trainer.profiler=foo", "simple, advanced, pytorch"]),
    (
        ["+trainer.profiler=simple", "+trainer.barebones=true"],
        ["trainer: Lightning refuses", "profiler=simple", "barebones=True"],
    ),
    (["+trainer.limit_val_batches=2"], ["limit_val_batches=2", "signals.validation_every"]),
    (["+trainer.sync_batchnorm=true"], ["sync_batchnorm=True", "trainer.devices=1"]),
    (["+trainer.num_sanity_val_steps=2"], ["num_sanity_val_steps=2", "validation_every"]),
    (["goal.metric=f1"], ["goal.metric=f1", "accuracy"]),
    (["lr_octave=1,2"], ["lr_octave=1,2", "-m"]),
    (["lr_octave=1,2", "nokey=3"], ["nokey=3"]),
    (["lr_octave=1,2", "nokey=3", "-m"], ["nokey=3"]),
    (["lr_octave=1,,2", "-m"], ["lr_octave=1,,2", "','"]),
    (["optimizer=sgd,foo", "-m"], ["optimizer=foo", "adam"]),
    (["seed=0,1,2,-1", "-m"], ["seed=-1", "0"]),
    (["seed=1,1", "-m"], ["seed=1", "same"]),
    (["optimizer=adam", "optimizer.betas=[0.9,0.99],[0.9,1.5]", "-m"], ["1.5", "point 1"]),
    (["model.in_features=64,65", "-m"], ["65", "point 1"]),
    (["+experiment=sweep,article", "-m"], ["experiment"]),
    (["null_arm=true"], ["null_arm=true", "add -m"]),
    (["seed=1,2", "-m", "hydra.launcher.max_stack=0"], ["max_stack=0", "at least 1"]),
    (["seed=1,2", "-m", "hydra.launcher.max_stack=few"], ["max_stack=few", "at least 1"]),
    (["seed=range(1,2,0)", "-m"], ["seed=range(1,2,0)", "should not be zero"]),
    (["seed=range(3,0)", "-m"], ["seed=range(3,0)", "at least one value"]),
    (["seed=range(0,inf)", "-m"], ["seed=range(0,inf)", "should be finite"]),
    (["seed=range(0,1e9)", "-m"], ["seed=range(0,1e9): 1,000,000,000 points", "at most 100,000"]),
    (["seed=range(0,1000)", "lr_octave=range(0,-101,-1)", "-m"], ["101,000 points"]),
    (["hydra/sweeper=basic", "seed=range(0,1000)", "lr_octave=range(0,200)", "-m"], ["200,000"]),
    (["+experiment=sweep", "seed=range(0,3000)", "-m"], ["points; should be at most 100,000"]),
    (["seed=interval(0,1)", "-m"], ["seed=interval(0,1)", "no number of points"]),
    (["hydra.launcher.workers=1,2", "-m"], ["hydra.launcher.workers=1,2", "one value"]),
    (["max_steps=1e30"], ["max_steps=1e+30", "integer"]),
    ([f"max_steps={10**30}"], [f"max_steps={10**30}", "less than or equal to 1000000000000"]),
    (["signals.elementwise=1000000"], ["elementwise=1000000", "less than or equal to 1000"]),
    (["trainer.accumulate_grad_batches=1000000000"], ["at least 1 and at most 10,000"]),
    (["trainer.devices=1000000000"], ["trainer.devices=1000000000", "of this machine"]),
    (["seed=1,2", "hydra.launcher.workers=1000000000", "-m"], ["workers=1000000000", "cores"]),
    (["model.hidden=[1000000000]"], ["model", "memory"]),
    (["model=resnet", "model.blocks=1000000000"], ["blocks=1000000000: should be at least 1 and"]),
    (["model=vit", "model.layers=1000000000"], ["layers=1000000000: should be at least 1 and"]),
    (["optimizer=muon", "optimizer.ns_steps=100"], ["ns_steps=100", "[0.0, 100)"]),
    (["data=speckle", "model=unet", "data.regions=1000000000"], ["regions", "1024"]),
    (["data=speckle", "model=unet", "data.train_samples=1000000000"], ["data: it cannot be made"]),
    (["data=system_id", "model=linear", "data.taps=100000"], ["taps", "4096"]),
    ([f"model.hidden=[{'1,' * 10000}1]"], ["at most 10,000 characters, has 20,016"]),
    (["+experiment=search", "hydra.sweeper.search.batch=1000000000"], ["batch=1000000000"]),
    (["+experiment=search", "hydra.sweeper.search.trials=1000000000"], ["trials=1000000000"]),
    (["optimizer=glob(*)", "-m"], ["optimizer=glob(*)", "should list its values"]),
    (["~seed=1,range(0,3)", "-m"], ["~seed=1,range(0,3)", "delete or sweep"]),
    (["model=null"], ["model=None", "mixed_mlp"]),
    (["~clip=[[1],[2]]"], ["clip", "deletion value must be a string"]),
    (["optimizer.lr=1e40"], ["optimizer.lr=1e+40", "complex64", "3.4e+38"]),
    (["output=/proc/none"], ["/proc/none", "cannot be written"]),
    (["output=/proc/none", "seed=1,2", "-m"], ["/proc/none", "cannot be written"]),
]


@pytest.mark.parametrize(("arguments", "words"), CASES, ids=[" ".join(c[0])[:60] for c in CASES])
def test_bad_input_is_told_in_a_few_lines_and_nothing_is_made(command, arguments, words):
    outcome = command(*arguments, *["max_steps=2"] * ("max_steps" not in " ".join(arguments)))
    assert outcome.status == 2
    lines = [line for line in outcome.err.splitlines() if not line.startswith("cvtrain: checking")]
    assert 1 <= len(lines) <= 3
    for word in words:
        assert word in "\n".join(lines)
    assert outcome.made == []


def test_bad_input_of_the_real_command_has_no_traceback(tmp_path: Path):
    command = [sys.executable, "-m", "cvtrain", "optimizer.lr=-1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "cvtrain: optimizer.lr=-1: should be greater than 0\n"


def test_a_sweep_whose_last_point_is_wrong_trains_nothing(command):
    outcome = command("max_steps=2", "optimizer.lr=0.1,0.2,-0.3", "-m")
    assert outcome.status == 2
    assert "optimizer.lr=-0.3" in outcome.err
    assert outcome.made == []
