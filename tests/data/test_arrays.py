"""Somebody's own data: arrays in files, and folders of files."""

from __future__ import annotations

import pickle

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from cvtrain.data.arrays import arrays
from cvtrain.data.folders import folders
from cvtrain.data.split import FileSplit, in_memory
from tests.data.their_data import LABELS, REAL, SIZES, SPLITS, X, read, save, save_splits


def write_npz(file, x, y):
    np.savez(file, x=x, y=y)


def write_mat(file, x, y):
    savemat(file, {"x": x, "y": y.astype(np.float64)})


def write_mat73(file, x, y):
    with h5py.File(file, "w") as stored:
        pairs = np.zeros(x.T.shape, dtype=[("real", "f4"), ("imag", "f4")])
        pairs["real"], pairs["imag"] = x.T.real, x.T.imag
        stored["x"], stored["y"] = pairs, y[:, None].astype(np.float64).T
        stored.create_group("#refs#")


def write_h5(file, x, y):
    with h5py.File(file, "w") as stored:
        stored["group/x"], stored["y"] = x, y


@pytest.mark.parametrize(
    ("file", "write", "name"),
    [
        ("data.npz", write_npz, "x"),
        ("data.mat", write_mat, "x"),
        ("new.mat", write_mat73, "x"),
        ("data.h5", write_h5, "group/x"),
    ],
)
def test_every_format_holds_the_same(tmp_path, file, write, name):
    write(tmp_path / file, X["train"], LABELS["train"])
    path = str(tmp_path / file)
    splits, dataset = read(tmp_path, inputs=f"{path}:{name}", targets=f"{path}:y", scale="none")
    expected, _ = read(tmp_path, **save(tmp_path), scale="none")
    assert dataset.aim == "classification onto 3"
    for split, same in zip(splits, expected, strict=True):
        assert torch.equal(split.inputs, same.inputs)
        assert torch.equal(split.targets, same.targets)


@pytest.mark.parametrize(
    ("targets", "aim", "dtype"),
    [
        (LABELS, "classification onto 3", torch.int64),
        (REAL, "regression onto 2 real values", torch.float32),
        ({k: x[:, :2] for k, x in X.items()}, "regression onto 2", torch.complex64),
        ({k: x[:, 0].real for k, x in X.items()}, "regression onto 1 real values", torch.float32),
        (
            {k: (x.real > 0).astype(np.uint8) for k, x in X.items()},
            "classification onto 2 at each of 6 positions",
            torch.int64,
        ),
    ],
)
def test_targets_are_recognised(tmp_path, targets, aim, dtype):
    splits, dataset = read(tmp_path, **save(tmp_path, targets))
    assert dataset.aim == aim
    assert {split.targets.dtype for split in splits} == {dtype}
    assert sum(map(len, splits)) == SIZES["train"]


def test_classes_and_groups_are_divided_as_asked(tmp_path):
    chosen = save(tmp_path)
    splits, _ = read(tmp_path, **chosen, validation=0.25, test=0.25)
    for split, count in zip(splits, (2, 1, 1), strict=True):
        assert torch.bincount(split.targets).tolist() == [count] * 3
    patients = np.repeat(["d", "b", "a", "c"], 3).astype("U1")
    group = np.unique(patients, return_inverse=True)[1]
    np.save(tmp_path / "group.npy", group)
    splits, _ = read(tmp_path, **chosen, groups=str(tmp_path / "group.npy"), scale="none")
    owners = [
        {group[np.flatnonzero((X["train"] == x).all(1))[0]] for x in split.inputs.numpy()}
        for split in splits
    ]
    assert sorted(len(o) for o in owners) == [1, 1, 2]
    assert not (owners[0] & owners[1] or owners[0] & owners[2] or owners[1] & owners[2])


