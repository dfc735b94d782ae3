"""TensorBoard's event file: its name, the frame around each record, and events of scalars.

A frame has two checksums. TensorBoard's own writer computes them in pure Python, which takes 0.2 ms
for a row of 40 values, several times the cost of the rest; the C library is used here. That writer
also starts a thread per file, and a stack has a thousand files.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from cvtrain.process.regular_file import open_regular
from cvtrain.runs.files import AppendedFile
from cvtrain.runs.safe_names import NAME_BEGINS

FILE_VERSION = "brain.Event:2"
SECOND_DIGITS = 10
"""Number of digits of the time in a file's name; a file with more was not written by cvtrain."""
FLOAT_BYTES = 4

_numbers = itertools.count()


class EventFile(AppendedFile):
    """Appends serialized `Event`s to a new event file in `directory`.

    Args:
        directory: existing directory.
        began: Unix time in seconds, by which TensorBoard orders runs; None: now.
    """

    def __init__(self, directory: Path, began: float | None = None) -> None:
        now = time.time()
        # TensorBoard reads the files of a directory in the order of their names: oldest first, even
        # if the clock was set back in between.
        second = max(int(now), 1 + _latest_second(directory))
        suffix = f"{second:010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        super().__init__(directory / f"{NAME_BEGINS}{suffix}")
        first = Event(wall_time=now if began is None else began, file_version=FILE_VERSION)
        self.add(first.SerializeToString())

    def add(self, event: bytes) -> None:
        """Keep a serialized event for the next flush."""
        self.append(framed(event))


def scalar_events(
    step: int, wall_time: float, tags: Sequence[str], values: NDArray[np.float64]
) -> list[bytes]:
    """Serialize one event per run, with all values of the row as float32 `simple_value`s.

    A protocol buffer per run would cost as much as its text in metrics.csv. One is serialized here
    with zeros, which are overwritten by the numbers of each run.

    Args:
        step: index of the row.
        wall_time: time at which the row was written, in seconds since the epoch.
        tags: T names.
        values: [T, K].

    Returns:
        K serialized events.
    """
    summary, positions = _zeros(tuple(tags))
    template = Event(step=step, wall_time=wall_time, summary=summary).SerializeToString()
    events = np.tile(np.frombuffer(template, dtype=np.uint8), (values.shape[1], 1))
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite
        numbers = values.T.astype("<f4", order="C")
    events[:, positions] = numbers.view(np.uint8)
    return [event.tobytes() for event in events]


@lru_cache
def _zeros(tags: tuple[str, ...]) -> tuple[Summary, NDArray[np.intp]]:
    """A summary with a zero for every tag, and the positions of the bytes of these numbers in an
    event, from its end."""
    entries = [Summary.Value(tag=tag, simple_value=0.0) for tag in tags]
    # Fields are serialized in the order of their numbers: the summary is the last field of an
    # event, and the number the last field of its entry.
    sizes = [Summary(value=[entry]).ByteSize() for entry in entries]
    ends = np.cumsum(sizes, dtype=np.intp) - sum(sizes)
    return Summary(value=entries), (ends[:, None] + np.arange(-FLOAT_BYTES, 0)).reshape(-1)


def _latest_second(directory: Path) -> int:
    """The largest time in seconds in the names of a directory's event files; −1 without any."""
    seconds = (
        path.name.removeprefix(NAME_BEGINS).partition(".")[0]
        for path in directory.glob(f"{NAME_BEGINS}*")
    )
    known = (second for second in seconds if second.isdecimal() and len(second) <= SECOND_DIGITS)
    return max(map(int, known), default=-1)


def ends_with_a_record(path: Path) -> bool:
    """Whether an event file ends where one of its records ends; only the checksums of lengths are
    compared.

    False also if the file cannot be read or is not a regular file.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            end = 0
            while end < size:
                file.seek(end)
                header = file.read(12)
                # Zeros, as in a file with holes, would be records without end.
                if len(header) < 12 or header[8:] != _masked_checksum(header[:8]):
                    return False
                # Length and its checksum, then the record and its checksum.
                end += 12 + struct.unpack("<Q", header[:8])[0] + 4
    except OSError:
        return False
    return end == size


def framed(record: bytes) -> bytes:
    """A TFRecord: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_checksum(length), record, _masked_checksum(record)))


def _masked_checksum(content: bytes) -> bytes:
    # The format masks the CRC-32C, since the CRC of data that contain their own CRC is degenerate.
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
