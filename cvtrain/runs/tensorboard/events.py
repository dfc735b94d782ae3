"""TensorBoard's event file: its name, and the frame around each of its records.

A frame holds two checksums. TensorBoard's own writer makes them in pure Python, 0.2 ms for a row of
40 values, several times what all the rest of a row costs; hence the C library. It also has a thread
for every file, of which a stack would have a thousand.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from pathlib import Path

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event

from cvtrain.process.regular_file import open_regular
from cvtrain.runs.appended_file import AppendedFile

NAME_BEGINS = "events.out.tfevents."
FILE_VERSION = "brain.Event:2"
SECOND_DIGITS = 10
"""In the name of a file; one with more is not ours."""

_numbers = itertools.count()


class EventFile:
    """Appends serialized `Event`s to a new event file in `directory`.

    Args:
        directory: which exists.
        began: Unix time in seconds, by which TensorBoard orders runs; None: now.
    """

    def __init__(self, directory: Path, began: float | None = None) -> None:
        now = time.time()
        # TensorBoard reads the files of a directory in the order of their names: oldest first,
        # whatever became of the clock in between.
        second = max(int(now), 1 + _latest_second(directory))
        suffix = f"{second:010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self.file = AppendedFile(directory / f"{NAME_BEGINS}{suffix}")
        first = Event(wall_time=now if began is None else began, file_version=FILE_VERSION)
        self.append(first.SerializeToString())

    def append(self, event: bytes) -> None:
        """Keep a record for the next flush."""
        self.file.append(framed(event))

    def flush(self) -> None:
        """Append to the file what is kept.

        Raises:
            FilesChanged: the file was removed or changed meanwhile.
        """
        self.file.flush()


def _latest_second(directory: Path) -> int:
    """The largest second in the names of a directory's event files; -1 without any."""
    seconds = (
        path.name.removeprefix(NAME_BEGINS).partition(".")[0]
        for path in directory.glob(f"{NAME_BEGINS}*")
    )
    known = (second for second in seconds if second.isdecimal() and len(second) <= SECOND_DIGITS)
    return max(map(int, known), default=-1)


def ends_with_a_record(path: Path) -> bool:
    """Whether an event file ends where one of its records does; only the checksums of lengths are
    compared.

    False too where it cannot be read, or where what has its name is no file.
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
                # Length and its checksum, the record and its checksum.
                end += 12 + struct.unpack("<Q", header[:8])[0] + 4
    except OSError:
        return False
    return end == size


def framed(record: bytes) -> bytes:
    """A TFRecord: length, its checksum, the record, its checksum."""
    length = struct.pack("<Q", len(record))
    return b"".join((length, _masked_checksum(length), record, _masked_checksum(record)))


def _masked_checksum(content: bytes) -> bytes:
    # The format masks a CRC-32C, since the CRC of data that hold their own CRC is degenerate.
    checksum = google_crc32c.value(content)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
