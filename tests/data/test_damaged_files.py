"""Files that are damaged, missing or of another format are named in one line before training."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from cvtrain.data.miccai2023 import TRAINING_SET, miccai2023
from cvtrain.data.mstar import mstar
from cvtrain.data.polsf import LABELS, VOLUME, polsf
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from tests.data.alos2_files import leader, trailer, volume, write_image
from tests.data.on_disk import SCENE, SETS, read
from tests.data.published_files import MIXED, mat_name, write_chip, write_matlab_array
from tests.mutations import IN_PLACE, time_limit

CHIP = Path(MIXED, "15_DEG/COL1/SCENE1/ZSU_23_4/HB00003.015")
MAT = Path("real", "m60", mat_name("m60", "real", 3))
FULL = TRAINING_SET / "P002" / "cine_sax.mat"
SUB = TRAINING_SET / "AccFactor04" / "P002" / "cine_sax.mat"
HV, CITY_LABELS = Path("Houston", "HV.npy"), Path("Houston", "Labels.npy")
VOL, PNG = Path(VOLUME), Path(LABELS)
LED, TRL, VH = (Path(VOLUME.replace("VOL-", kind)) for kind in ("LED-", "TRL-", "IMG-VH-"))
PAIRS = np.dtype([("real", "<f4"), ("imag", "<f4")])
SCENE_SIZE = (5056, 2784)


def gone(file):
    file.unlink()


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def starts(length):
    return lambda file: file.write_bytes(file.read_bytes()[:length])


def holds(content):
    return lambda file: file.write_bytes(content)


def chip(**fields):
    return lambda file: write_chip(file, np.ones((2, 2)), **fields)


def array(values, **options):
    return lambda file: np.save(file, np.array(values), **options)


KSPACE = np.ones((3, 2, 2, 8, 16), complex)


def matlab(key, content=KSPACE):
    return lambda file: write_matlab_array(file, key, content)


def linked(file):
    matlab("kspace_full")(file.with_name("other.mat"))
    with h5py.File(file, "w") as stored:
        stored["kspace_full"] = h5py.ExternalLink("other.mat", "kspace_full")


def raw(file):
    external = [("raw.bin", 0, h5py.h5f.UNLIMITED)]
    with h5py.File(file, "w") as stored:
        stored.create_dataset("kspace_full", (3, 2, 2, 8, 16), PAIRS, external=external)


def picture(values):
    return lambda file: Image.fromarray(values).save(file, "png")


def cut_image(file):
    write_image(file, np.ones((4, 4)), (0, 0))
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - 1)


DAMAGED = [
    (mstar, CHIP, cut, "it is cut short"),
    (mstar, CHIP, starts(50), "its Phoenix header has no end"),
    (mstar, CHIP, holds(b""), "Invalid header"),
    (mstar, CHIP, holds(b"\x80\x04cos\nsystem\n"), "Invalid header"),
    (mstar, CHIP, chip(NumberOfRows=10**9), "its moduli and phases are no 32-bit numbers"),
    (mstar, CHIP, chip(NumberOfRows=0), "specifies 0 × 2 pixels"),
    (mstar, CHIP, chip(NumberOfRows="two"), "'two'"),
    (mstar, CHIP, chip(PhoenixHeaderLength=-99), "after -99 bytes"),
    (mstar, CHIP, chip(PhoenixSigSize=9), "no 32-bit numbers"),
    (
        mstar,
        CHIP,
        chip(PhoenixHeaderLength="00010", PhoenixSigSize=42),
        "its header is longer than the 10 bytes that it states",
    ),
    (
        mstar,
        CHIP,
        lambda file: file.write_bytes(file.read_bytes().replace(b"NumberOfR", b"numberOfR")),
        "it has no NumberOfRows",
    ),
    (sample, MAT, holds(b"<html>404: Not Found</html>" * 9), "it is no MAT-file"),
    (sample, MAT, holds(b""), "it is no MAT-file"),
    (sample, MAT, cut, "it is cut short"),
    (sample, MAT, starts(128), "it is cut short"),
    (sample, MAT, lambda file: file.write_bytes(file.read_bytes() + b"\0"), "it is cut short"),
    (miccai2023, FULL, gone, "it is missing, 1 such file in all"),
    (miccai2023, SUB, gone, "it is missing, 1 such file in all"),
    (miccai2023, FULL, cut, "truncated file"),
    (miccai2023, FULL, holds(b"<html>"), "file signature not found"),
    (miccai2023, FULL, holds(b""), "file signature not found"),
    (miccai2023, FULL, matlab("kspace"), "it has no kspace_full"),
    (miccai2023, FULL, matlab("kspace_full", KSPACE.real), "pairs of real and imag"),
    (miccai2023, FULL, matlab("kspace_full", KSPACE[0]), "[times, slices,"),
    (miccai2023, FULL, matlab("kspace_full", KSPACE[:, :0]), "none of them 0"),
    (
        miccai2023,
        SUB,
        matlab("kspace_sub04", KSPACE[..., :4, :4]),
        "kspace_sub04 is [3, 2, 2, 4, 4], should be [3, 2, 2, 8, 16] as kspace_full",
    ),
    (miccai2023, FULL, linked, "kspace_full refers to another file"),
    (miccai2023, FULL, raw, "kspace_full refers to another file"),
    (s1slc, HV, gone, "it is missing; it should hold a folder for each"),
    (s1slc, HV, cut, "mmap length is greater"),
    (s1slc, HV, holds(b""), "it is no .npy file"),
    (s1slc, HV, holds(pickle.dumps(print)), "it is no .npy file"),
    (s1slc, HV, array([print], allow_pickle=True), "Python objects"),
    (s1slc, HV, array(np.ones((21, 8, 8))), "it holds float64 [21, 8, 8], should be c"),
    (s1slc, HV, array(np.ones((20, 8, 8), complex)), "should be complex numbers [21, H, W]"),
    (s1slc, HV, array(np.ones((21, 8), complex)), "[21, 8], should be complex"),
    (s1slc, CITY_LABELS, array([0] * 21), "labels span 0 to 0, should be 1 to 7"),
    (s1slc, CITY_LABELS, array([8] * 21), "labels span 8 to 8, should be 1 to 7"),
    (s1slc, CITY_LABELS, array([1.5] * 21), "whole numbers"),
    (s1slc, CITY_LABELS, array([np.nan] * 21), "whole numbers"),
    (s1slc, CITY_LABELS, array([]), "at least one"),
    (s1slc, CITY_LABELS, array(["water"] * 21), "it holds <U5 [21], should be N labels"),
    (s1slc, CITY_LABELS, array([[1, 2]] * 21), "it holds int64 [21, 2], should be N labels"),
    (polsf, VOL, gone, "it is missing; it should hold VOL-ALOS2"),
    (polsf, LED, gone, "it is missing"),
    (polsf, VH, gone, "it is missing"),
    (polsf, PNG, gone, "PolSF by X. Liu"),
    (polsf, VOL, holds(b"<html>"), "not of the format that it should be"),
    (polsf, VOL, holds(volume(images=3)), "it lists 3 images, should be 4"),
    (polsf, LED, holds(leader("a lot")), "a lot"),
    (polsf, LED, holds(leader("nan")), "its calibration factor is no number"),
    (polsf, LED, holds(leader(26.0)[:9000]), "could not convert string to float"),
    (polsf, TRL, holds(trailer(999999, 999999, held=80)), "it is cut short: 800 bytes"),
    (polsf, VH, holds(b""), "not of the format that it should be"),
    (polsf, VH, cut_image, "it is cut short"),
    (polsf, PNG, holds(b"GIF89a"), "cannot identify image file"),
    (polsf, PNG, picture(np.zeros((3, 4), np.uint8)), "it has 3 × 4 pixels, should be (5056, 2784"),
    (polsf, PNG, picture(np.zeros((*SCENE_SIZE, 3), np.uint8)), "it should have one channel"),
    (polsf, PNG, picture(np.full(SCENE_SIZE, 7, np.uint8)), "labels reach 7, should be 0 to 6"),
    (polsf, PNG, picture(np.full(SCENE_SIZE, 3, np.uint8)), "its labels are of fewer than two"),
]


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A folder of each data set: a small copy, which a test may read but not change."""
    folders = {}
    for function, (write, _) in SETS.items():
        folders[function] = tmp_path_factory.mktemp(function.__name__)
        write(folders[function])
    return folders


