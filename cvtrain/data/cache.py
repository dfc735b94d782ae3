"""The data sets of a process, kept from point to point as far as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split


class DatasetCache:
    """Those that were asked for last, in at most `most_bytes`, and the last one in any case.

    Args:
        most_bytes: of inputs and targets in memory; what stays on disk counts nothing.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: dict[Hashable, Dataset] = {}

    def get(self, key: Hashable, build: Callable[[], Dataset]) -> Dataset:
        """The data set of that key, built where it is not kept."""
        # By a dictionary's order: what was asked for last is last.
        if key in self._kept:
            self._kept[key] = self._kept.pop(key)
        else:
            self._kept[key] = build()
            while len(self._kept) > 1 and self._bytes() > self._most_bytes:
                del self._kept[next(iter(self._kept))]
        return self._kept[key]

    def _bytes(self) -> int:
        return sum(map(bytes_in_memory, self._kept.values()))


def bytes_in_memory(dataset: Dataset) -> int:
    """Bytes of the inputs and targets of those splits that are in memory."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(s.inputs.nbytes + s.targets.nbytes for s in splits if isinstance(s, Split))
