"""What the event files of a run hold, but for when it was written."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

TIMES = {
    hparams_metadata.SESSION_START_INFO_TAG: ("session_start_info", "start_time_secs"),
    hparams_metadata.SESSION_END_INFO_TAG: ("session_end_info", "end_time_secs"),
}


def events(directory: Path) -> list[bytes]:
    """Every event of a run directory, serialized, in the order in which TensorBoard reads them."""
    paths = sorted(directory.glob("events.out.tfevents.*"))
    read = (
        Event.FromString(content)
        for path in paths
        for content in RawEventFileLoader(str(path)).Load()
    )
    return [_without_times(event) for event in read if not event.HasField("file_version")]


def histogram_steps(directory: Path) -> list[int]:
    """The steps of which a run has histograms."""
    parsed = (Event.FromString(content) for content in events(directory))
    plugins = (
        (event.step, value.metadata.plugin_data.plugin_name)
        for event in parsed
        for value in event.summary.value
    )
    return sorted({step for step, plugin in plugins if plugin == "histograms"})


def _without_times(event: Event) -> bytes:
    event.wall_time = 0.0
    for value in event.summary.value:
        if value.tag in TIMES:
            content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
            session, time = TIMES[value.tag]
            getattr(content, session).ClearField(time)
            value.metadata.plugin_data.content = content.SerializeToString(deterministic=True)
    serialized: bytes = event.SerializeToString(deterministic=True)
    return serialized
