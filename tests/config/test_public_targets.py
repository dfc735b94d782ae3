"""What a `_target_` may name without the user's trust, all of it, and what that does."""

from __future__ import annotations

import inspect
import json
import multiprocessing
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import BuiltinFunctionType, FunctionType

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from cvtrain.config.compose import configuration_folder
from cvtrain.config.public_targets import DATASETS, PUBLIC, own_target, public_classes
from cvtrain.config.targets import ROOTS, resolve_target
from cvtrain.data.dataset import Dataset
from cvtrain.process.errors import InputError
from tests.config.acceptable_targets import acceptable, modules_of
from tests.config.public_targets_construction import RESULT, construct

FORK = multiprocessing.get_context("fork")
FUNCTIONS = (FunctionType, BuiltinFunctionType)
SLOTS = (nn.Module, torch.optim.Optimizer, LRScheduler, Metric, Dataset, Callback)


@pytest.fixture(scope="module")
def constructed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    process = FORK.Process(target=construct, args=(folder,))  # of its own: an audit hook stays
    process.start()
    process.join(600)
    assert process.exitcode == 0
    return json.loads((folder / RESULT).read_text(encoding="utf-8"))


def test_nothing_acceptable_does_more_than_compute_whatever_its_arguments(constructed):
    assert constructed["noticed"] == [
        *("executes text", "reads a file", "looks into a folder", "unpickles", "writes"),
        *("connects", "starts a program"),
    ]
    assert constructed["seen"] == []
    assert constructed["executed"] == []


def test_all_that_is_acceptable_was_constructed(constructed):
    made = constructed["made"]
    assert {name: len(paths) for name, paths in made.items()} == {
        slot.__name__: len(acceptable(slot)) for slot in SLOTS
    }
    # The others want an object that no configuration gives, or data on disk, or are refused where
    # a run would have them: callbacks that write files, above all.
    for name, fewest in {
        "Module": 180,
        "Optimizer": 25,
        "LRScheduler": 9,
        "Metric": 29,
        "Dataset": 11,
        "Callback": 4,
    }.items():
        assert sum(made[name].values()) >= fewest
    assert not any(came for path, came in made["Callback"].items() if "Checkpoint" in path)


@pytest.mark.parametrize("expected", SLOTS)
def test_of_other_packages_classes_alone_are_acceptable_and_of_ours_what_is_meant(expected):
    for path, target in acceptable(expected).items():
        if not path.startswith("cvtrain."):
            assert inspect.isclass(target), path
            assert issubclass(target, expected), path
        elif inspect.isfunction(target):
            assert expected is Dataset, path
            assert target.__module__ == f"cvtrain.data.{target.__name__}"


def test_no_function_of_these_packages_is_acceptable_and_no_metric_but_in_its_slot():
    """Of every module that can be imported without side effects, by all of its names."""
    for root in ("torchcvnn", "torchmetrics", "cvtrain"):
        for name in modules_of(root):
            if not name.endswith("__main__"):
                with suppress(ImportError):  # of packages that are not installed
                    import_module(name)
    tried = 0
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in (*ROOTS, "torchmetrics"):
            continue
        for attribute, value in list(vars(module).items()):
            path = f"{name}.{attribute}"
            for expected in SLOTS:
                taken = public_classes(expected).get(path) or own_target(path, expected)
                tried += 1
                # Not `isinstance`: deprecated names warn when they are looked at.
                elsewhere = name.startswith("torchmetrics") and expected is not Metric
                if issubclass(type(value), FUNCTIONS) or elsewhere:
                    assert taken is None or attribute in DATASETS, path
                if taken is not None:
                    assert taken is value
                    assert any(taken is known for known in acceptable(expected).values()), path
    assert tried > 100_000


