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
GRADIENTS = {
    "grad": "before convention and clipping",
    "optimizer_grad": "for the optimizer, after them",
}
NORMS = {"norm": "norm", "real_norm": "norm of Re", "imag_norm": "norm of Im"}
GRADIENT_NORMS = {
    f"{group}/{norm}": f"{part} {when}"
    for norm, part in NORMS.items()
    for group, when in GRADIENTS.items()
}
"""Tags of the gradient's norms, and the titles of their charts, by which TensorBoard sorts."""
LOSSES = ("train/loss", "val/loss")


def run_layout(tags: Iterable[str]) -> Summary | None:
    """Charts of one run: losses; norms of the gradient, of its real and of its imaginary part,
    before and after convention and clipping; Re and Im of every traced entry together.

    Args:
        tags: all signals of the run.

    Returns:
        the charts, or None if none would show anything.
    """
    tags = list(tags)
    charts = {
        "loss": {"training and validation loss": [tag for tag in LOSSES if tag in tags]},
        "gradient": {
            f"norm, Re, Im {when}": [f"{group}/{n}" for n in NORMS if f"{group}/{n}" in tags]
            for group, when in GRADIENTS.items()
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


def band_layout(tags: Sequence[str]) -> Summary:
    """Charts of means with their spread, from ``spread/<tag>/low`` to ``spread/<tag>/high``.

    Args:
        tags: tags of the means; norms of the gradient get charts in their own category.
    """
    losses = [tag for tag in tags if tag not in GRADIENT_NORMS]
    gradients = [tag for tag in tags if tag in GRADIENT_NORMS]
    return _summary(
        [
            layout_pb2.Category(title=f"{title}: mean and spread over seeds", chart=charts)
            for title, charts in (
                ("loss", [_band(tag, tag) for tag in losses]),
                ("gradient", [_band(GRADIENT_NORMS[tag], tag) for tag in gradients]),
            )
        ]
    )


def _band(title: str, tag: str) -> layout_pb2.Chart:
    series = layout_pb2.MarginChartContent.Series(
        value=tag, lower=f"spread/{tag}/low", upper=f"spread/{tag}/high"
    )
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


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
