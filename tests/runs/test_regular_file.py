"""Only regular files of bounded size are read, and nothing is waited for."""

from __future__ import annotations

import json
import re
import socket
import zipfile

import pytest

from cvtrain.process.errors import InputError
from cvtrain.process.regular_file import (
    UnsuitableFileError,
    is_directory,
    is_file,
    kind_of,
    open_regular,
    read_regular,
)
from cvtrain.runs.checkpoint import read_checkpoint
from cvtrain.runs.directory_lock import OWNER_FILE, owner
from cvtrain.runs.json_file import DEEPEST, read_json
from cvtrain.runs.metrics_csv import FILE_NAME, last_step, value_at
from cvtrain.runs.tensorboard.events import EventFile, ends_with_a_record
from tests.mutations import IN_PLACE, time_limit

OTHERS = {
    "directory": "is a directory, should be a file",
    "pipe": "is a named pipe, should be a file",
    "device": "is a device, should be a file",
    "loop": "Too many levels of symbolic links",
    "huge": "has 1,099,512 MB, at most 0 MB are read",
}


@pytest.mark.parametrize(("kind", "told"), OTHERS.items())
def test_what_is_no_file_or_too_large_is_told_at_once(tmp_path, kind, told):
    path = tmp_path / "run.json"
    IN_PLACE[kind](path)
    with time_limit(5), pytest.raises(OSError, match=re.escape(told)) as caught:
        open_regular(path, 1000)
    assert caught.value.filename == str(path)


def test_a_socket_and_a_name_that_none_has_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(UnsuitableFileError, match="is a socket"):
            open_regular(tmp_path / "socket")
    with pytest.raises(UnsuitableFileError, match="is no path"):
        open_regular(tmp_path / "a\0b")
    assert kind_of(tmp_path / ("x" * 5000)) is None
    assert kind_of(tmp_path / "a\0b") is None


def test_a_file_is_read_whole_by_its_links_too(tmp_path):
    (tmp_path / "there").write_bytes(b"1234")
    (tmp_path / "link").symlink_to("there")
    assert read_regular(tmp_path / "link", 4) == b"1234"
    with pytest.raises(UnsuitableFileError, match="at most"):
        read_regular(tmp_path / "link", 3)
    assert is_file(tmp_path / "link")
    assert not is_file(tmp_path)
    assert is_directory(tmp_path)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (nested(DEEPEST + 1), "nested too deeply"),
        (nested(100_000), "nested too deeply"),
        ('{"a":' * (DEEPEST + 1) + "0" + "}" * (DEEPEST + 1), "nested too deeply"),
        ('"', "Unterminated string"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("9" * 5000, "4300 digits"),
        ("", "Expecting value"),
    ],
)
def test_json_that_none_of_ours_wrote_is_told_in_a_line(tmp_path, content, told):
    path = tmp_path / "run.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(told)) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [nested(DEEPEST), "5", '"\\u00bd"', "[[]" + ", []" * 100 + "]"])
def test_json_that_is_not_too_deep_is_read(tmp_path, content):
    path = tmp_path / "run.json"
    path.write_text(content, encoding="utf-8")
    assert read_json(path) == json.loads(content)


@pytest.mark.parametrize("kind", OTHERS)
def test_readers_of_files_that_may_be_missing_wait_for_none_of_these(tmp_path, kind):
    for name in (FILE_NAME, OWNER_FILE, "events", "last.ckpt"):
        IN_PLACE[kind](tmp_path / name)
    with time_limit(5):
        assert last_step(tmp_path) is None
        assert value_at(tmp_path, 0, "val/loss") is None
        assert owner(tmp_path) is None
        assert not ends_with_a_record(tmp_path / "events")
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            read_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("table", "step", "value"),
    [
        ("step,val/loss\r\n3,0.5\r\n", 3, 0.5),
        (f"step,val/loss\r\n3,0.5\r\n1{'0' * 29},0.5\r\n", None, 0.5),
        (f"step,val/loss\r\n{'9' * 5000},0.5\r\n", None, None),
        ("step,val/loss\r\n3,x\r\n", 3, None),
        ("val/loss\r\n3\r\n", 3, None),
        ('step,val/loss\r\n"3,0.5\r\n', None, None),
        (f'step,val/loss\r\n"{"x" * 200_000}",1\r\n3,0.5\r\n', 3, None),
    ],
)
def test_a_table_of_any_content_has_a_step_and_a_value_or_none(tmp_path, table, step, value):
    (tmp_path / FILE_NAME).write_text(table, encoding="utf-8", newline="")
    assert last_step(tmp_path) == step
    assert value_at(tmp_path, 3, "val/loss") == value


def test_an_event_file_named_after_an_absurd_time_does_not_name_the_next_one(tmp_path):
    (tmp_path / f"events.out.tfevents.{'9' * 200}.host").touch()
    EventFile(tmp_path).flush()
    made = sorted(path.name for path in tmp_path.iterdir())[0]
    assert re.fullmatch(r"events\.out\.tfevents\.\d{10}\..*", made)


def test_a_checkpoint_that_would_unpack_to_more_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    assert path.stat().st_size < 10**5
    with pytest.raises(InputError, match="its entries are compressed, or overlap"):
        read_checkpoint(path)
