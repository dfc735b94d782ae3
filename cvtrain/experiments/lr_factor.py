"""The experiment `lr_factor`: the factor on a learning rate, predicted from the gradient and
measured, over networks and tasks."""

from __future__ import annotations

import math

import numpy as np

from cvtrain.analysis.compare import compare
from cvtrain.analysis.load import Sweep
from cvtrain.analysis.predicted_factor import WEIGHTS, PredictedFactor, predicted_factors
from cvtrain.analysis.statistics import interval
from cvtrain.experiments.claims import Claim, Estimate, Measure, records, row_estimate
from cvtrain.experiments.registry import Experiment, variants_override
from cvtrain.report.cells import number_text
from cvtrain.report.document import Document, Sentence
from cvtrain.report.predicted_factor import TABLE, factor_picture, factor_section, prediction_error

DIGITS = ("data=digits_fft", "objective=cross_entropy")
NOISE = (
    *("data=noncircular", "data.length=32", "data.samples_per_class=1000"),
    "objective=cross_entropy",
)
SYSTEM = ("data=system_id", "data.samples=1000", "objective=complex_mse")
MIXED, COMPLEX, REAL = ("model=mixed_mlp",), ("model=mlp",), ("model=real_mlp",)
MODRELU = (*COMPLEX, "model.activation=modReLU")


def variants() -> list[list[str]]:
    """One list of overrides for each network on a task."""
    return [
        [f"variant='{name}'", *overrides, f"optimizer.reference_lr={lr}"]
        for name, lr, overrides in (
            ("real [64, 64]", 0.25, (*DIGITS, *REAL, "model.hidden=[64,64]")),
            ("mixed [16]", 0.25, (*DIGITS, *MIXED, "model.hidden=[16]")),
            ("mixed [64]", 0.25, (*DIGITS, *MIXED, "model.hidden=[64]")),
            ("mixed [256]", 0.125, (*DIGITS, *MIXED, "model.hidden=[256]")),
            ("mixed [64, 64]", 0.125, (*DIGITS, *MIXED)),
            ("mixed [128, 128]", 0.125, (*DIGITS, *MIXED, "model.hidden=[128,128]")),
            ("mixed [16, 16, 16]", 0.125, (*DIGITS, *MIXED, "model.hidden=[16,16,16]")),
            ("mixed [64] × 4", 0.125, (*DIGITS, *MIXED, "model.hidden=[64,64,64,64]")),
            ("mixed [32] × 6", 0.125, (*DIGITS, *MIXED, "model.hidden=[32,32,32,32,32,32]")),
            (
                "mixed [64, 64], momentum",
                0.015625,
                (*DIGITS, *MIXED, "optimizer.momentum=0.9"),
            ),
            ("mixed [64, 64], cosine", 0.25, (*DIGITS, *MIXED, "scheduler=cosine")),
            ("mixed [64, 64], warm-up", 0.125, (*DIGITS, *MIXED, "scheduler=warmup")),
            (
                "mixed [64, 64], batch norm",
                0.125,
                (*DIGITS, *MIXED, "model.normalisation=batch"),
            ),
            ("complex [64, 64], modReLU", 0.25, (*DIGITS, *MODRELU)),
            ("complex [64, 64], cardioid", 0.25, (*DIGITS, *COMPLEX)),
            (
                "noise, complex [32], batch norm",
                0.25,
                (*NOISE, *COMPLEX, "model.hidden=[32]", "model.normalisation=batch"),
            ),
            ("linear system, modReLU [16]", 2**-7, (*SYSTEM, *MODRELU, "model.hidden=[16]")),
        )
    ]


def report_factors(sweep: Sweep) -> Document:
    """Report predicted and measured octaves of every network, and which weight of the average is
    best."""
    factors = list(predicted_factors(sweep, compare(sweep)))
    sentences = [Sentence(f"{prediction_error(factors)}.", (TABLE,))] if factors else []
    if compared := _averages(factors):
        sentences.append(Sentence(compared, (TABLE,)))
    lost = [f"{one.group} ({one.reason})" for one in factors if one.reason]
    if lost:
        sentences.append(Sentence(f"Not measured: {'; '.join(lost)}."))
    if not factors:
        sentences = [Sentence("No run with the signal grad/complex_share has ended yet.")]
    return Document(
        title="By what does a convention move the learning rate?",
        verdict=tuple(sentences),
        cover=factor_picture(factors) if factors else None,
        sections=(factor_section(factors, drawn=False),) if factors else (),
    )


def _averages(factors: list[PredictedFactor]) -> str:
    """The error for each weight of the average of the share over a training, as a sentence."""
    texts = []
    for weight in WEIGHTS:
        errors = [one.by_weight[weight] - one.measured.mean for one in factors]
        known = [error for error in errors if not math.isnan(error)]
        if known:
            size = math.sqrt(np.mean(np.square(known)))
            bias = number_text(float(np.mean(known)), "+.2f")
            texts.append(f"{weight} {size:.2f} (mean error {bias})")
    if not texts:
        return ""
    return f"Root mean square error in octaves, the share averaged by {', '.join(texts)}."


def prediction_bias(table: str) -> Measure:
    """Measure: predicted minus measured octaves, the mean over the rows of a table with its t
    interval."""

    def measure(document: Document) -> Estimate | None:
        errors = [float(row["predicted"] - row["measured"]) for row in records(document, table)]
        known = [error for error in errors if not math.isnan(error)]
        mean = interval(np.array(known)) if known else None
        return None if mean is None else Estimate(mean.mean, mean.low, mean.high)

    return measure


EXPERIMENT = Experiment(
    report_factors,
    variants,
    quick=(
        variants_override(variants()[:2]),
        *("seed=0,1", "lr_octave=-1,0", "max_steps=20", "signals.validation_every=10"),
    ),
    claims=(
        *(
            Claim(
                f"Halving complex gradients moves the curve of a {network} network by {text}.",
                row_estimate(TABLE, {"network": name}, "measured"),
                *(octaves - 0.01, octaves + 0.01, "octaves"),
            )
            for network, name, text, octaves in (
                ("real", "real [64, 64]", "0 octaves", 0.0),
                ("complex", "complex [64, 64], cardioid", "1 octave", 1.0),
            )
        ),
        Claim(
            "The mean error of the prediction over networks is below 0.1 octave.",
            prediction_bias(TABLE),
            *(-0.1, 0.1, "octaves"),
        ),
    ),
)
