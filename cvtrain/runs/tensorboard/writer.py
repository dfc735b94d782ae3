"""Write a run for TensorBoard: one event per row, histograms, and hyperparameters in one directory.

`SummaryWriter.add_hparams` would make a sub-run for every run, and `add_scalar` an event per value;
the protocol buffers are therefore written directly.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2, summary_v2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.text.summary_v2 import text_pb

from cvtrain.config.schema import Config
from cvtrain.gradients.convention import convention_name
from cvtrain.runs.tensorboard.events import EventFile

HISTOGRAM_BINS = 32
HPARAMS_FIRST = ("arm", "init_jitter", "lr", "optimizer", "seed")
"""Columns that HPARAMS shows first; it initially shows five."""


class TensorBoardFile(EventFile):
    """The event file of one run, with everything that TensorBoard shows of it."""

    def histogram(self, step: int, tag: str, values: np.ndarray) -> None:
        """Keep a histogram of real values for the next flush.

        Raises:
            TypeError: the values are complex, and TensorBoard would drop their imaginary part.
        """
        if np.iscomplexobj(values):
            raise TypeError(f"{tag}: a histogram is of real values; split complex ones by name")
        finite = values[np.isfinite(values)].astype(np.float64)
        summary: Summary = histogram_pb(tag, finite, buckets=HISTOGRAM_BINS)
        assert summary.value[0].metadata.plugin_data.plugin_name == histogram_metadata.PLUGIN_NAME
        self.summary(step, summary)

    def image(self, tag: str, png: bytes) -> None:
        """Keep a picture for the next flush; `png` is the content of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])
        picture = Summary.Image(encoded_image_string=png, width=width, height=height, colorspace=4)
        self.summary(0, Summary(value=[Summary.Value(tag=tag, image=picture)]))

    def text(self, tag: str, markdown: str) -> None:
        """Keep a text in Markdown for the next flush."""
        summary: Summary = text_pb(tag, markdown)
        self.summary(0, summary)

    def hparams(
        self, hyperparameters: Mapping[str, float | str | bool], metrics: Sequence[str]
    ) -> None:
        """Declare the run in HPARAMS: its hyperparameters, and the tags that are its metrics."""
        columns = {summary_v2.HParam(name): value for name, value in hyperparameters.items()}
        config = summary_v2.hparams_config_pb(
            list(columns), [summary_v2.Metric(tag) for tag in metrics]
        )
        plugin_data = config.value[0].metadata.plugin_data
        content = plugin_data_pb2.HParamsPluginData.FromString(plugin_data.content)
        for info in content.experiment.hparam_infos:
            # TensorBoard lists these before the others, and shows the first five as columns.
            info.differs = info.name in HPARAMS_FIRST
        plugin_data.content = content.SerializeToString()
        self.summary(0, config)
        self.summary(0, summary_v2.hparams_pb(columns, start_time_secs=time.time()))

    def ended(self, succeeded: bool) -> None:
        """Record in HPARAMS how the run ended."""
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        session = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        content = plugin_data_pb2.HParamsPluginData(session_end_info=session)
        value = Summary.Value(
            tag=hparams_metadata.SESSION_END_INFO_TAG,
            metadata=hparams_metadata.create_summary_metadata(content),
            tensor=hparams_metadata.NULL_TENSOR,
        )
        self.summary(0, Summary(value=[value]))

    def summary(self, step: int, summary: Summary) -> None:
        """Keep a summary of any kind for the next flush."""
        event = Event(step=step, wall_time=time.time(), summary=summary)
        self.add(event.SerializeToString())


def hyperparameters(config: Config) -> dict[str, float | str | bool]:
    """The columns of HPARAMS, TensorBoard's table of runs: the same for every configuration."""
    convention = convention_name(config.convention.scale, config.convention.conjugate)
    return {
        "arm": f"scale {config.objective.scale:g}, {convention}",
        "optimizer": config.optimizer.target.rsplit(".", 1)[-1],
        "semantics": config.optimizer.semantics,
        "lr": config.optimizer.lr,
        "lr_octave": config.lr_octave,
        "objective.scale": config.objective.scale,
        "convention": convention,
        "clip": config.clip.kind,
        "scheduler": config.scheduler.kind,
        "data": config.data.target.rsplit(".", 1)[-1],
        "model": config.model.target.rsplit(".", 1)[-1],
        "dtype": config.dtype,
        "batch_size": float(config.batch_size or 0),
        "max_steps": float(config.max_steps),
        "init_jitter": config.init_jitter,
        "seed": float(config.seed),
    }