def test_inputs_are_scaled_by_the_training_split_and_transformed_as_asked(tmp_path):
    chosen = save_splits(tmp_path)
    splits, _ = read(tmp_path, **chosen)
    rms = np.sqrt(np.mean(np.abs(X["train"].astype(np.complex128)) ** 2))
    for name, split in zip(SPLITS, splits, strict=True):
        np.testing.assert_allclose(split.inputs.numpy(), X[name] / rms, rtol=1e-6)
    stored, _ = read(tmp_path, **chosen, in_memory=False)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(splits, stored, strict=True))

    pairs = np.stack([X["train"].real, X["train"].imag], axis=-1)
    np.save(tmp_path / "train_inputs.npy", pairs)
    for name in ("validation", "test"):
        np.save(tmp_path / f"{name}_inputs.npy", np.stack([X[name].real, X[name].imag], axis=-1))
    from_pairs, _ = read(tmp_path, **chosen, parts="last", scale="none")
    assert torch.equal(from_pairs[0].inputs, torch.from_numpy(X["train"]))
    spectra, _ = read(tmp_path, **chosen, parts="last", transform="fft", scale="none")
    np.testing.assert_allclose(spectra[0].inputs, np.fft.fft(X["train"]), rtol=1e-5, atol=1e-5)

    time = np.arange(64)
    signal = np.cos(2 * np.pi * 8 * time / 64)[None].repeat(9, axis=0)
    np.save(tmp_path / "x.npy", signal)
    np.save(tmp_path / "y.npy", np.arange(9) % 3)
    both = {"inputs": str(tmp_path / "x.npy"), "targets": str(tmp_path / "y.npy")}
    analytic, _ = read(tmp_path, **both, transform="analytic", scale="none")
    expected = np.exp(2j * np.pi * 8 * time / 64)
    np.testing.assert_allclose(analytic[0].inputs[0], expected, atol=1e-6)
    frames, _ = read(tmp_path, **both, transform="stft", window=16, scale="none")
    assert frames[0].inputs.shape[1:] == (16, 13)
    assert frames[0].inputs[0].abs().argmax(0).unique().tolist() == [2]


def test_targets_may_be_real_pairs_and_are_scaled_by_the_training_split_alone(tmp_path):
    values = {k: 3 * x[:, :2] for k, x in X.items()}
    pairs = {k: np.stack([y.real, y.imag], axis=-1) for k, y in values.items()}
    whole, _ = read(tmp_path, **save_splits(tmp_path, values), target_parts=None)
    for_one = {k: y[:, 0] for k, y in pairs.items()}
    of_pairs, dataset = read(tmp_path, **save_splits(tmp_path, pairs), target_parts="last")
    assert dataset.aim == "regression onto 2"
    assert all(torch.equal(a.targets, b.targets) for a, b in zip(whole, of_pairs, strict=True))
    one, dataset = read(tmp_path, **save_splits(tmp_path, for_one), target_parts="last")
    assert dataset.aim == "regression onto 1"
    assert torch.equal(one[2].targets, whole[2].targets[:, :1])

    chosen = {"target_parts": "last", "target_scale": "rms"}
    for weighted in (True, False):
        arguments = save_splits(tmp_path, pairs) | chosen | {"in_memory": weighted}
        scaled, dataset = read(tmp_path, **arguments)
        rms = np.sqrt(np.mean(np.abs(values["train"].astype(np.complex128)) ** 2))
        assert dataset.scales["targets"] == pytest.approx(rms)
        for name, split in zip(SPLITS, scaled, strict=True):
            np.testing.assert_allclose(split.targets.numpy(), values[name] / rms, rtol=1e-6)


def test_the_scale_of_drawn_splits_is_that_of_the_samples_for_training(tmp_path):
    values = {k: 3 * x[:, :2] for k, x in X.items()}
    splits, _ = read(tmp_path, **save(tmp_path, values), target_scale="rms")
    train, *others = (
        [s.inputs.abs().square().mean(), s.targets.abs().square().mean()] for s in splits
    )
    assert train == pytest.approx([1, 1], rel=1e-5)
    assert all(abs(power - 1) > 1e-3 for split in others for power in split)


def test_groups_are_divided_again_until_training_has_every_class(tmp_path):
    chosen = save(tmp_path)
    # Class 2, the last four samples, is in groups 3 and 4 alone.
    np.save(tmp_path / "group.npy", np.array([0, 1, 2, 0, 1, 2, 0, 1, 3, 4, 3, 4]))
    for seed in range(20):
        splits, _ = read(tmp_path, **chosen, groups=str(tmp_path / "group.npy"), seed=seed)
        assert splits[0].targets.unique().tolist() == [0, 1, 2]


