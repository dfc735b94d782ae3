"""The answer of a sweep over learning rates: a table of optimizers by arms, and a few sentences. A
report shows it first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cvtrain.analysis.answer import Answer, Answers, arm_words, span
from cvtrain.analysis.arms import CONTROL, REFERENCE
from cvtrain.analysis.comparison import Group
from cvtrain.analysis.metric import ACCURACY
from cvtrain.analysis.price import Price
from cvtrain.analysis.statistics import Interval
from cvtrain.report.cells import Column, Record, interval_ends
from cvtrain.report.document import Sentence, Table

TABLE = "answers"
SIGNS = {"relabelling": "✓", "absorbed": "✓", "inconclusive": "?"}
"""Sign before an outcome, by kind of answer; other kinds have ✗."""


def answer_table(groups: Sequence[Group], answers: Answers) -> Table | None:
    """One row per optimizer and arm: what to do with the learning rate, whether the outcome is then
    the same, and the cost of keeping the learning rate; None without answers."""
    metrics = {group.name: group.metric for group in groups}
    by_row = {
        (group.name, arm.name): answers[group.name, arm.name]
        for group in groups
        for arm in group.arms
        if (group.name, arm.name) in answers
    }
    if not by_row:
        return None
    first = dict(reversed(by_row))

    def of(record: Record) -> Answer:
        return by_row[record["group"], record["arm"]]

    def cost(record: Record) -> tuple[str, str]:
        return cost_of_keeping_rate(of(record), metrics[record["group"]])

    units = {"points" if metric == ACCURACY else metric for metric in metrics.values()}
    heading = f"if kept instead, {' or '.join(sorted(units))}"
    columns = (
        Column("", lambda r: r["group"] if first[r["group"]] == r["arm"] else "", left=True),
        Column(
            f"against {_against(groups)}", lambda r: _short(r["arm"]), left=True, note=_arm_note
        ),
        Column("learning rate", lambda r: learning_rate(of(r)), left=True),
        Column("then the same?", lambda r: outcome(of(r)), left=True, status=True),
        Column(heading, lambda r: cost(r)[0], left=True, note=lambda r: cost(r)[1]),
    )
    records = tuple(_record(answer) for answer in by_row.values())
    return Table(TABLE, "", columns, records, _caption(groups, answers))


def learning_rate(answer: Answer) -> str:
    """What to do with the learning rate, as the text of a cell: ``× 2, exactly``, ``× 1.33 [1.30,
    1.36]``."""
    law, registration = answer.law, answer.registration
    if answer.kind == "relabelling" and law is not None:
        text = "unchanged" if leaves_rate(answer) else f"× {law.factor:g}"
        of = "" if law.base == REFERENCE else f" of “{_short(law.base)}”"
        return f"{text}{of}, exactly"
    if answer.kind == "never learns":
        return "none works"
    if registration is None or registration.reason is not None:
        return "unknown"
    if leaves_rate(answer):
        return "unchanged"
    if not registration.shift.known:
        return f"× {registration.factor.mean:.2f}"
    return f"× {span(registration.factor, plus=False)}"


def leaves_rate(answer: Answer) -> bool:
    """Whether the answer leaves the base's learning rate unchanged."""
    if answer.kind == "relabelling" and answer.law is not None:
        return answer.law.octaves == 0
    registration = answer.registration
    return answer.kind != "never learns" and registration is not None and registration.unchanged


def outcome(answer: Answer) -> str:
    """Whether the outcome is the same at that learning rate, as the text of a cell that begins with
    a sign."""
    sign = SIGNS.get(answer.kind, "✗")
    text = answer.outcome
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    if answer.kind in ("relabelling", "absorbed"):
        return f"{sign} yes, {text}"
    return f"{sign} {text}" if answer.kind == "inconclusive" else f"{sign} no: {text}"


SHORTER = {
    "the same training, ": "",
    "the outcome is equal ": "",
    "not the same: ": "",
    "law broken: ": "",
    "inconclusive: about ": "",
    "the outcome ": "it ",
    " of test accuracy": "",
    " of test loss": "",
    "equality is to be within": "margin",
}
"""Phrases of an outcome and their short forms for a narrow cell."""


