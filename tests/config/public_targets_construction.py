"""Constructs everything that a `_target_` may name, with hostile arguments, and records what of it
reached the machine: in a process of its own, for an audit hook stays.
"""

from __future__ import annotations

import builtins
import inspect
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

import cvtrain
from cvtrain.config.schema import Config
from cvtrain.config.targets import check_arguments
from cvtrain.data.dataset import Dataset
from cvtrain.data.idx_download import downloads_refused
from cvtrain.training.lightning_trainer import configured_callbacks, trainer_arguments
from tests.config.acceptable_targets import acceptable

MARK = "hostile"
RESULT = "record.json"
NEVER = {
    *("socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request", "http.client.send"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree"),
    *("pickle.find_class", "ctypes.dlopen", "sqlite3.connect", "webbrowser.open"),
}
READERS = {
    *("arrays", "fashion_fft", "folders", "miccai2023", "mnist_fft", "mstar", "polsf"),
    *("s1slc", "sample"),
}
"""Data sets of files, which an argument names."""

REQUIRED: dict[str, Any] = {
    "in_features": 4,
    "out_features": 2,
    "input_shape": (1, 8, 8),
    "dtype": torch.complex64,
    "in1_features": 4,
    "in2_features": 4,
    "cutoffs": [2],
    "n_classes": 4,
    "dim": 1,
    "unflattened_size": (2, 2),
    "output_size": 2,
    "normalized_shape": 4,
    "nhead": 2,
    "num_heads": 2,
    "embed_dim": 4,
    "d_model": 4,
    "kernel_size": 3,
    "num_groups": 1,
    "pruning_fn": "l1_unstructured",
    "scheduling": {0: 1},
    "activation": "CReLU",
    "initialisation": "he",
    "normalisation": "none",
    "channels": (2, 4),
    "mode": "RNN_TANH",
    "batch_size_fn": len,
    "omega": 2.0,
    "sigma": 2.0,
    "stride": 1,
    "patch_size": 4,
}
"""What an argument needs that is not 2."""

SMALLER: dict[str, Any] = {
    "d_model": 4,
    "nhead": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dim_feedforward": 4,
    "num_layers": 1,
    "samples": 100,
    "samples_per_class": 20,
    "train_samples": 20,
    "validation_samples": 10,
    "test_samples": 10,
    "samples_per_format": 20,
    "amount": 0.5,
    "duration": "00:00:01:00",
}
"""In place of defaults that take long, or that are none."""


def hostile_values(folder: Path) -> list[Any]:
    code = f"__import__('os').mkdir({str(folder / f'{MARK}-executed')!r})"
    texts = [
        code,
        f"import os; os.mkdir({str(folder / f'{MARK}-executed')!r})",
        str(folder / f"{MARK}.pkl"),
        f"http://127.0.0.1:9/{MARK}",
        f"file://{folder}/{MARK}.pkl",
        f"torch.fx.graph_module.{MARK}",
        f"${{oc.env:{MARK}}}",
        str(folder),
    ]
    return [*texts, [code], {"_target_": "os.system", "command": code}, {code: code}]


class Executes:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.open, (self.path, "w")


class Watch:
    """Notes what the machine is asked for while `on`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.what, self.on, self.reads = str(folder), "", False, False
        self.seen: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False  # what `repr` does is not what is watched
        try:
            shown = repr(args)[:300]
            tainted = MARK in shown or self.folder in shown
            if event == "open":
                writes = isinstance(args[1], str) and args[1].strip("rbtU") != ""
                bad = writes or (tainted and not self.reads)
            elif event in (
                "os.listdir",
                "os.scandir",
                "glob.glob",
                "glob.glob/2",
                "pathlib.Path.glob",
            ):
                bad = tainted and not self.reads
            else:
                bad = tainted or event in NEVER
            if bad:
                self.seen.append(f"{self.what}: {event}{shown}")
        finally:
            self.on = True

    def notices(self, label: str, function: Callable[[], Any]) -> bool:
        self.call(label, function)
        noticed, self.seen = self.seen, []
        return bool(noticed)

    def call(self, label: str, function: Callable[[], Any]) -> bool:
        self.what, self.on = label, True
        try:
            function()
        except Exception:  # a refusal; what matters is what was done before
            return False
        finally:
            self.on = False
        return True


def named_parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those of a class that hands on all it is given are its base's."""
    for member in inspect.getmro(target) if inspect.isclass(target) else (target,):
        parameters = inspect.signature(member).parameters.values()
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if named or not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return [p for p in named if p.name != "mode" or member is target]
    return []


def constructions(
    target: Callable[..., Any], values: list[Any], fixed: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Arguments: once all plausible, then each of them hostile in turn, then all of them."""
    parameters = [p for p in named_parameters(target) if p.name not in fixed]
    plain = {p.name: REQUIRED.get(p.name, 2) for p in parameters if p.default is p.empty}
    plain |= {p.name: SMALLER[p.name] for p in parameters if p.name in SMALLER}
    if plain.get("size") == 2:
        plain["size"] = (2, 2)
    yield fixed | plain
    for value in values:
        for parameter in parameters:
            yield fixed | plain | {parameter.name: value}
        yield fixed | {p.name: value for p in parameters}


def make(target: Callable[..., Any], **arguments: Any) -> None:
    with downloads_refused():
        target(**arguments)


def make_callback(config: Config, path: str, **arguments: Any) -> None:
    slot = {"_target_": path, **arguments}
    changed = config.model_copy(update={"trainer": {**config.trainer, "callbacks": [slot]}})
    configured_callbacks(changed)


def make_trainer(config: Config) -> Trainer:
    return Trainer(**trainer_arguments(config))


def canaries(folder: Path) -> list[tuple[str, Callable[[], Any]]]:
    """What a target must not do, to see that it would be noticed."""
    pickle_file = folder / f"{MARK}.pkl"
    return [
        ("executes text", lambda: eval(f"'{MARK}'.upper()")),
        ("reads a file", pickle_file.read_bytes),
        ("looks into a folder", lambda: list(folder.iterdir())),
        ("unpickles", lambda: torch.load(pickle_file, weights_only=False)),
        ("writes", lambda: (folder / "new").write_text("")),
        ("connects", lambda: urlopen(f"http://127.0.0.1:9/{MARK}")),
        ("starts a program", lambda: subprocess.run(["true"])),
    ]


def construct(folder: Path) -> None:
    warnings.simplefilter("ignore")
    # What an import does is not what a construction does.
    for name in ("torchcvnn.datasets", "torchmetrics", "scipy.io", "h5py"):
        import_module(name)
    (folder / f"{MARK}.pkl").write_bytes(pickle.dumps(Executes(str(folder / f"{MARK}-executed"))))
    values = hostile_values(folder)
    watch = Watch(folder)
    noticed = [canary for canary in canaries(folder) if watch.notices(*canary)]
    (folder / f"{MARK}-executed").unlink()
    made: dict[str, dict[str, bool]] = {}
    config = cvtrain.configure("+experiment=article")
    for expected in (nn.Module, torch.optim.Optimizer, LRScheduler, Metric, Callback, Dataset):
        accepted = made[expected.__name__] = {}
        for path, target in acceptable(expected).items():
            parameters = [nn.Parameter(torch.ones(2, dtype=torch.complex64))]
            fixed = {torch.optim.Optimizer: {"params": parameters}}.get(expected, {})
            if expected is LRScheduler:
                fixed = {"optimizer": torch.optim.SGD(parameters, lr=1.0)}
            watch.reads = path.rpartition(".")[2] in READERS
            if expected is Callback:  # they have a gate of their own
                maker = partial(make_callback, config, path)
            else:
                maker = partial(make, target)
            for arguments in constructions(target, values, fixed):
                came = watch.call(f"{path}({arguments})"[:200], partial(maker, **arguments))
                accepted[path] = accepted.get(path, False) or came
            # As a configuration gives them: checked against the signature first.
            for value in values:
                for parameter in named_parameters(target):
                    slot = {parameter.name: value}
                    watch.call(path, partial(check_arguments, "slot", target, slot))
    watch.reads = False
    for name in inspect.signature(Trainer).parameters:
        for value in values:
            changed = config.model_copy(update={"trainer": {**config.trainer, name: value}})
            watch.call(f"Trainer({name}={value})", partial(make_trainer, changed))
    executed = [path.name for path in folder.iterdir() if path.name.endswith("executed")]
    record = {
        "seen": watch.seen,
        "executed": executed,
        "made": made,
        "noticed": [name for name, _ in noticed],
    }
    (folder / RESULT).write_text(json.dumps(record), encoding="utf-8")
