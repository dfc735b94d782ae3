"""What of a run was in its files when a checkpoint was written, and going back to that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvtrain.process.regular_file import is_file, kind_of
from cvtrain.runs import metrics_csv as metrics
from cvtrain.runs.schema_1 import current_tag
from cvtrain.runs.tensorboard import events as event_file


@dataclass(frozen=True)
class FileSnapshot:
    """The files of signals as they were at a moment between two rows.

    Attributes:
        tags: the columns of metrics.csv.
        final: the last value of every signal.
        sizes: bytes of metrics.csv and of the event files, by name.
    """

    tags: tuple[str, ...]
    final: dict[str, float]
    sizes: dict[str, int]

    def still_there(self, directory: Path) -> bool:
        """Whether the files hold as much or more: a crash of the machine may have taken some."""
        return metrics.FILE_NAME in self.sizes and all(
            is_file(path) and path.stat().st_size >= size
            for path, size in ((directory / name, size) for name, size in self.sizes.items())
        )

    def restore(self, directory: Path) -> None:
        """Cut off what was appended afterwards, half a row or half an event included."""
        for path in signal_files(directory):
            if path.name in self.sizes:
                os.truncate(path, self.sizes[path.name])
            else:
                path.unlink()

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {"tags": list(self.tags), "final": dict(self.final), "sizes": dict(self.sizes)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FileSnapshot:
        """What `as_dict` gave, perhaps by way of a stranger's file.

        Raises:
            KeyError, TypeError, ValueError: it is something else; names that lead elsewhere
                included.
        """
        sizes = {str(name): int(size) for name, size in content["sizes"].items()}
        if not all(isinstance(tag, str) for tag in content["tags"]):
            raise TypeError("tags are texts")
        for name, size in sizes.items():
            known = name == metrics.FILE_NAME or name.startswith(event_file.NAME_BEGINS)
            if not known or Path(name).name != name or size < 0:
                raise ValueError(f"{name} is no file of signals")
        # Rows go by position: a table whose header has the tags of schema 1 is simply continued.
        final = {current_tag(str(tag)): float(value) for tag, value in content["final"].items()}
        return cls(tuple(map(current_tag, content["tags"])), final, sizes)


def signal_files(directory: Path) -> list[Path]:
    """Those that are there: metrics.csv and the event files."""
    table = directory / metrics.FILE_NAME
    events = sorted(directory.glob(f"{event_file.NAME_BEGINS}*"))
    return [*([table] if kind_of(table) is not None else []), *events]


def sizes(directory: Path) -> dict[str, int]:
    """Bytes of the `signal_files`, by name."""
    return {path.name: path.stat().st_size for path in signal_files(directory)}
