"""Restore what a call of the library changes in the process: random state, signals, loggers, …."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer

Returned = TypeVar("Returned")
Arguments = ParamSpec("Arguments")

REGISTRIES: set[type] = {Plugins, SourcesRegistry, ConfigStore}
"""Hydra's singletons that list the contents of imported modules."""

LOGGERS = ("", "lightning", "lightning.pytorch", "lightning.fabric", "hydra", "cvtrain")
"""Loggers that Hydra, Lightning or cvtrain configure; the first is the root."""


def preserves_process_state(
    function: Callable[Arguments, Returned],
) -> Callable[Arguments, Returned]:
    """Decorator: the function runs in `preserved_process_state`."""

    @wraps(function)
    def preserving(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
        with preserved_process_state():
            return function(*args, **kwargs)

    return preserving


@contextmanager
def preserved_process_state() -> Iterator[None]:
    """Context in which a call of cvtrain may change the process; the process is restored
    afterwards.

    Restored are Hydra's singletons and version base, OmegaConf's resolvers, the random generators
    of torch (on every device), NumPy and Python, torch's switches (dtype, threads, determinism,
    cuDNN, precision of products, gradients), the environment, `sys.path`, signal handlers, warning
    filters, and levels and handlers of loggers. Imported modules stay imported, and stay in Hydra's
    lists of plugins.
    """
    with ExitStack() as stack:
        for restore in _restorers():
            stack.callback(restore)
        yield


def _restorers() -> Iterator[Callable[[], object]]:
    yield _hydra()
    yield _generators()
    yield _torch_switches()
    yield _environment()
    yield _signal_handlers()
    yield _warnings()
    yield _loggers()


def _hydra() -> Callable[[], None]:
    instances: dict[type, Any] = dict(Singleton._instances)  # annotated there as something else
    resolvers = dict(BaseContainer._resolvers)
    # The version base, the composed configuration, …: attributes of an object that remains.
    attributes_of = {
        instance: dict(vars(instance))
        for kind, instance in instances.items()
        if kind not in REGISTRIES
    }

    def restore() -> None:
        for kind in Singleton._instances.keys() - instances.keys() - REGISTRIES:
            del Singleton._instances[kind]
        for instance, attributes in attributes_of.items():
            vars(instance).clear()
            vars(instance).update(attributes)
        BaseContainer._resolvers.clear()
        BaseContainer._resolvers.update(resolvers)

    return restore


def _generators() -> Callable[[], None]:
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state()  # noqa: NPY002  # the global generator is what is restored
    initial = torch.initial_seed()
    initialized = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's
    cuda = torch.cuda.get_rng_state_all() if initialized else None

    def restore() -> None:
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        elif torch.cuda.is_available():
            # As if the GPU were initialized only now.
            torch.cuda.manual_seed_all(initial)
        torch.set_rng_state(cpu)
        np.random.set_state(numpy)  # noqa: NPY002  # as above
        random.setstate(python)

    return restore


def _torch_switches() -> Callable[[], None]:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    always = torch.is_warn_always_enabled()
    precision = torch.get_float32_matmul_precision()
    gradients = torch.is_grad_enabled()
    anomaly = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    cudnn = torch.backends.cudnn
    flags = cudnn.enabled, cudnn.benchmark, cudnn.deterministic

    def restore() -> None:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_warn_always(always)
        torch.set_float32_matmul_precision(precision)
        torch.set_grad_enabled(gradients)
        torch.set_anomaly_enabled(*anomaly)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic = flags

    return restore


def _environment() -> Callable[[], None]:
    environment, path = dict(os.environ), list(sys.path)

    def restore() -> None:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        for name, value in environment.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.path[:] = path

    return restore


def _signal_handlers() -> Callable[[], None]:
    if threading.current_thread() is not threading.main_thread():
        return lambda: None  # Python sets handlers only in the main thread
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}

    def restore() -> None:
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _warnings() -> Callable[[], None]:
    filters, shown = list(warnings.filters), warnings.showwarning

    def restore() -> None:
        if list(warnings.filters) != filters:
            warnings.filters[:] = filters  # type: ignore[index]  # a list, typed as a sequence
            with warnings.catch_warnings():
                pass  # tells Python that the filters have changed
        warnings.showwarning = shown

    return restore


def _loggers() -> Callable[[], None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    settings: list[Any] = [
        (log, log.level, list(log.handlers), list(log.filters), log.propagate, log.disabled)
        for log in loggers
    ]
    disabled = logging.root.manager.disable

    def restore() -> None:
        for logger, level, handlers, filters, propagate, off in settings:
            logger.setLevel(level)
            logger.handlers[:], logger.filters[:] = handlers, filters
            logger.propagate, logger.disabled = propagate, off
        logging.disable(disabled)

    return restore
