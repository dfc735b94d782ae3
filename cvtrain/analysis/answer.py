"""The answer for one arm: its numbers, and plain sentences made from these numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cvtrain.analysis.looks import Look
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.optimum import Optimum
from cvtrain.analysis.price import Price, Prices
from cvtrain.analysis.registration import Registration
from cvtrain.analysis.statistics import Interval

Kind = Literal["relabelling", "absorbed", "different", "never learns", "law broken", "inconclusive"]


@dataclass(frozen=True)
class LawCheck:
    """Pairs of runs that an exact law makes equal.

    Attributes:
        base: arm of the first run of each pair: the reference, or another arm.
        octaves: log₂ of the ratio of learning rates, arm to base.
        pairs: number of pairs of which both runs have weights.
        equal: number of pairs that end with equal bits.
        numbers: number of real numbers that were compared.
        rounded: pairs whose factor is no power of two; for them the law holds up to rounding.
        apart: largest relative distance of the weights over all pairs.
        on_cpu: whether a CPU trained all of them. Only there a law holds whatever else is in the
            stack.
    """

    base: str
    octaves: float
    pairs: int
    equal: int
    numbers: int
    rounded: int
    apart: float
    on_cpu: bool = True

    @property
    def holds(self) -> bool:
        """Whether there are exact pairs and all of them are equal, bit for bit."""
        return 0 < self.pairs == self.equal

    @property
    def factor(self) -> float:
        """Factor on the learning rate, from the base's to the arm's: 2^`octaves`."""
        return float(2.0**self.octaves)


@dataclass(frozen=True)
class Answer:
    """Result of the comparison of one arm with the reference.

    Attributes:
        group, arm: names of what is compared.
        kind: one of the answers of `cvtrain.analysis.verdict`.
        advice: what to do with the learning rate, e.g. ``multiply the learning rate by 2``.
        outcome: whether the result is then the same.
        cost: what it costs to leave the learning rate unchanged, in either direction; empty if not
            measured.
        reason: why the answer is inconclusive or "different", else None.
        law: pairs of runs that a law makes equal, or None.
        registration: the arm's curve laid on the reference's, or None without a reference.
        control: the jitter control's curve laid on the reference's: how much shift and rest is
            noise.
        optimum: comparison at the best learning rates, or None.
        prices: costs of not retuning, or None.
        equivalence_p, difference_p: p-values adjusted for all arms of the sweep (Holm 1979); NaN if
            not tested.
        look: the look at which the answer was given, or the last one; None if no test is needed.
        more_seeds: number of further seeds that should settle an inconclusive answer; None if seeds
            do not help or their number is unknown.
        more_seconds: estimated time of these seeds; NaN if unknown.
        more_overrides: overrides to pass beside ``resume=`` to get an answer.
    """

    group: str
    arm: str
    kind: Kind
    advice: str
    outcome: str
    cost: str = ""
    reason: str | None = None
    law: LawCheck | None = None
    registration: Registration | None = None
    control: Registration | None = None
    optimum: Optimum | None = None
    prices: Prices | None = None
    equivalence_p: float = math.nan
    difference_p: float = math.nan
    look: Look | None = None
    more_seeds: int | None = None
    more_seconds: float = math.nan
    more_overrides: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The arm, the advice and the outcome in one line."""
        return f"{self.arm}: {self.advice}: {self.outcome}."


Answers = Mapping[tuple[str, str], Answer]
"""The answers of a sweep, by the names of group and arm."""


def arm_words(arm: str) -> str:
    """An arm in words: ``½ in the loss``, ``textbook gradient ∂L/∂w*``.

    Args:
        arm: as from `cvtrain.analysis.arms.arm_name`.
    """
    scale, comma, rest = arm.partition(", ")
    if not comma or not scale.startswith("scale "):
        return arm
    convention, _, jittered = rest.partition(", ")
    named = {
        "pytorch": "",
        "wirtinger": "textbook gradient ∂L/∂w*",
        "unconjugated": "gradient not conjugated",
        "unconjugated_wirtinger": "textbook gradient ∂L/∂w",
    }.get(convention, convention)
    factor = scale.removeprefix("scale ")
    parts = [f"{factor} in the loss"] if factor != "1" else []
    parts += [part for part in (named, jittered) if part]
    return " and ".join(parts) or "PyTorch's gradient"


