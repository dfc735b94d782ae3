"""What of a run was in its files when a checkpoint was written, and going back to that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvtrain.process.regular_file import is_file, kind_of
from cvtrain.runs import metrics_csv as metrics
from cvtrain.runs.files import Content
from cvtrain.runs.schema_1 import current_tag
from cvtrain.runs.tensorboard import events as event_file


@dataclass(frozen=True)
class FileSnapshot:
    """The files of signals as they were at a moment between two rows.

    Attributes:
        tags: the columns of metrics.csv.
        final: the last value of every signal.
        files: what metrics.csv and the event files held, by name.
    """

    tags: tuple[str, ...]
    final: dict[str, float]
    files: dict[str, Content]

    def still_there(self, directory: Path) -> bool:
        """Whether the files begin with what they held then.

        A crash of the machine may have taken some of it, and anybody may have changed it.
        """
        return metrics.FILE_NAME in self.files and all(
            is_file(directory / name) and held.begins(directory / name)
            for name, held in self.files.items()
        )

    def restore(self, directory: Path) -> None:
        """Cut off what was appended afterwards, half a row or half an event included."""
        for path in signal_files(directory):
            if path.name in self.files:
                os.truncate(path, self.files[path.name].size)
            else:
                path.unlink()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        files = {name: [held.size, held.checksum] for name, held in self.files.items()}
        return {"tags": list(self.tags), "final": dict(self.final), "files": files}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FileSnapshot:
        """What `as_dict` gave, perhaps by way of a stranger's file.

        Raises:
            KeyError, TypeError, ValueError: it is something else; names that lead elsewhere
                included.
        """
        # A checkpoint of schema 1 has sizes alone.
        held = content.get("files") or {n: (size, None) for n, size in content["sizes"].items()}
        files = {
            str(name): Content(int(size), None if checksum is None else int(checksum))
            for name, (size, checksum) in held.items()
        }
        if not all(isinstance(tag, str) for tag in content["tags"]):
            raise TypeError("tags are texts")
        for name, begins in files.items():
            known = name == metrics.FILE_NAME or name.startswith(event_file.NAME_BEGINS)
            if not known or Path(name).name != name or begins.size < 0:
                raise ValueError(f"{name} is no file of signals")
        # Rows go by position: a table whose header has the tags of schema 1 is simply continued.
        final = {current_tag(str(tag)): float(value) for tag, value in content["final"].items()}
        return cls(tuple(map(current_tag, content["tags"])), final, files)


def signal_files(directory: Path) -> list[Path]:
    """Those that are there: metrics.csv and the event files."""
    table = directory / metrics.FILE_NAME
    events = sorted(directory.glob(f"{event_file.NAME_BEGINS}*"))
    return [*([table] if kind_of(table) is not None else []), *events]
