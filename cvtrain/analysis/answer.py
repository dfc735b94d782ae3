"""What is said of one arm: the numbers and plain sentences from nothing but them."""

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
        octaves: of the learning rate, from the base's to the arm's.
        pairs: how many there are of which both have weights.
        equal: those that end with equal bits.
        numbers: real numbers that were compared.
        rounded: pairs of a factor that is no power of two, which the law holds for up to rounding.
        apart: the largest relative distance of weights among all of them.
        on_cpu: whether a CPU trained them all: only there laws hold whatever runs are stacked with.
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
        """Of the learning rate, from the base's to the arm's."""
        return float(2.0**self.octaves)


@dataclass(frozen=True)
class Answer:
    """Result of the comparison of one arm with the reference.

    Attributes:
        group, arm: which.
        kind: see `cvtrain.analysis.verdict`.
        advice: what to do with the learning rate, e.g. ``multiply the learning rate by 2``.
        outcome: whether the result is the same then.
        cost: what it costs not to, in either direction; empty where that was not measured.
        reason: why the answer is inconclusive or "different", else None.
        law: pairs that a law makes equal, or None.
        registration: of the arm's curve on the reference's, or None without a reference.
        control: the same of the jitter control: how much of a shift and of a rest is noise.
        optimum: at the best learning rates, or None.
        prices: of not retuning, or None.
        equivalence_p, difference_p: adjusted for all arms of the sweep (Holm 1979); NaN where they
            were not tested.
        look: at which it was given, or at which it was last looked for; None where no test is
            needed.
        more_seeds: that would answer what is inconclusive; None where seeds would not, or where
            their number is not known.
        more_seconds: about what they take; NaN where it is not known.
        more_overrides: on the command line, beside ``resume=``, what goes on to an answer.
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
        """All of it in one line."""
        return f"{self.arm}: {self.advice}: {self.outcome}."


Answers = Mapping[tuple[str, str], Answer]
"""The answers of a sweep, by the names of group and arm."""


def arm_words(arm: str) -> str:
    """An arm as people say it: ``½ in the loss``, ``textbook gradient ∂L/∂w*``.

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
    """E.g. ``+0.41 [+0.40, +0.42]``; the mean alone where there is no interval, or no width."""
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
    """What a law says of the learning rate.

    Args:
        octaves: by which it moves.
        against: another arm that the law makes this one equal to; None: the reference.
    """
    beside = f" of “{against}”" if against else ""
    if octaves == 0:
        return f"leave the learning rate{beside}"
    return f"multiply the learning rate{beside} by {2.0**octaves:g}"


def advice_of(registration: Registration) -> str:
    """What registration says of the learning rate."""
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
    """What is left after the move, e.g. ``−0.5 [−1.1, +0.1] % of test loss``."""
    return f"{span(registration.ratio, 1, 100)} % of test loss"


def difference_text(optimum: Optimum, metric: str) -> str:
    """The difference at the best rates, e.g. ``−0.4 [−0.8, +0.0] points of test accuracy``."""
    if metric == ACCURACY:
        return f"{span(optimum.difference, 2, 100)} points of test accuracy"
    return f"{span(optimum.difference, 4)} {metric.replace('/', ' ')}"


def cost_text(prices: Prices, metric: str) -> str:
    """Both directions of not retuning, in a line; empty where neither was measured."""
    texts = []
    for price, words in ((prices.kept, "rate kept"), (prices.turned, "the other way round")):
        if price is not None:
            texts.append(f"{words}: {price_text(price, metric)}")
    return "; ".join(texts)


def price_text(price: Price, metric: str) -> str:
    """E.g. ``−1.0 [−1.4, −0.6] points of test accuracy, 3 of 40 runs fail instead of 0``."""
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
