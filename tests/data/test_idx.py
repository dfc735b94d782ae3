"""IDX files are read as they are written, and what is wrong with one is a line that names it."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvtrain.data.idx import find_idx, read_idx
from tests.data.idx_files import idx, write

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx(VALUES)
ZIPPED = gzip.compress(GOOD)
ANY = (None, 3, 4)


@pytest.mark.parametrize("name", ["values", "values.gz"])
@pytest.mark.parametrize("sizes", [ANY, (2, 3, 4), (None, None, None)])
def test_the_values_are_those_written(tmp_path, name, sizes):
    write(tmp_path / name, GOOD)
    read = read_idx(tmp_path / name, sizes)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, VALUES)


def test_content_and_not_the_name_tells_whether_it_is_gzipped(tmp_path):
    (tmp_path / "values.gz").write_bytes(GOOD)
    (tmp_path / "values").write_bytes(ZIPPED)
    for name in ("values.gz", "values"):
        np.testing.assert_array_equal(read_idx(tmp_path / name, ANY), VALUES)


def test_a_file_larger_than_one_piece_is_whole(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 1000, 1000), dtype=np.uint8)
    write(tmp_path / "large", idx(values))
    np.testing.assert_array_equal(read_idx(tmp_path / "large", (None, 1000, 1000)), values)


def test_the_unpacked_file_goes_before_the_packed_one(tmp_path):
    assert find_idx(tmp_path / "nowhere", "values") is None
    assert find_idx(tmp_path, "values") is None
    (tmp_path / "values.gz").touch()
    assert find_idx(tmp_path, "values") == tmp_path / "values.gz"
    (tmp_path / "values").mkdir()
    assert find_idx(tmp_path, "values") == tmp_path / "values.gz"
    (tmp_path / "values").rmdir()
    (tmp_path / "values").touch()
    assert find_idx(tmp_path, "values") == tmp_path / "values"


BAD = {
    "empty": (b"", "not an IDX file, it begins with b''"),
    "short": (b"\0\0\x08", "not an IDX file"),
    "page": (b"<html>not found</html>", "not an IDX file, it begins with b'<htm'"),
    "packed page": (gzip.compress(b"<html>"), "not an IDX file, it begins with b'<htm'"),
    "unknown type": (idx(VALUES, kind=0x07), "not an IDX file"),
    "floats": (idx(VALUES, kind=0x0D), "values of IDX type 0x0d, should be unsigned bytes, 0x08"),
    "labels": (idx(VALUES[0, 0]), "number of dimensions 1, should be 3"),
    "no sizes": (GOOD[:9], "truncated, it ends among its sizes"),
    "narrow": (idx(VALUES[:, :, :3]), "sizes 2×3×3, should be N×3×4"),
    "cut": (GOOD[:-1], "truncated, 23 values of 24"),
    "no values": (GOOD[:16], "truncated, 0 values of 24"),
    "promises": (GOOD[:4] + b"\xff" * 4 + GOOD[8:], "truncated, 24 values of 51539607540"),
    "longer": (GOOD + b"\0", "trailing bytes after its 24 values"),
    "packed cut": (gzip.compress(GOOD[:-1]), "truncated, 23 values of 24"),
    "packed longer": (gzip.compress(GOOD + b"\0"), "trailing bytes after its 24 values"),
    "cut packed": (ZIPPED[:-9], "truncated, the gzip stream has no end"),
    "cut at its head": (ZIPPED[:5], "truncated, the gzip stream has no end"),
    "wrong crc": (ZIPPED[:-8] + b"\0" * 8, "damaged gzip file"),
    "wrong block": (ZIPPED[:10] + b"\xff" * 8, "damaged gzip file"),
    "packed and more": (ZIPPED + b"more", "damaged gzip file"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_a_line_that_names_the_file(tmp_path, content, message):
    path = tmp_path / "values"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="^" + re.escape(f"{path}: {message}")) as refused:
        read_idx(path, ANY)
    assert "\n" not in str(refused.value)


@given(data=st.data(), packed=st.booleans())
def test_no_damage_gives_other_sizes_or_another_error(tmp_path_factory, data, packed):
    content = bytearray(ZIPPED if packed else GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = read_idx(path, ANY)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        assert read.shape[1:] == VALUES.shape[1:]  # the first size is free
        if packed:  # it has a checksum
            np.testing.assert_array_equal(read, VALUES)
