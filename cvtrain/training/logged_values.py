"""Values logged with Lightning's `self.log`, until they are written into a row of signals."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

OWN = "should be another name; cvtrain records this one itself"


class LoggedValues:
    """The latest value of each name since the previous row.

    Args:
        reserved: tags of cvtrain that not every row has.

    Attributes:
        waiting: real numbers [1] that are not in a row yet, by tag.
    """

    def __init__(self, reserved: Collection[str]) -> None:
        self.waiting: dict[str, Tensor] = {}
        self._reserved = {"step", *reserved}
        self._tags: set[str] = set()

    def check(self, name: str, value: Any) -> None:
        """Check a value that a callback logs.

        Raises:
            TypeError: the value is complex.
            ValueError: the name is one of cvtrain, or has characters that are not printable.
        """
        number = isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)
        if number or (isinstance(value, Tensor) and value.is_complex()):
            raise TypeError(
                f"self.log: {name} is complex; log its real and imaginary parts under two names"
            )
        if not name.isprintable():
            raise ValueError(f"self.log: {name!r}: should be of printable characters")
        if name in self._reserved:
            raise ValueError(f"self.log: {name!r}: {OWN}")

    def add(self, name: str, value: Any, logged: Mapping[str, Tensor]) -> None:
        """Keep a value if Lightning would log it at this step.

        Args:
            name: as in `self.log`.
            value: as in `self.log`; Python numbers stay exact, which Lightning rounds to float32.
            logged: Lightning's metrics of this step; a value that is also logged `on_epoch` has the
                tag ``<name>_step``.
        """
        for tag in logged.keys() & {name, f"{name}_step"}:
            self._tags.add(tag)
            if isinstance(value, numbers.Real):
                self.waiting[tag] = torch.tensor([float(value)], dtype=torch.float64)
            else:
                of_lightning = value if isinstance(value, Tensor) else logged[tag]
                self.waiting[tag] = of_lightning.detach().clone().reshape(1)

    def keep(self, values: Mapping[str, Tensor], *, latest: bool) -> None:
        """Keep values that were logged while a split was evaluated, [1] by name: with `latest` the
        latest value since the previous row, else the first.

        Raises:
            TypeError, ValueError: as in `check`.
        """
        for tag, value in values.items():
            self.check(tag, value)
            if latest or tag not in self.waiting:
                self.waiting[tag] = value
        self._tags.update(values)

    def take(self, signals: Collection[str]) -> dict[str, Tensor]:
        """The waiting values, for a row that has `signals` of its own.

        Raises:
            ValueError: a tag is one of the signals.
        """
        taken, self.waiting = self.waiting, {}
        return _apart(taken, signals)

    def take_whole(
        self, signals: Collection[str], logged: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The values of the whole training, for the last row; `logged` are Lightning's metrics
        after its end.

        Raises:
            ValueError: a tag is one of the signals.
        """
        whole = {tag: value.reshape(1) for tag, value in logged.items() if tag not in self._tags}
        return _apart(whole, signals)

    def restore(self, waiting: Mapping[str, Tensor]) -> None:
        """Restore the waiting values of a checkpoint; values logged since then are kept.

        Raises:
            ValueError: the values are not real numbers.
        """
        for tag, value in waiting.items():
            self.check(tag, value)
            self.waiting.setdefault(tag, value.reshape(1))
        self._tags.update(self.waiting)


def _apart(values: dict[str, Tensor], signals: Collection[str]) -> dict[str, Tensor]:
    if (clash := min(values.keys() & set(signals), default=None)) is not None:
        raise ValueError(f"self.log: {clash!r}: {OWN}")
    return values
