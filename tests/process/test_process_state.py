"""A call of the library leaves the process as it found it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading

import pytest

import cvtrain
from cvtrain.process.errors import Interrupted
from cvtrain.process.signals import interruption, signals_handled

LOUD = """
    import os, random, signal, sys, warnings
    import numpy as np, torch
    from torch import nn

    class Loud(nn.Module):
        '''Changes whatever it can reach.'''

        def __init__(self, in_features: int, out_features: int, dtype: torch.dtype):
            super().__init__()
            self.layer = nn.Linear(in_features, out_features, dtype=dtype)
            random.random(), np.random.rand(), torch.rand(1)
            os.environ["LOUD"] = "1"
            os.environ.pop("WORLD_SIZE", None)
            sys.path.append("/loud")
            warnings.filterwarnings("ignore", message="loud")
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            torch.set_float32_matmul_precision("medium")
            torch.backends.cudnn.benchmark = True

        def forward(self, x):
            return self.layer(x.flatten(1)).abs()
"""

PROGRAM = """
    import hashlib, json, logging, os, random, signal, sys, threading, warnings
    import matplotlib, numpy as np, torch
    from hydra import version
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf
    from omegaconf.basecontainer import BaseContainer

    theirs = lambda: 42
    OmegaConf.register_new_resolver("learning_rate", theirs)
    sys.path[:] = [each for each in sys.path if each]  # an installed command does not see ""
    os.environ["WORLD_SIZE"] = "1"

    import cvtrain
    import cvtrain.cli.evaluate, cvtrain.experiments.publish, cvtrain.report.export
    import cvtrain.report.console, cvtrain.report.boards, cvtrain.report.html
    from cvtrain.laws import Side, convert, framework_convention
    from lightning.pytorch import Trainer
    for name in cvtrain.__all__:
        getattr(cvtrain, name)
    for name in cvtrain.experiments.registry.names():
        cvtrain.experiments.registry.experiment(name)

    version.setbase("1.1")
    torch.manual_seed(5), np.random.seed(6), random.seed(7)
    logging.getLogger("lightning.pytorch").setLevel(logging.CRITICAL)

    def digest(value):
        return hashlib.sha256(repr(value).encode()).hexdigest()

    def state():
        cudnn = torch.backends.cudnn
        return {
            "torch": digest(torch.get_rng_state().tolist()),
            "numpy": digest([np.asarray(each).tolist() for each in np.random.get_state()[1:]]),
            "python": digest(random.getstate()),
            "dtype": str(torch.get_default_dtype()),
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
            "warn_always": torch.is_warn_always_enabled(),
            "precision": torch.get_float32_matmul_precision(),
            "gradients": torch.is_grad_enabled(),
            "anomaly": torch.is_anomaly_enabled(),
            "cudnn": [cudnn.enabled, cudnn.benchmark, cudnn.deterministic],
            "version": str(version.getbase()),
            "hydra": GlobalHydra.instance().is_initialized(),
            "hydra config": HydraConfig.initialized(),
            "resolvers": sorted(BaseContainer._resolvers),
            "their resolver": OmegaConf.create({"a": "${learning_rate:}"}).a,
            "environment": dict(os.environ),
            "directory": os.getcwd(),
            "path": list(sys.path),
            "signals": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals())],
            "warnings": [str(each) for each in warnings.filters],
            "errors": np.geterr(),
            "printing": str(np.get_printoptions()) + str(torch._tensor_str.PRINT_OPTS),
            "logging": [logging.root.manager.disable] + [
                (log.name, log.level, len(log.handlers), log.propagate, log.disabled)
                for log in map(logging.getLogger, ["", "lightning", "lightning.pytorch", "hydra"])
            ],
            "matplotlib": digest(dict(matplotlib.rcParams)) + matplotlib.get_backend(),
            "running": sorted(each.name for each in threading.enumerate()),
            "excepthook": str(sys.excepthook),
        }

    def changed(call):
        before = state()
        made = call()
        after = state()
        return made, {k: [before[k], after[k]] for k in before if before[k] != after[k]}

    short = ["max_steps=4", "batch_size=16", "trainer.deterministic=true",
             "+trainer.benchmark=true", "+trainer.detect_anomaly=true", "model=custom",
             "model._target_=loud.Loud", "trusted_modules=[loud]"]
    found = {}
    config, found["configure"] = changed(lambda: cvtrain.configure(*short))
    _, found["configure again"] = changed(lambda: cvtrain.configure("+experiment=stability"))
    def refused():
        try:
            cvtrain.configure("optimizer.lr=-1")
        except cvtrain.process.errors.InputError as error:
            return str(error)
    error, found["refused"] = changed(refused)
    assert "optimizer.lr=-1" in error
    run, found["train"] = changed(lambda: cvtrain.train(config, "runs").directory)
    sweep, found["load"] = changed(lambda: cvtrain.load(run))
    _, found["curves"] = changed(lambda: sweep.curves)
    evaluate = cvtrain.cli.evaluate.evaluate
    _, found["evaluate"] = changed(lambda: evaluate(run, trusted=("loud",)))
    _, found["report"] = changed(lambda: cvtrain.experiments.publish.publish(run))
    _, found["convert"] = changed(lambda: convert(
        "adam", {"lr": 1e-3},
        Side(framework_convention("wirtinger")), Side(framework_convention("pytorch"))))

    del os.environ["WORLD_SIZE"]  # Lightning does, where a Trainer ends
    networks = [torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout()) for _ in range(2)]
    inputs = torch.randn(8, 3)
    batches = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, torch.arange(8) % 2), batch_size=4)
    trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu",
                      enable_progress_bar=False, enable_model_summary=False,
                      callbacks=[cvtrain.GradientMonitor(1)])
    # A loader draws its seed from torch's generator, with any module.
    def fit(module):
        with torch.random.fork_rng(devices=[]):
            trainer.fit(module, batches)
    stack, found["StackedModule"] = changed(lambda: cvtrain.StackedModule(
        networks, torch.nn.functional.cross_entropy, cvtrain.optim.SGD))
    _, found["its training"] = changed(lambda: fit(stack))
    print("FOUND", json.dumps({name: each for name, each in found.items() if each}))
"""


def test_no_call_leaves_anything_behind(tmp_path):
    (tmp_path / "loud.py").write_text(textwrap.dedent(LOUD), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert json.loads(line.removeprefix("FOUND ")) == {}


def test_an_interrupted_run_is_forgotten():
    """By training in another thread, where no handler of signals can be set."""
    with pytest.raises(Interrupted), signals_handled():
        interruption.handle(2, None)
    assert interruption.requested is None


def test_a_run_trains_in_any_thread(tmp_path):
    config = cvtrain.configure("model.hidden=[4]", "max_steps=3")
    made = []
    thread = threading.Thread(target=lambda: made.append(cvtrain.train(config, tmp_path)))
    thread.start()
    thread.join()
    assert cvtrain.load(made[0]).runs["status"].item() == "finished"