@pytest.fixture
def copied(copies, tmp_path):
    """A function that makes a copy of a data set whose one `file` may be changed: the others are
    links, since PolSF's files are large."""

    def copy(function, file):
        for original in copies[function].rglob("*.*"):
            if original.is_file():
                link = tmp_path / original.relative_to(copies[function])
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(original)
        content = b"" if function is polsf else (tmp_path / file).read_bytes()
        (tmp_path / file).unlink()
        (tmp_path / file).write_bytes(content)
        return tmp_path

    return copy


def refusal(function, top):
    with pytest.raises(ValueError) as refused:
        read(function, top)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(("function", "file", "damage", "message"), DAMAGED)
def test_a_damaged_file_is_named_before_training(copied, function, file, damage, message):
    top = copied(function, file)
    damage(top / file)
    refused = refusal(function, top)
    assert refused.startswith(f"{top / file}: ")
    assert message in refused


def test_a_damaged_chip_of_a_terabyte_is_not_read_into_memory(copied):
    top = copied(mstar, CHIP)
    IN_PLACE["huge"](top / CHIP)
    tracemalloc.start()
    with time_limit(30):
        refused = refusal(mstar, top)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "Invalid header" in refused
    assert len(refused) < 1000
    assert peak < 100e6  # bytes


def test_a_scene_that_is_too_small_is_refused(copied, monkeypatch):
    top = copied(polsf, VH)
    monkeypatch.setattr("tests.data.alos2_files.PART", ((0, 0), (50, 60)))
    write_image(top / VH, np.ones((4, 4)), (0, 0))
    message = "it has 50 × 60 pixels, should be at least (7888, 3520)"
    assert refusal(polsf, top) == f"{top / VH}: {message}"


def overwritten(offset, content):
    """Change a line of an image, `offset` bytes after its beginning."""

    def change(file, row, column):
        write_image(file, np.ones(SCENE["shape"]), SCENE["corner"])
        with file.open("r+b") as stream:
            stream.seek(720 + row * (544 + 8 * 3520) + (offset or 544 + 8 * column))
            stream.write(content)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (overwritten(None, np.full(2, np.nan, ">f4").tobytes()), "it holds NaN or infinity"),
        (overwritten(5, b"\0"), "not of the format that it should be"),
    ],
)
def test_a_patch_of_a_scene_that_cannot_be_read_is_named_with_its_file(copied, change, message):
    top = copied(polsf, VH)
    write_image(top / VH, np.ones(SCENE["shape"]), SCENE["corner"])
    train = read(polsf, top).train
    row, column = train.samples.samples.corner(train.chosen[3])
    change(top / VH, 2832 + row + 7, 736 + column + 9)
    with pytest.raises(ValueError) as refused:
        train.take(torch.tensor([3]))
    assert str(refused.value).startswith(f"sample 3: {top / VH}: {message}")
