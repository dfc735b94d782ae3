"""One row of many runs as TensorBoard events, which differ in their numbers only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

FLOAT_BYTES = 4


def scalar_events(
    step: int, wall_time: float, tags: Sequence[str], values: NDArray[np.float64]
) -> list[bytes]:
    """Serialize one event per run, with all values of the row as float32 `simple_value`s.

    A protocol buffer per run would cost as much as its text in metrics.csv; here one is made, and
    the numbers of each run are put in the place of its zeros.

    Args:
        step: the row's index.
        wall_time: when the row was written, in seconds since the epoch.
        tags: T names.
        values: [T, K].

    Returns:
        K serialized events.
    """
    entries = [Summary.Value(tag=tag, simple_value=0.0) for tag in tags]
    summary = Summary(value=entries)
    event = Event(step=step, wall_time=wall_time, summary=summary).SerializeToString()
    events = np.tile(np.frombuffer(event, dtype=np.uint8), (values.shape[1], 1))
    # Fields are serialized in the order of their numbers: the summary is the event's last one, and
    # the number the last one of its entry.
    sizes = [Summary(value=[entry]).ByteSize() for entry in entries]
    ends = len(event) - sum(sizes) + np.cumsum(sizes, dtype=np.intp)
    places = ends[:, None] + np.arange(-FLOAT_BYTES, 0)
    with np.errstate(over="ignore"):  # what exceeds float32 is infinite there
        numbers = values.T.astype("<f4", order="C")
    events[:, places.reshape(-1)] = numbers.view(np.uint8)
    return [one.tobytes() for one in events]
