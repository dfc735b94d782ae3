"""The classes and functions that a `_target_` may name without the user's trust.

They are listed by the public names of a few modules, not found by path: a library as large as torch
contains functions that execute their arguments, whatever return type they are annotated with.
Nothing in these lists executes its arguments, loads a file (except data sets that document it),
opens a connection or writes outside the run directory; a test constructs all of them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

DATASETS = (
    *("adding", "arrays", "article", "copy_memory", "digits_fft", "equalizer", "fashion_fft"),
    *("folders", "miccai2023", "mnist_fft", "modulation", "mri_image", "mri_undersampled"),
    *("mstar", "noncircular", "polsf"),
    *("s1slc", "sample", "speckle", "symmetry", "system_id", "wave_field"),
)
"""Functions of `cvtrain.data`, each in the module of the same name. Other functions there take
addresses of downloads, or arguments that only code can supply."""

CALLBACKS = (
    *(
        "BackboneFinetuning",
        "BaseFinetuning",
        "BasePredictionWriter",
        "BatchSizeFinder",
        "Callback",
    ),
    *("Checkpoint", "DeviceStatsMonitor", "EMAWeightAveraging", "EarlyStopping"),
    *("GradientAccumulationScheduler", "LambdaCallback", "LearningRateFinder"),
    *("LearningRateMonitor", "ModelCheckpoint", "ModelPruning", "ModelSummary"),
    *("OnExceptionCheckpoint", "ProgressBar", "RichModelSummary", "RichProgressBar"),
    *("StochasticWeightAveraging", "TQDMProgressBar", "ThroughputMonitor", "Timer"),
    "WeightAveraging",
)
"""Callbacks of Lightning that may be named. `cvtrain.training.lightning_trainer` rejects those that
write files or cannot work in a run, and names a replacement. ``SpikeDetection`` is left out, since
it writes a list to any path in its arguments."""

METRICS = (
    *("MulticlassAccuracy", "MulticlassAUROC", "MulticlassAveragePrecision"),
    *("MulticlassCalibrationError", "MulticlassCohenKappa", "MulticlassExactMatch"),
    *("MulticlassF1Score", "MulticlassFBetaScore", "MulticlassHammingDistance"),
    *("MulticlassHingeLoss", "MulticlassJaccardIndex", "MulticlassMatthewsCorrCoef"),
    *("MulticlassPrecision", "MulticlassRecall", "MulticlassSpecificity"),
    *("ConcordanceCorrCoef", "CosineSimilarity", "CriticalSuccessIndex", "ExplainedVariance"),
    *("KendallRankCorrCoef", "KLDivergence", "LogCoshError", "MeanAbsoluteError"),
    *("MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogError"),
    *("MinkowskiDistance", "NormalizedRootMeanSquaredError", "PearsonCorrCoef", "R2Score"),
    *("RelativeSquaredError", "SpearmanCorrCoef", "SymmetricMeanAbsolutePercentageError"),
    *("TweedieDevianceScore", "WeightedMeanAbsolutePercentageError"),
)
"""Metrics of labels and of values in torchmetrics; others download networks or need another
package."""


@dataclass(frozen=True)
class PublicNames:
    """The names that may be used in one kind of section.

    Attributes:
        modules: modules of other packages, with all public classes or those in `names`.
        names: public classes of `modules` that may be named; None: all.
        package: package of cvtrain whose classes may be named; None: none.
        functions: functions of `package` that may be named instead of classes.
    """

    modules: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    package: str | None = None
    functions: tuple[str, ...] = ()

    def describe(self, expected: type) -> str:
        """The names that the section accepts, for an error message."""
        kind = f"{expected.__module__.partition('.')[0]} {expected.__name__}"
        *first, last = [*self.modules, *([self.package] if self.package else [])]
        places = f"{', '.join(first)} or {last}" if first else last
        if self.functions:
            return f"a function of {places} that returns a {kind}"
        return f"a {kind} class of {places}"


PUBLIC: Mapping[str, PublicNames] = MappingProxyType(
    {
        "Module": PublicNames(("torch.nn", "torchcvnn.nn"), package="cvtrain.models"),
        "Optimizer": PublicNames(("torch.optim",), package="cvtrain.optim"),
        "Dataset": PublicNames(package="cvtrain.data", functions=DATASETS),
        "LRScheduler": PublicNames(("torch.optim.lr_scheduler",)),
        "Metric": PublicNames(
            ("torchmetrics.classification", "torchmetrics.regression"), names=METRICS
        ),
        "Callback": PublicNames(("lightning.pytorch.callbacks",), names=CALLBACKS),
    }
)
"""Names by the class that a section expects."""


@cache
def public_classes(expected: type) -> Mapping[str, type]:
    """The classes of other packages that a section for an `expected` accepts, by path.

    A class has the path of the public module (``torch.nn.Linear``) and the path of its definition
    (``torch.nn.modules.linear.Linear``).
    """
    public = PUBLIC[expected.__name__]
    classes: dict[str, type] = {}
    for module_name in public.modules:
        module = import_module(module_name)
        names = public.names or getattr(module, "__all__", None) or dir(module)
        for name in names:
            candidate = getattr(module, name, None)
            # A module without `__all__` also shows what it imported.
            home = str(getattr(candidate, "__module__", ""))
            if not (inspect.isclass(candidate) and issubclass(candidate, expected)):
                continue
            if _is_below(home, module_name) and not name.startswith("_"):
                classes[f"{module_name}.{name}"] = candidate
                classes[f"{home}.{candidate.__qualname__}"] = candidate
    return MappingProxyType(classes)


def own_target(path: str, expected: type) -> Callable[..., Any] | None:
    """The class or function of cvtrain with this path, if such a section accepts it; else None."""
    public = PUBLIC[expected.__name__]
    module_name, _, name = path.rpartition(".")
    package = public.package
    if package is None or not _is_below(module_name, package):
        return None
    if public.functions and not (name in public.functions and path == f"{package}.{name}.{name}"):
        return None
    try:
        target = getattr(import_module(module_name), name, None)
    except ModuleNotFoundError:
        return None
    if not _is_below(str(getattr(target, "__module__", "")), package) or name.startswith("_"):
        return None
    if public.functions:
        return target if inspect.isfunction(target) else None
    return target if inspect.isclass(target) and issubclass(target, expected) else None


def _is_below(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def is_public(target: Any, expected: type) -> bool:
    """Whether an object is one that may be named, under any path."""
    path = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    own = own_target(path, expected)
    return target is own if own is not None else target in public_classes(expected).values()


def is_own_package(name: str) -> bool:
    """Whether a user may trust a package as their own: not one of Python, nor one whose public
    classes may be named anyway."""
    known = {module.partition(".")[0] for names in PUBLIC.values() for module in names.modules}
    return name not in {*known, *sys.stdlib_module_names, "cvtrain", "hydra", "omegaconf"}
