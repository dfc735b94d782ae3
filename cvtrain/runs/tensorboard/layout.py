"""The layout of TensorBoard's CUSTOM SCALARS: which signals share a chart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar_metadata

ENTRY = re.compile(r"(?P<of>(?:grad|weight)/.+)/real(?P<at>\[[\d,]+\])")
PARTS = ("norm", "real_norm", "imag_norm")
LOSSES = ("train/loss", "val/loss")


def run_layout(tags: Iterable[str]) -> Summary | None:
    """Charts of one run: losses; norms of the gradient, of its real and of its imaginary part; and
    Re and Im of every traced entry together.

    Args:
        tags: all signals of the run.

    Returns:
        None where no chart would show anything.
    """
    tags = list(tags)
    charts = {
        "loss": {"training and validation loss": [tag for tag in LOSSES if tag in tags]},
        "gradient": {
            "norms of w.grad, Re and Im": [tag for part in PARTS if (tag := f"grad/{part}") in tags]
        },
        "entries, Re and Im": {
            f"{match['of']}{match['at']}": [tag, tag.replace("/real[", "/imag[")]
            for tag in tags
            if (match := ENTRY.fullmatch(tag))
        },
    }
    categories = [
        layout_pb2.Category(
            title=title,
            chart=[
                layout_pb2.Chart(
                    title=name,
                    multiline=layout_pb2.MultilineChartContent(
                        tag=[f"^{re.escape(tag)}$" for tag in shown]
                    ),
                )
                for name, shown in drawn.items()
                if shown
            ],
        )
        for title, drawn in charts.items()
        if any(drawn.values())
    ]
    return _summary(categories) if categories else None


def band_layout(bands: Sequence[tuple[str, str, str]]) -> Summary:
    """Charts of means with their spread.

    Args:
        bands: tags of a mean, of its lower and of its upper end.
    """
    charts = [
        layout_pb2.Chart(
            title=f"{value}, mean and spread over seeds",
            margin=layout_pb2.MarginChartContent(
                series=[layout_pb2.MarginChartContent.Series(value=value, lower=low, upper=high)]
            ),
        )
        for value, low, high in bands
    ]
    return _summary([layout_pb2.Category(title="aggregates", chart=charts)])


def _summary(categories: Sequence[layout_pb2.Category]) -> Summary:
    layout = layout_pb2.Layout(category=categories)
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=[layout.SerializeToString()],
        tensor_shape=TensorShapeProto(),
    )
    value = Summary.Value(
        tag=custom_scalar_metadata.CONFIG_SUMMARY_TAG,
        tensor=tensor,
        metadata=custom_scalar_metadata.create_summary_metadata(),
    )
    return Summary(value=[value])
