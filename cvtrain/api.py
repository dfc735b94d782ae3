"""cvtrain from Python: the same configurations and runs as from the command line.

A call restores the state of the process: `cvtrain.process.process_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from torch import Tensor, nn

from cvtrain.cli.train import train_in
from cvtrain.config.compose import Composer, configuration_folder
from cvtrain.config.overrides import as_override, as_typed, parse_override
from cvtrain.config.point import Point
from cvtrain.config.python_objects import path_of, trusted_package
from cvtrain.config.schema import Config
from cvtrain.data.in_memory import data_target
from cvtrain.data.load import forget_datasets
from cvtrain.experiments import registry
from cvtrain.process.environment import import_from_working_directory
from cvtrain.process.errors import InputError
from cvtrain.process.notebook import progress_alone
from cvtrain.process.process_state import preserves_process_state
from cvtrain.process.signals import signals_handled
from cvtrain.runs.directory_lock import DirectoryLock, claim_directory
from cvtrain.sweeps.plan import single_point
from cvtrain.sweeps.progress import steps_shown
from cvtrain.sweeps.results import RunResult, SweepResult
from cvtrain.training import train as engine
from cvtrain.training.custom_metrics import metric_slot
from cvtrain.training.job import Job
from cvtrain.training.objective import loss_target
from cvtrain.training.preflight import preflight


@preserves_process_state
def configure(*overrides: str) -> Config:
    """The checked configuration of a command line with these overrides.

    Args:
        overrides: e.g. ``"+experiment=article"``, ``"optimizer=adam"``, ``"max_steps=100"``.

    Raises:
        InputError: an override is not valid, or the combination cannot be trained.
    """
    texts = list(map(as_typed, _texts("configure", overrides)))
    import_from_working_directory()
    version.setbase("1.3")
    registry.register()
    loader = ConfigLoaderImpl(create_config_search_path(configuration_folder()))
    composer = Composer(loader)
    point = single_point(composer, composer.with_added_arguments(texts))
    preflight([point])
    return point.config


@preserves_process_state
def train(config: Config, output: str | Path | None = None) -> RunResult:
    """Train one run and show its progress.

    Args:
        config: configuration from `configure`.
        output: parent of the new run directory; None: `config.output`.

    Returns:
        the run, with its metrics, curves and network. `cvtrain.load` reads it too.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; the run's files are complete and have this status.
    """
    import_from_working_directory()
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    directory = claim_directory(Path(output or config.output) / name, "output")
    point = Point(0, config.settled(in_sweep=False), (), directory.name)
    showing = progress_alone(), steps_shown(config.max_steps)
    with signals_handled(), DirectoryLock(directory), showing[0], showing[1] as progressed:
        engine.train(Job((point,), directory.parent), progressed)
    return RunResult(directory, config.trusted_modules)


@preserves_process_state
def sweep(
    *overrides: str,
    model: Callable[..., nn.Module] | None = None,
    data: Any = None,
    loss: Callable[..., Tensor] | None = None,
    module: Callable[..., nn.Module] | None = None,
    metrics: Sequence[Any] = (),
    axes: Mapping[str, Any] | None = None,
) -> SweepResult:
    """Train a sweep, as ``cvtrain … -m`` does, and answer its question.

    It shows its progress and may be interrupted; ``"resume=latest"`` with the same `model`, `data`
    and `loss` continues it.

    Args:
        overrides: e.g. ``"+experiment=sweep"``, ``"max_steps=200"``, ``"optimizer=sgd,adam"``.
        model: a class or function that makes a network, from a module or from this notebook.
        data: a function or class that makes data; existing data (a `Dataset`, three torch data
            sets, a LightningDataModule); or a pair of arrays: inputs `[N, ...]` and targets `[N,
            ...]`.
        loss: a function or module of outputs and targets, as for ``objective=custom``, or a class
            that makes one.
        module: a class or function that makes a LightningModule, which replaces `model` and `loss`,
            as for ``module=custom``.
        metrics: metrics in addition to those of the data: classes or objects of torchmetrics,
            functions of outputs and targets, pairs of one of these and ``"higher"`` or ``"lower"``,
            or mappings as in ``metrics=[{_target_: …, better: lower, name: …}]`` with the object as
            `_target_`.
        axes: values of keys, e.g. ``{"optimizer.lr": [0.01, 0.1], "seed": range(8)}``.

    Returns:
        the sweep, with its runs, curves, verdict, report and figures.

    Raises:
        InputError: bad input; nothing has been trained.
        RunFailed: runs failed, or a claim of an experiment does not hold.
        Interrupted: Ctrl-C or SIGTERM; what was trained is kept.
    """
    forget_datasets()
    words = [
        *_texts("sweep", overrides),
        *_objects({"model": model, "module": module}, data, loss, metrics, overrides),
        *_axes(axes or {}),
    ]
    with signals_handled(), progress_alone():
        directory = train_in([*words, "-m"])
    if directory is None:
        raise InputError("plan=true: should be false in cvtrain.sweep, which returns a sweep")
    return SweepResult(directory)


def _objects(
    networks: Mapping[str, Any],
    data: Any,
    loss: Any,
    metrics: Sequence[Any],
    overrides: Sequence[str],
) -> Iterator[str]:
    """Overrides that replace network, data, loss and metrics by Python objects, which this process
    then knows by the names that are recorded."""
    paths = {}
    for key, network in networks.items():
        if network is None:
            continue
        if isinstance(network, nn.Module) or not callable(network):
            raise InputError(
                f"{key}={type(network).__name__}: should be a class or function that makes a"
                " network, since every run draws its own initial weights"
            )
        paths[key] = path_of(network)
    if data is not None:
        paths["data"] = data_target(data)
    if loss is not None:
        if not callable(loss):
            raise InputError(
                f"loss={loss!r}: should be a function or module of outputs and targets; a text"
                " chooses one of cvtrain's, such as 'objective=complex_mse'"
            )
        paths["objective"] = loss_target(loss)
    slots = [metric_slot(metric) for metric in metrics]
    if not any(text.startswith("resume=") for text in overrides):  # otherwise they are recorded
        for key, path in paths.items():
            yield f"{key}=custom"
            yield f"{key}._target_={path}"
        if slots:
            yield f"metrics={_value('metrics', slots)}"
    targets = {slot["_target_"] for slot in slots if isinstance(slot, dict)}
    named = {*paths.values(), *targets}
    trusted = {package for path in named if (package := trusted_package(path))}
    typed = [parse_override(text) for text in overrides if text.startswith("trusted_modules=")]
    for override in typed:
        value = override.value()
        trusted |= set(map(str, value if isinstance(value, list) else [value]))
    if trusted:
        yield f"trusted_modules=[{','.join(sorted(trusted))}]"


def _axes(axes: Mapping[str, Any]) -> Iterator[str]:
    """Overrides that sweep keys over Python values."""
    for key, values in axes.items():
        several = not isinstance(values, str | Mapping) and isinstance(values, Iterable)
        texts = [_value(key, value) for value in (values if several else [values])]
        if not texts:
            raise InputError(f"axes[{key!r}]: should have a value or more")
        yield f"{key}={','.join(texts)}"


def _value(key: str, value: Any) -> str:
    """A Python value in the notation of the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return as_override(key, value).partition("=")[2]
    if isinstance(value, list | tuple):
        return f"[{','.join(_value(key, part) for part in value)}]"
    if isinstance(value, Mapping) and key == "metrics":
        return f"{{{','.join(f'{name}:{_value(key, part)}' for name, part in value.items())}}}"
    if hasattr(value, "item"):
        value = value.item()  # a number of NumPy or torch
    if isinstance(value, int | float):
        return repr(value)
    raise InputError(
        f"axes[{key!r}]: {value!r} should be a number, text, true, false, null or list"
    )


def _texts(function: str, overrides: Sequence[Any]) -> Iterator[str]:
    for text in overrides:
        if not isinstance(text, str):
            many = isinstance(text, list | tuple) and all(isinstance(part, str) for part in text)
            right = ", ".join(map(repr, text)) if many and text else "'max_steps=200'"
            raise InputError(f"{function}({text!r}): should be texts: {function}({right})")
        yield text