@pytest.mark.parametrize("expected", SLOTS)
@pytest.mark.parametrize(
    "path",
    [
        "torch.fx.graph_module.reduce_graph_module",
        "torch.fx.graph_module.reduce_deploy_graph_module",
        "torch.fx.GraphModule",
        "torch.hub.load",
        "torch.jit.load",
        "torch.jit.RecursiveScriptModule",
        "torch.load",
        "torch.export.load",
        "torch.package.PackageImporter",
        "torch.classes.load_library",
        "torch.ops.load_library",
        "torch.distributed.nn.RemoteModule",
        "torch.nn.modules.module.torch.hub.load",
        "torch.nn.functional.torch.os.system",
        "torch.optim._functional.torch.hub.load",
        "torch.utils.cpp_extension.load_inline",
        "torchcvnn.models.vit_t",
        "torchmetrics.image.fid.FrechetInceptionDistance",
        "torchmetrics.text.BERTScore",
        "lightning.pytorch.LightningModule.load_from_checkpoint",
        "lightning.pytorch.callbacks.SpikeDetection",
        "cvtrain.data.load.build_dataset",
        "cvtrain.data.load._build_dataset",
        "cvtrain.data.load.load_dataset",
        "cvtrain.training.network.build_model",
        "cvtrain.training.optimizer.build_optimizer",
        "cvtrain.data.idx_fft.idx_fft",
        "cvtrain.data.mnist_fft.idx_fft",
        "cvtrain.data.image_files.image_dataset",
        "cvtrain.data.article.Dataset",
        "cvtrain.training.module.TrainingModule",
        "cvtrain.models.stacked.network.stackable",
        "cvtrain.models.activation.activation",
    ],
)
def test_what_runs_loads_or_fetches_is_refused_in_every_slot(expected, path):
    with pytest.raises(InputError) as message:
        resolve_target("slot", path, expected)
    assert str(message.value).startswith(f"slot._target_={path}: ")
    assert len(str(message.value).splitlines()) == 1


@pytest.mark.parametrize("expected", SLOTS)
def test_what_is_acceptable_is_resolved_by_its_path(expected):
    for path, target in acceptable(expected).items():
        assert resolve_target("slot", path, expected) is target
    assert set(PUBLIC) == {slot.__name__ for slot in SLOTS}


def test_every_target_of_the_configuration_files_is_acceptable():
    folder = Path(configuration_folder())
    slots = {"data": Dataset, "model": nn.Module, "optimizer": torch.optim.Optimizer}
    for group, expected in slots.items():
        for file in sorted((folder / group).glob("*.yaml")):
            path = yaml.safe_load(file.read_text(encoding="utf-8"))["_target_"]
            if path != "???":
                assert resolve_target(group, path, expected)
    assert sorted(DATASETS) == sorted(
        file.stem for file in (folder / "data").glob("*.yaml") if file.stem != "custom"
    )


@pytest.fixture
def wavelab(tmp_path, monkeypatch):
    (tmp_path / "wavelab.py").write_text(
        "from torch import nn\n"
        "from torch.fx.graph_module import reduce_graph_module\n"
        "from torch.nn import Linear\n"
        "from cvtrain.data.article import article\n"
        "class Net(nn.Module): ...\n"
        "def network() -> nn.Module: return Net()\n"
        "def unsaid(): return Net()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("wavelab", None)


def test_of_a_trusted_package_its_own_classes_and_functions_are_acceptable(wavelab):
    for name in ("Net", "network", "Linear", "nn.Linear"):
        assert resolve_target("model", f"wavelab.{name}", nn.Module, ("wavelab",))
    assert resolve_target("data", "wavelab.article", Dataset, ("wavelab",))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reduce_graph_module", "should be defined in a trusted package, is in torch"),
        ("nn.modules.module.torch.hub.load", "should be defined in a trusted package, is in torch"),
        ("unsaid", "should be a torch Module class, or a function annotated to return one"),
    ],
)
def test_of_a_trusted_package_what_it_imports_is_not_trusted(wavelab, name, message):
    with pytest.raises(InputError, match=message):
        resolve_target("model", f"wavelab.{name}", nn.Module, ("wavelab",))


@pytest.mark.parametrize(
    "name", ["torch", "lightning", "cvtrain", "os", "builtins", "subprocess", "hydra", "a.b", ""]
)
def test_only_a_package_of_ones_own_can_be_trusted(name):
    with pytest.raises(InputError, match="should be packages of your own"):
        resolve_target("model", "torch.nn.Linear", nn.Module, (name,))
