"""Cache of the data sets of a process, from point to point."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from cvtrain.data.dataset import Dataset
from cvtrain.data.split import Split


class DatasetCache:
    """Keeps the data sets that were used last, within `most_bytes`, and the last one in any case.

    Args:
        most_bytes: limit of the inputs and targets in memory; samples on disk do not count.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._datasets: dict[Hashable, Dataset] = {}

    def get(self, key: Hashable, build: Callable[[], Dataset]) -> Dataset:
        """Return the data set of `key`, built if it is not in the cache."""
        # A dictionary keeps its order: the data set used last is moved to the end.
        if key in self._datasets:
            self._datasets[key] = self._datasets.pop(key)
        else:
            self._datasets[key] = build()
            while len(self._datasets) > 1 and self._bytes() > self._most_bytes:
                del self._datasets[next(iter(self._datasets))]
        return self._datasets[key]

    def _bytes(self) -> int:
        return sum(map(bytes_in_memory, self._datasets.values()))


def bytes_in_memory(dataset: Dataset) -> int:
    """Bytes of the inputs and targets of the splits that are in memory."""
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(s.inputs.nbytes + s.targets.nbytes for s in splits if isinstance(s, Split))
