"""Data that a user's code makes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cvtrain.config.python_objects import registered_object
from cvtrain.data.adoption import as_dataset
from cvtrain.data.folders import folders
from cvtrain.data.in_memory import data_target
from cvtrain.data.load import load_dataset
from cvtrain.process.errors import InputError
from tests.data.their_data import LABELS, SPLITS, X, read, save_splits
from tests.training.trained_runs import configured


def test_the_same_problem_has_the_same_bits_through_every_door(tmp_path, package):
    top = tmp_path / "classes"
    for name in SPLITS:
        for number, (x, label) in enumerate(zip(X[name], LABELS[name], strict=True)):
            file = top / name / f"class{label}" / f"{number:03}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, x)
    doors = [
        read(tmp_path, **save_splits(tmp_path), scale="none"),
        read(tmp_path, **save_splits(tmp_path), scale="none", in_memory=False),
        read(tmp_path, folders, path=str(top), scale="none"),
        read(tmp_path, folders, path=str(top), scale="none", in_memory=False),
    ]
    for door in ("ours", "torchs", "named", "Module"):
        dataset = load_dataset(configured(*package, f"data._target_=theirdata.{door}"))
        doors.append(([getattr(dataset, name) for name in SPLITS], dataset))
    for splits, dataset in doors:
        assert (dataset.task, dataset.out_features) == ("classification", 3)
        for name, split in zip(SPLITS, splits, strict=True):
            assert torch.equal(split.inputs, torch.from_numpy(X[name]))
            assert torch.equal(split.targets, torch.from_numpy(LABELS[name]))
    assert doors[2][1].class_names == ("class0", "class1", "class2")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("Unvalidated", "Unvalidated: should have a val_dataloader"),
        ("two", "made a list of 2: should be a cvtrain Dataset, three torch data sets"),
        ("nothing", "made a str: should be a cvtrain Dataset"),
        ("wanting", "wanting needs folder"),
        ("triples", "sample 0: should be an input and a target, is a tuple of 3; data.weighted=tr"),
        ("others", "labels 1, 2 should be 0 to 1$"),
        ("uneven", r"training split: inputs should have one shape, have \(1,\), \(2,\)"),
    ],
)
def test_what_code_makes_and_cannot_be_taken_is_one_line(package, target, message):
    with pytest.raises(InputError, match=message) as refused:
        load_dataset(configured(*package, f"data._target_=theirdata.{target}"))
    assert "\n" not in str(refused.value)


def test_a_third_item_is_the_weight_where_that_is_stated(tmp_path, package):
    files = save_splits(tmp_path)
    for name in SPLITS:
        key = "weights" if name == "train" else f"{name}_weights"
        files[key] = str(tmp_path / f"{key}.npy")
        np.save(files[key], np.arange(len(X[name])) % 3.0)
    same, _ = read(tmp_path, **files, scale="none")
    words = (*package, "data._target_=theirdata.weighing", "data.weighted=true")
    dataset = load_dataset(configured(*words))
    for name, expected in zip(SPLITS, same, strict=True):
        split = getattr(dataset, name)
        assert all(map(torch.equal, split.tensors, expected.tensors))
        assert len(split.tensors) == 3
    splits = [list(zip(*split.tensors, strict=True)) for split in same]
    target = data_target(splits)
    made = registered_object("data", target)(dtype=torch.complex64, weighted=True)
    assert torch.equal(made.train.weights, same[0].weights)
    for target, value, fault in (
        ("weighing", "3", "data.weighted=3: should be true or false"),
        ("torchs", "true", "should be an input and a target and a weight, is a tuple of 2$"),
        ("ours", "true", "weighted=true: should be left out, as splits of a Dataset bring"),
    ):
        words = (*package, f"data._target_=theirdata.{target}", f"data.weighted={value}")
        with pytest.raises(InputError, match=fault):
            load_dataset(configured(*words))


def test_a_seed_is_for_a_function_that_takes_one(package):
    load_dataset(configured(*package, "data._target_=theirdata.torchs", "data.seed=3"))
    with pytest.raises(InputError, match=r"data.seed=3: named takes no such argument"):
        load_dataset(configured(*package, "data._target_=theirdata.named", "data.seed=3"))
    # The seed of the data set whose `_target_` is replaced goes by itself.
    load_dataset(configured(*package[1:], "data._target_=theirdata.named"))


def test_a_mapping_of_other_splits_is_refused():
    with pytest.raises(ValueError, match="keys train, val: should be train, validation, test"):
        as_dataset({"train": [], "val": []}, torch.complex64)


def test_a_module_that_draws_its_splits_in_setup_has_no_sample_in_training_and_validation(package):
    dataset = load_dataset(configured(*package, "data._target_=theirdata.RandomSplit"))
    train, validation = (
        set(s.inputs.flatten().real.tolist()) for s in (dataset.train, dataset.validation)
    )
    assert len(train) == len(validation) == 20
    assert not train & validation


def test_a_transform_of_ones_own_is_a_function_of_one_sample(tmp_path, monkeypatch):
    code = (
        "import numpy as np\ndef centred(x, gain: float = 1.0):\n    return gain * (x - x.mean())\n"
    )
    code += "class Turned:\n    def __call__(self, x):\n        return 1j * x\n"
    (tmp_path / "transformlab.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    files = save_splits(tmp_path)
    words = ["data=arrays", "model=linear", "trusted_modules=[transformlab]", "data.scale=none"]
    words += [f"data.{key}={path}" for key, path in files.items()]
    centred = {n: (x - x.astype(np.complex128).mean(1, keepdims=True)) for n, x in X.items()}
    for transform, factor in (
        ("transformlab.centred", 1),
        ("{_target_: transformlab.centred, gain: 2}", 2),
    ):
        dataset = load_dataset(configured(*words, f"data.transform={transform}"))
        for name in SPLITS:
            expected = torch.from_numpy((factor * centred[name]).astype(np.complex64))
            assert torch.equal(getattr(dataset, name).inputs, expected)
    dataset = load_dataset(configured(*words, "data.transform=transformlab.Turned"))
    assert torch.equal(dataset.test.inputs, torch.from_numpy(1j * X["test"]))
    for transform, fault in (
        ("transformlab.centered", "data.transform._target_=transformlab.centered: .* centred"),
        (
            "{_target_: transformlab.centred, gian: 2}",
            "data.transform.gian=2: .*data.transform.gai",
        ),
        ("os.system", "data.transform._target_=os.system: should be of a trusted package"),
    ):
        with pytest.raises(InputError, match=fault):
            load_dataset(configured(*words, f"data.transform={transform}"))
    sys.modules.pop("transformlab")