def test_samples_on_disk_are_read_by_other_processes_too(tmp_path):
    write_h5(tmp_path / "data.h5", X["train"], LABELS["train"])
    path = str(tmp_path / "data.h5")
    chosen = {"inputs": f"{path}:group/x", "targets": f"{path}:y", "in_memory": False}
    dataset = arrays(**chosen, workers=1, dtype=torch.complex64)
    assert isinstance(dataset.train, FileSplit)
    assert torch.equal(
        pickle.loads(pickle.dumps(dataset.train.samples))[0][0], dataset.train.samples[0][0]
    )
    (piece,) = dataset.train.pieces(len(dataset.train))
    assert torch.equal(piece.inputs, in_memory(dataset.train).inputs)


def test_labels_that_are_not_0_to_c_are_numbered_anew_when_asked(tmp_path):
    chosen = save(tmp_path, {"train": np.array([5, 7, 9])[LABELS["train"]]})
    with pytest.raises(ValueError, match=r"labels 5, 7, 9 should be 0 to 2; .* 5→0, 7→1, 9→2"):
        read(tmp_path, **chosen)
    _, dataset = read(tmp_path, **chosen, relabel=True)
    assert dataset.class_names == ("5", "7", "9")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"validation": 0.3}, "validation=0.3: should be left out, as it has its own samples"),
        ({"seed": 1}, "seed=1: should be 0, as validation and test have their own samples"),
        ({"groups": LABELS["train"]}, "groups: should be left out, as validation and test have"),
    ],
)
def test_what_a_draw_would_need_is_refused_where_splits_have_their_own_files(
    tmp_path, chosen, message
):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **save_splits(tmp_path), **chosen)


def test_each_input_may_have_its_own_transform_and_parts(tmp_path):
    chosen = save(tmp_path)
    pairs = np.stack([X["train"].real, X["train"].imag], axis=-1)
    alone = {"scale": "none", "seed": 3}
    spectra, _ = read(tmp_path, **chosen, **alone, transform="fft")
    plain, _ = read(tmp_path, **chosen, **alone)
    chosen["inputs"] = [X["train"], pairs, X["train"]]  # arrays in memory, as in Python
    chosen |= alone | {"transform": ["fft", None, np.flip], "parts": [None, "last", None]}
    for weighted in (True, False):
        splits, _ = read(tmp_path, **chosen, in_memory=weighted)
        for split, one, other in zip(splits, spectra, plain, strict=True):
            assert torch.equal(split.inputs[0], one.inputs)
            assert torch.equal(split.inputs[1], other.inputs)
            assert torch.equal(split.inputs[2], other.inputs.flip(1))


def nan(x):
    return np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x)