def signed_text(value: float, form: str = "+.2f") -> str:
    """A number with its sign, e.g. ``+0.41``; "0" where the digits round to it, since "−0.00" would
    claim a direction.

    Args:
        value: the number.
        form: format specification with a sign.
    """
    text = f"{value:{form}}"
    return "0" if float(text) == 0 else text.replace("-", "−")


def span(interval: Interval, digits: int = 2, scale: float = 1.0, plus: bool = True) -> str:
    """Format an interval, e.g. ``+0.41 [+0.40, +0.42]``; the mean alone if the interval is unknown
    or has no width."""
    ends = [scale * value for value in (interval.mean, interval.low, interval.high)]
    shown = [
        signed_text(v, f"+.{digits}f") if plus else f"{v:.{digits}f}"
        for v in ends
        if math.isfinite(v)
    ]
    if len(shown) < 3 or shown[1] == shown[2]:
        return shown[0] if shown else "unknown"
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def advice_of_law(octaves: float, against: str | None = None) -> str:
    """The advice on the learning rate that follows from a law.

    Args:
        octaves: log₂ of the factor on the learning rate.
        against: another arm that the law makes this one equal to; None: the reference.
    """
    beside = f" of “{against}”" if against else ""
    if octaves == 0:
        return f"leave the learning rate{beside}"
    return f"multiply the learning rate{beside} by {2.0**octaves:g}"


def advice_of(registration: Registration) -> str:
    """The advice on the learning rate that follows from registration."""
    shift = registration.shift
    if registration.reason is not None:
        return f"the learning rate's factor is unknown ({registration.reason})"
    if not shift.known:
        return (
            f"multiply the learning rate by {registration.factor.mean:.2f} (one seed: no interval)"
        )
    if registration.unchanged:
        return f"leave the learning rate ({span(shift)} octaves)"
    return f"multiply the learning rate by {span(registration.factor, plus=False)}"


def rest_text(registration: Registration) -> str:
    """The difference that remains after the move, e.g. ``−0.5 [−1.1, +0.1] % of test loss``."""
    return f"{span(registration.ratio, 1, 100)} % of test loss"


def difference_text(optimum: Optimum, metric: str) -> str:
    """The difference at the best rates, e.g. ``−0.4 [−0.8, +0.0] points of test accuracy``."""
    if metric == ACCURACY:
        return f"{span(optimum.difference, 2, 100)} points of test accuracy"
    return f"{span(optimum.difference, 4)} {metric.replace('/', ' ')}"


def cost_text(prices: Prices, metric: str) -> str:
    """Costs of not retuning in both directions, in one line; empty if neither was measured."""
    texts = []
    for price, words in ((prices.kept, "rate kept"), (prices.turned, "the other way round")):
        if price is not None:
            texts.append(f"{words}: {price_text(price, metric)}")
    return "; ".join(texts)


def price_text(price: Price, metric: str) -> str:
    """Format a price, e.g. ``−1.0 [−1.4, −0.6] points of test accuracy, 3 of 40 runs fail instead
    of 0``."""
    if not math.isfinite(price.difference.mean):
        text = "no mean, since too many runs fail"
    elif metric == ACCURACY:
        text = f"{span(price.difference, 1, 100)} points of test accuracy"
    else:
        text = f"{span(price.difference, 4)} {metric.replace('/', ' ')}"
    if price.steps != price.best_steps:
        now, before = (_steps(steps) for steps in (price.steps, price.best_steps))
        text += f", goal {now} instead of {before}"
    if price.failures.other or price.failures.reference:
        text += (
            f", {price.failures.other} of {price.failures.pairs} runs fail instead of"
            f" {price.failures.reference}"
        )
    return text


def _steps(steps: float) -> str:
    return "never reached" if math.isinf(steps) else f"after {steps:g} steps"
