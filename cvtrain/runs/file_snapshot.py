"""Record what a run's files held when a checkpoint was written, and restore that state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvtrain.process.regular_file import is_file, kind_of
from cvtrain.runs import metrics_csv as metrics
from cvtrain.runs.files import Content
from cvtrain.runs.safe_names import NAME_BEGINS
from cvtrain.runs.schema_1 import current_tag


@dataclass(frozen=True)
class FileSnapshot:
    """The signal files of a run at a moment between two rows.

    Attributes:
        tags: columns of metrics.csv.
        final: last value of every signal.
        files: content of metrics.csv and of the event files, by name.
    """

    tags: tuple[str, ...]
    final: dict[str, float]
    files: dict[str, Content]

    def still_there(self, directory: Path) -> bool:
        """Whether the files still begin with the recorded content.

        A crash of the machine may have removed a part of it, and anybody may have changed it.
        """
        return metrics.FILE_NAME in self.files and all(
            is_file(directory / name) and held.begins(directory / name)
            for name, held in self.files.items()
        )

    def restore(self, directory: Path) -> None:
        """Cut off everything that was appended since, including half a row or half an event."""
        for path in signal_files(directory):
            if path.name in self.files:
                os.truncate(path, self.files[path.name].size)
            else:
                path.unlink()

    def as_dict(self) -> dict[str, Any]:
        """The snapshot as plain values."""
        files = {name: [held.size, held.checksum] for name, held in self.files.items()}
        return {"tags": list(self.tags), "final": dict(self.final), "files": files}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FileSnapshot:
        """Make a snapshot from the result of `as_dict`, which may come from an untrusted file.

        Raises:
            KeyError, TypeError, ValueError: the content is not valid, or a name leads elsewhere.
        """
        # A checkpoint of schema 1 has only sizes.
        held = content.get("files") or {n: (size, None) for n, size in content["sizes"].items()}
        files = {
            str(name): Content(int(size), None if checksum is None else int(checksum))
            for name, (size, checksum) in held.items()
        }
        if not all(isinstance(tag, str) for tag in content["tags"]):
            raise TypeError("tags are texts")
        for name, begins in files.items():
            known = name == metrics.FILE_NAME or name.startswith(NAME_BEGINS)
            if not known or Path(name).name != name or begins.size < 0:
                raise ValueError(f"{name} is no file of signals")
        # Rows are written by position, so a table whose header has tags of schema 1 can be
        # continued.
        final = {current_tag(str(tag)): float(value) for tag, value in content["final"].items()}
        return cls(tuple(map(current_tag, content["tags"])), final, files)


def signal_files(directory: Path) -> list[Path]:
    """The existing signal files of a run: metrics.csv and the event files."""
    table = directory / metrics.FILE_NAME
    events = sorted(directory.glob(f"{NAME_BEGINS}*"))
    return [*([table] if kind_of(table) is not None else []), *events]
