"""Mutation testing: which of a fixed list of small faults in the code the tests detect.

scripts/mutate [--jobs 2] [--range 1-50] [--kind optim] [--unseen] [--list]

Every fault in scripts/faults/*.toml replaces one piece of text in one file. Each is put into a copy
of the repository, never into the checkout, and the tests of its part run there in their quick form.
A fault is *seen* if a test fails with it and passes without it, or if the tests do not end within
the limit. The results are kept in outputs/mutations.json, from which --unseen takes the faults to
try again.

Exit status: 0; 1 if less than 95 % of the tried faults were seen; 2 if a fault no longer applies
exactly once, or its tests are missing or fail without it.

Why a table, and not mutmut or cosmic-ray: these make every possible syntactic change (`<` to `<=`,
a number plus one), tens of thousands here, most of which change nothing that a user would notice.
The faults of the table are mistakes of meaning (a factor, a sign, the wrong seeds), each with the
tests that should detect it and its effect on a user. The share of detected faults is therefore
meaningful, and a fixed list can be measured again. It takes little time: torch is imported once,
and every fault is a fork.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutate_table import ROOT, Fault, mutated, read_table
from mutate_trial import Mutation

RESULTS = ROOT / "outputs" / "mutations.json"
GOAL = 0.95
PRELOADED = (
    *("torch", "lightning.pytorch", "hydra", "torchcvnn.nn", "torchmetrics.classification"),
    *("pandas", "scipy.stats", "scipy.optimize", "sklearn.datasets", "matplotlib.figure"),
    *("jinja2", "rich.console", "pydantic", "h5py", "hypothesis", "pytest"),
    *("tensorboard.compat.proto.event_pb2", "torch.utils.tensorboard"),
)


def chosen(faults: Sequence[Fault], options: argparse.Namespace) -> list[Fault]:
    """The faults that the options select."""
    first, _, last = (options.range or f"1-{len(faults)}").partition("-")
    numbers = range(int(first), int(last or first) + 1)
    before = _results()
    return [
        fault
        for fault in faults
        if fault.number in numbers
        and options.kind in (None, fault.kind)
        and not (options.unseen and before.get(_key(fault)) == "seen")
    ]


def _key(fault: Fault) -> str:
    return f"{fault.file}: {fault.wrong}"


def _results() -> dict[str, str]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def _keep(fault: Fault, outcome: str) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content = json.dumps(_results() | {_key(fault): outcome}, indent=1, ensure_ascii=False)
    # Written atomically: two commands may run side by side, or one may be stopped.
    unfinished = RESULTS.with_name(f"{RESULTS.name}.{os.getpid()}")
    unfinished.write_text(content + "\n", encoding="utf-8")
    unfinished.replace(RESULTS)


def main() -> int:
    """Try the selected faults and print the result of each."""
    faults = read_table()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="faults at a time")
    parser.add_argument("--range", help="numbers, such as 1-50 or 7")
    parser.add_argument("--kind", choices=sorted({fault.kind for fault in faults}))
    parser.add_argument("--unseen", action="store_true", help="those not seen the last time")
    parser.add_argument("--list", action="store_true", help="name the faults and try none")
    options = parser.parse_args()
    wanted = chosen(faults, options)
    errors = []
    for fault in wanted:
        try:
            mutated(fault)
        except ValueError as error:
            errors.append(f"{fault.number}: does not apply: {error}")
    print("\n".join(errors), end="\n" if errors else "")
    if errors:
        return 2
    if options.list:
        for fault in wanted:
            print(f"{fault.number:3d} {fault.kind:10s} {fault.file}: {fault.wrong}")
        return 0
    for name in PRELOADED:
        importlib.import_module(name)
    counts = dict.fromkeys(("seen", "not seen", "error"), 0)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        for fault, outcome, why in Mutation(wanted, options.jobs, Path(folder)).run():
            counts[outcome] += 1
            _keep(fault, outcome)
            print(f"{fault.number:3d} {outcome:8s} {fault.file}: {fault.wrong} ({why})", flush=True)
    tried = len(wanted)
    share = counts["seen"] / tried if tried else 1.0
    print(
        f"{counts['seen']} of {tried} faults seen ({share:.1%}), {counts['not seen']} not seen,"
        f" {counts['error']} errors"
    )
    return 2 if counts["error"] else int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
