"""The classes and functions that a `_target_` may name without being trusted by the user.

They are listed from the public names of a few modules, not found by a path: a library as large as
torch holds functions that run their arguments as code, whatever they are annotated to return.
Nothing in the lists does that with its arguments, nor loads a file (but for the data sets that
say so), opens a connection or writes outside the run directory; a test constructs them all.
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
"""Functions of `cvtrain.data`, each in the module that bears its name. Others there take addresses
to download from, or what only code can give."""

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
"""Of Lightning, those that are known; of these, what writes files or cannot work in a run is
refused by `cvtrain.training.lightning_trainer`, with what serves instead. ``SpikeDetection`` is not
among them: it writes a list wherever its argument says."""

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
"""Of torchmetrics, those of labels and of values; others fetch networks or need another package."""


@dataclass(frozen=True)
class PublicNames:
    """What may be named in one kind of slot.

    Attributes:
        modules: modules of other packages, of which all public classes count, or those of `names`.
        names: None for all.
        package: the package of cvtrain whose classes count; None where there is none.
        functions: names in `package` of the functions that count instead.
    """

    modules: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    package: str | None = None
    functions: tuple[str, ...] = ()

    def describe(self, expected: type) -> str:
        """What may stand in the slot, for an error line."""
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
"""By the name of the class that a slot expects."""


@cache
def public_classes(expected: type) -> Mapping[str, type]:
    """The classes of other packages that may stand where `expected` is wanted, by their paths.

    A class has the path of the public module (``torch.nn.Linear``) and that of its definition
    (``torch.nn.modules.linear.Linear``).
    """
    public = PUBLIC[expected.__name__]
    classes: dict[str, type] = {}
    for module_name in public.modules:
        module = import_module(module_name)
        names = public.names or getattr(module, "__all__", None) or dir(module)
        for name in names:
            candidate = getattr(module, name, None)
            # A module without `__all__` shows what it imported, too.
            home = str(getattr(candidate, "__module__", ""))
            if not (inspect.isclass(candidate) and issubclass(candidate, expected)):
                continue
            if _is_below(home, module_name) and not name.startswith("_"):
                classes[f"{module_name}.{name}"] = candidate
                classes[f"{home}.{candidate.__qualname__}"] = candidate
    return MappingProxyType(classes)


def own_target(path: str, expected: type) -> Callable[..., Any] | None:
    """The class or function of cvtrain called `path`, if it is meant for such a slot."""
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
    """Whether an object is one of those that may be named, under whatever path it was found."""
    path = f"{getattr(target, '__module__', '')}.{getattr(target, '__qualname__', '')}"
    own = own_target(path, expected)
    return target is own if own is not None else target in public_classes(expected).values()


def is_own_package(name: str) -> bool:
    """Whether a user may trust the package as one of theirs: none of Python's, nor of those whose
    public classes can be named anyway."""
    known = {module.partition(".")[0] for names in PUBLIC.values() for module in names.modules}
    return name not in {*known, *sys.stdlib_module_names, "cvtrain", "hydra", "omegaconf"}