def _caption(groups: Sequence[Group], answers: Answers) -> str:
    """The caption: what the columns mean, and the keys of the arms."""
    keys = {arm: None for _, arm in answers if arm_words(arm) != arm}
    parts = [f"{_short(arm)}: {arm}" for arm in keys]
    if any(" of test loss" in answer.outcome for answer in answers.values()):
        parts.append("%: of test loss")
    over = " or ".join(dict.fromkeys(f"{group.unit}s" for group in groups))
    if any(group.metric == ACCURACY for group in groups):
        parts.append("points: of test accuracy")
    parts.append(f"[…]: 95 % intervals over {over}")
    tested = [answer for answer in answers.values() if answer.look is not None]
    if tested:
        look = groups[0].looks[-1]
        parts.append(
            f"tests at {100 * look.level:.2g} %, look {len(groups[0].looks)}, {look.seeds} of at"
            f" most {look.max_seeds} {groups[0].unit}s (5 % over all looks)"
        )
    without = {group.name for group in groups if group.arm(CONTROL) is None}
    if without & {answer.group for answer in tested}:
        parts.append(
            "no jitter control, so that no outcome can be called different: null_arm=true adds it"
        )
    return "; ".join(parts)


def cost_of_keeping_rate(answer: Answer, metric: str, unit: str = "") -> tuple[str, str]:
    """The cost of keeping the reference's learning rate, as two texts: in the metric with failures,
    and in steps; empty if not measured. `unit` follows the number."""
    price = answer.prices.kept if answer.prices is not None else None
    if price is None or leaves_rate(answer):
        return "", ""
    return _price(price, metric, unit)


def _price(price: Price, metric: str, unit: str) -> tuple[str, str]:
    factor, digits = (100, 1) if metric == ACCURACY else (1, 4)
    text, steps = "many runs fail", ""
    if math.isfinite(price.difference.mean):
        text = f"{span(price.difference, digits, factor)} {unit}".strip()
    if price.failures.other > price.failures.reference:
        text += f", {price.failures.other} of {price.failures.pairs} fail"
    if math.isinf(price.steps) and math.isfinite(price.best_steps):
        steps = "goal not reached"
    elif price.steps != price.best_steps and not math.isnan(price.steps):
        steps = f"goal after {price.steps:g} steps, not {price.best_steps:g}"
    return text, steps


def answer_sentences(groups: Sequence[Group], answers: Answers) -> Iterator[Sentence]:
    """Two to four plain sentences: on arms that are equal by a law, on the other answers, on the
    largest cost of keeping the learning rate, and on what is inconclusive."""
    by_kind: dict[str, list[Answer]] = {}
    for answer in answers.values():
        kind: str = answer.kind
        if kind == "absorbed" and leaves_rate(answer):
            kind = UNCHANGED_RATE
        by_kind.setdefault(kind, []).append(answer)
    exact = [one for one in by_kind.get("relabelling", []) if _law_base(one) == REFERENCE]
    if exact:
        pairs = sum(answer.law.pairs for answer in exact if answer.law is not None)
        yield Sentence(
            f"{_who(exact, len(answers))}: nothing changes but the learning rate; {pairs} of"
            f" {pairs} pairs of runs are equal to the last bit."
        )
    copies = [one for one in by_kind.get("relabelling", []) if one not in exact]
    if copies:
        by_kind[COPY] = copies
    clauses = [
        f"{_who(by_kind[kind], len(answers))}: {text}"
        for kind, text in CLAUSES.items()
        if kind in by_kind
    ]
    if clauses:
        yield Sentence("; ".join(clauses) + ".")
    dear = _dearest(groups, answers)
    if dear is not None:
        yield Sentence(dear)