BAD = [
    ({"x": X["test"]}, {}, "targets=.*: 12 samples should be 4, as inputs="),
    ({"x": np.array(3.0)}, {}, "x.npy: holds a single number, should be an array"),
    ({"x": nan(X["train"])}, {}, "training split: inputs should be finite"),
    ({"x": nan(X["train"])}, {"scale": "none"}, "inputs should be finite, hold NaN"),
    ({"y": nan(REAL["train"])}, {}, "targets should be finite, hold NaN"),
    ({"x": np.array([object()] * 12)}, {}, "x.npy: holds Python objects, should be numbers"),
    ({"x": np.array(["a"] * 12)}, {}, "x.npy: holds <U1, should be numbers"),
    ({}, {"inputs": "nowhere.npy"}, "inputs=nowhere.npy: there is no file"),
    ({}, {"inputs": __file__}, r"inputs=.*test_arrays.py: should be a file .npy, .npz"),
    ({"y": np.zeros(12, int)}, {}, "labels 0 should be of two classes or more"),
    ({"groups": np.arange(12) % 2}, {}, "2 groups: should be 3 or more"),
    ({"groups": np.arange(5)}, {}, r"groups=.*: is \[5\], should be \[12\]"),
    ({}, {"parts": "last"}, r"parts=last: inputs should be real \[N, ..., 2\], are complex64"),
    ({}, {"transform": "analytic"}, "transform=analytic: should be of real signals"),
    ({}, {"transform": "fft2"}, "transform=fft2: should be of inputs with 2 axes"),
    ({}, {"transform": "stft"}, "window=64: should be at most the 6 values"),
    ({}, {"transform": "sine"}, "transform=sine: should be one of fft, fft2, stft, analytic, or a"),
    ({}, {"transform": ["fft", None]}, "transform: 2 in a list should be 1, one for each input"),
    ({}, {"transform": lambda x: "a"}, "transform: should return an array of numbers, returns <U1"),
    ({}, {"transform": lambda x: x[x.real > 0]}, "transform: samples should have one shape, have"),
    ({}, {"parts": ["first"]}, "parts=.*: should be last, or a list of last and null"),
    ({}, {"window": 32, "transform": "fft"}, "window=32: should come with transform=stft"),
    (
        {"y": REAL["train"]},
        {"relabel": True},
        "relabel=true: should be false, as the targets are n",
    ),
    ({}, {"validation": 0.6, "test": 0.5}, "validation=0.6: should leave samples"),
    ({}, {"test_inputs": "x.npy"}, "test_targets=null: should be given"),
    ({"x": X["train"] * 0}, {}, "scale=rms: training inputs should not be zero"),
    ({"y": REAL["train"]}, {"task": "classification"}, "targets should be whole numbers"),
    ({"y": X["train"]}, {"target_parts": "last"}, r"target_parts=last: targets should be real \[N"),
    ({}, {"target_scale": "rms"}, "target_scale=rms: should be none, as targets are labels"),
    ({"y": 0.0 * REAL["train"]}, {"target_scale": "rms"}, "target_scale=rms: training targets sho"),
    ({"groups": np.array([0] * 4 + [1, 2] * 4)}, {}, "groups: class [01] should be in a group"),
    ({"weights": np.ones(5)}, {}, r"weights=.*: is \[5\], should be \[12\], one a sample"),
    ({"weights": X["train"][:, 0]}, {}, r"training split: weights should be real \[12\]"),
    ({"weights": -np.ones(12)}, {}, "split: weights should be finite, not negative, and not all"),
    ({"weights": np.zeros(12)}, {}, "split: weights should be finite, not negative, and not all"),
    ({"weights": nan(np.ones(12))}, {}, "weights should be finite, not negative"),
    ({}, {"test_weights": "w.npy"}, "test_inputs=null: should be given with test_weights"),
]


@pytest.mark.parametrize(("changed", "chosen", "message"), BAD)
def test_a_bad_array_is_one_line(tmp_path, changed, chosen, message):
    arguments = save(tmp_path) | chosen
    for name, array in changed.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
    for name in {"groups", "weights"} & changed.keys():
        arguments[name] = str(tmp_path / f"{name}.npy")
    with pytest.raises(ValueError, match=message) as refused:
        read(tmp_path, **arguments)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("data.mat", "", "holds several variables; should be FILE:NAME with one of x, y"),
        ("data.mat", ":z", "has no z; should be FILE:NAME with one of x, y"),
        ("data.npz", ":z", "has no z; should be FILE:NAME with one of x, y"),
        ("data.h5", ":z", "has no z; should be FILE:NAME with one of group/x, y"),
        ("x.npy", ":x", "a .npy file holds one array, without a name"),
    ],
)
def test_a_variable_that_a_file_lacks_is_told_with_those_it_has(tmp_path, file, name, message):
    for write, kind in ((write_mat, "mat"), (write_npz, "npz"), (write_h5, "h5")):
        write(tmp_path / f"data.{kind}", X["train"], LABELS["train"])
    chosen = save(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, inputs=f"{tmp_path / file}{name}", targets=chosen["targets"])


def test_folders_that_hold_no_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds 0 classes, should be two or more"):
        read(tmp_path, folders, path=str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"a: holds no file .npy"):
        read(tmp_path, folders, path=str(tmp_path))
    for name, shape in (("a", (3,)), ("b", (4,))):
        for number in range(3):
            np.save(tmp_path / name / f"{number}.npy", np.ones(shape))
    with pytest.raises(ValueError, match=r"its array is \[4\], should be \[3\] as in"):
        read(tmp_path, folders, path=str(tmp_path))


def test_two_folders_for_one_split_are_refused(tmp_path):
    for name in ("train", "val", "validation"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match="one folder for validation, has val and validation"):
        read(tmp_path, folders, path=str(tmp_path))