MOST_GROUPS = 3
"""Largest number of groups that a sentence names."""
UNCHANGED_RATE = "absorbed at the same learning rate"
COPY = "relabelling of another arm"
CLAUSES = {
    COPY: "the same training as another arm at another learning rate",
    UNCHANGED_RATE: "leave the learning rate, the outcome is the same",
    "absorbed": "the outcome is the same at the learning rate in the table",
    "different": "the outcome differs at every learning rate",
    "never learns": "no learning rate works",
    "law broken": "runs that an exact law makes equal differ",
    "inconclusive": "inconclusive",
}
"""Sentences on the arms with a kind of answer."""


def _dearest(groups: Sequence[Group], answers: Answers) -> str | None:
    """The largest cost of keeping the learning rate, as text; None if keeping it costs nothing."""
    metrics = {group.name: (group.metric, group.rising) for group in groups}
    losses = []
    for answer in answers.values():
        metric, rising = metrics[answer.group]
        unit = "points of test accuracy" if metric == ACCURACY else ""
        text = cost_of_keeping_rate(answer, metric, unit)
        price = answer.prices.kept if answer.prices is not None else None
        if text[0] and price is not None:
            loss = price.difference.mean * (-1 if rising else 1)
            losses.append((loss if math.isfinite(loss) else math.inf, answer, text))
    if not losses:
        return None
    loss, answer, text = max(losses, key=lambda one: one[0])
    if loss <= 0:
        return None
    who = f"{answer.group} with {_short(answer.arm)}"
    return f"Keeping the learning rate costs most for {who}: {', '.join(filter(None, text))}."


def _who(same: Sequence[Answer], of: int) -> str:
    """Names of groups and arms, e.g. ``SGD and Adam with ½ in the loss``; for many groups ``12 of
    36 rows of the table``."""
    arms: dict[str, list[str]] = {}
    for answer in same:
        arms.setdefault(answer.group, []).append(_short(answer.arm))
    groups: dict[str, list[str]] = {}
    for group, names in arms.items():
        groups.setdefault(_listed(names, "or"), []).append(group)
    if len(arms) > MOST_GROUPS:
        return f"{len(same)} of {of} rows of the table"
    return "; ".join(f"{_listed(names, 'and')} with {text}" for text, names in groups.items())


def _short(arm: str) -> str:
    words = arm_words(arm)
    return "both" if " and " in words else words.removesuffix(" ∂L/∂w*")


def _listed(names: Sequence[str], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def factor_octaves(answer: Answer) -> float:
    """Octaves by which the answer moves the reference's learning rate; NaN where unknown."""
    if answer.kind == "relabelling" and answer.law is not None and _law_base(answer) == REFERENCE:
        return answer.law.octaves
    if answer.registration is None or answer.registration.reason is not None:
        return math.nan
    return answer.registration.shift.mean


def _law_base(answer: Answer) -> str | None:
    return answer.law.base if answer.law is not None else None


def _against(groups: Sequence[Group]) -> str:
    references = {group.reference for group in groups}
    return "plain PyTorch" if references == {REFERENCE} else " or ".join(sorted(references))


def _arm_note(record: Record) -> str:
    """The long name of an arm and its key, as a note below a short name; empty if nothing was
    shortened."""
    arm = record["arm"]
    words, short = arm_words(arm), _short(arm)
    if words == arm:
        return ""
    return str(arm) if words == short else f"{words} · {arm}"


def _record(answer: Answer) -> Record:
    registration = answer.registration
    factor, rest = (
        (None, None) if registration is None else (registration.factor, registration.ratio)
    )
    if answer.law is not None and answer.kind == "relabelling" and answer.law.base == REFERENCE:
        # The law is exact, while the arm's few points only estimate the factor.
        exact = answer.law.factor
        factor = Interval(exact, exact, exact, answer.law.pairs)
    return {
        "group": answer.group,
        "arm": answer.arm,
        "kind": answer.kind,
        "advice": answer.advice,
        "outcome": answer.outcome,
        "cost": answer.cost,
        **interval_ends("factor", factor),
        **interval_ends("rest", rest),
        "equivalence_p": answer.equivalence_p,
        "difference_p": answer.difference_p,
    }
