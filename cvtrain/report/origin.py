"""What was run, how, when and on which machine, from the records in run directories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cvtrain.analysis.load import Sweep
from cvtrain.config.overrides import parse_override
from cvtrain.config.python_objects import is_registered, name_of
from cvtrain.process.plain_text import printed_command
from cvtrain.process.regular_file import kind_of, read_regular
from cvtrain.report.cells import Record, words
from cvtrain.report.document import Origin, Table
from cvtrain.runs.journal import SWEEP_FILE
from cvtrain.runs.run_json import read_record

MOST_BYTES = 10**6
"""Largest size of a file of overrides that is read."""
MOST_NAMED = 4
"""Largest number of values of a key that are listed; of more only the number is given."""
TESTED = "the weights after the last update, once; no table shows a test of checkpoints/best.ckpt"


def origin(sweep: Sweep) -> Origin | None:
    """The origin of the runs of a sweep; None if none has begun."""
    runs = sweep.runs[sweep.runs["status"] != "missing"]
    if runs.empty:
        return None
    facts = _facts(sweep.directory, runs)
    records = [{"fact": name, "value": text} for name, text in _rows(facts) if text]
    columns = (words("", "fact"), words("", "value"))
    table = Table("origin", "How it was run", columns, tuple(records))
    return Origin(_sentence(facts), table, facts)


def runs_table(origins: Mapping[str, Origin]) -> Table:
    """The table on the runs of several sweeps: their data, number, seeds, machine and time.

    Args:
        origins: origins by the name of the sweep.
    """
    columns = ("sweep", "data", "samples", "runs", "seeds", "splits", "machine", "when", "command")
    return Table(
        "runs",
        "How each was run",
        tuple(words(name, name) for name in columns),
        tuple(_run_record(name, one.facts) for name, one in origins.items()),
        "samples: training / validation / test; splits: draws of the data, or of its division",
        numbered=True,
    )


def target_name(target: object) -> str:
    """The name of a configured class or function: the option that chooses it if it is one of
    cvtrain (``digits_fft``), else its own name (``MyNet``)."""
    path = str(target)
    if is_registered(path):
        return name_of(path)
    return path.split(".")[-2 if path.startswith("cvtrain.") else -1]


def named(values: Sequence[str], of: str) -> str:
    """A few values by name, or only their number if there are more."""
    return ", ".join(map(str, values)) if len(values) <= MOST_NAMED else f"{len(values)} {of}"


def _facts(directory: Path, runs: pd.DataFrame) -> dict[str, Any]:
    sweep = _sweep_file(directory)
    started = pd.to_datetime(runs["started"], format="ISO8601", utc=True)
    ended = started + pd.to_timedelta(runs["wall_seconds"].astype(float), unit="s")
    made = [dict(made) for made in runs["made_with"]]
    return {
        "data": [target_name(target) for target in _values(runs, "data._target_")],
        "samples": _distinct(one["samples"] for one in made),
        "data_seeds": _values(runs, "data.seed"),
        "networks": [target_name(target) for target in _values(runs, "model._target_")],
        "parameters": [
            {"complex": int(complex_ones), "real": int(real)}
            for complex_ones, real in _parameters(runs)
        ],
        "optimizers": [str(t).rsplit(".", 1)[-1] for t in _values(runs, "optimizer._target_")],
        "losses": _values(runs, "objective.loss"),
        "dtypes": _values(runs, "dtype"),
        "runs": len(runs),
        "steps": [int(steps) for steps in _values(runs, "max_steps")],
        "batch_sizes": _values(runs, "batch_size"),
        "seeds": sorted(int(seed) for seed in _values(runs, "seed")),
        "tested": TESTED,
        "experiment": _text(sweep, "experiment"),
        "command": _command(directory, sweep),
        "versions": _distinct(one["versions"] for one in made),
        "commit": _text(sweep, "commit"),
        "machines": _distinct(one["machine"] for one in made),
        "devices": _values(runs, "device"),
        "threads": sorted({int(one["threads"]) for one in made}),
        "engines": _values(runs, "engine"),
        "started": started.min().isoformat(),
        "seconds": float((ended.max() - started.min()).total_seconds()),
    }


def _run_record(name: str, facts: Mapping[str, Any]) -> Record:
    samples = ("/".join(f"{number:,}" for number in one.values()) for one in facts["samples"])
    return {
        "sweep": name,
        "data": named(facts["data"], "data sets"),
        "samples": named(list(samples), "sizes"),
        "runs": f"{facts['runs']:,}",
        "seeds": len(facts["seeds"]),
        "splits": max(1, len(facts["data_seeds"])),
        "machine": " or ".join(_machine(one) for one in facts["machines"] if one),
        "when": _when(facts),
        "command": facts["command"] or "",
    }


def _sentence(facts: Mapping[str, Any]) -> str:
    """E.g. ``digits_fft (1,077 training, 360 validation and 360 test samples) learned by mixed_mlp
    (8,320 complex and 1,292 real parameters) with SGD and Adam: 348 runs of 200 steps in batches of
    64, seeds 0 to 7, one split of the data.``"""
    samples = facts["samples"][0] if len(facts["samples"]) == 1 else {}
    sizes = " and ".join(
        ", ".join(f"{number:,} {name}" for name, number in part)
        for part in (list(samples.items())[:-1], list(samples.items())[-1:])
        if part
    )
    data = named(facts["data"], "data sets") + (f" ({sizes} samples)" if sizes else "")
    network = named(facts["networks"], "networks")
    if len(facts["parameters"]) == 1:
        (counted,) = facts["parameters"]
        network += f" ({counted['complex']:,} complex and {counted['real']:,} real parameters)"
    batches = [
        "the whole data at once" if batch is None else f"batches of {int(batch)}"
        for batch in facts["batch_sizes"]
    ]
    splits = len(facts["data_seeds"])
    number = facts["runs"]
    return (
        f"{data}, learned by {network} with {named(facts['optimizers'], 'optimizers')}:"
        f" {number} run{'s' if number > 1 else ''} of {_range(facts['steps'])} steps in"
        f" {' or '.join(batches)}; {_seeds(facts['seeds'])},"
        f" {'one split' if splits <= 1 else f'{splits} splits'} of the data."
    )


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "command", facts["command"] or ""
    losses = f"{named(facts['losses'], 'losses')}, {named(facts['dtypes'], 'precisions')}"
    yield "loss, numbers", losses
    yield "tested", facts["tested"]
    commit = f"; git {facts['commit'][:10]}" if facts["commit"] else ""
    yield "versions", " or ".join(_pairs(one) for one in facts["versions"] if one) + commit
    yield "machine", " or ".join(_machine(one) for one in facts["machines"] if one)
    threads = f"{_range(facts['threads'])} thread{'s' if facts['threads'] != [1] else ''}"
    engines = ["together as stacks" if e == "stack" else "one by one" for e in facts["engines"]]
    yield "trained", ", ".join((*facts["devices"], threads, " and ".join(sorted(engines))))
    yield "when", _when(facts)


def _when(facts: Mapping[str, Any]) -> str:
    return f"{facts['started'][:16].replace('T', ' ')} UTC, {_duration(facts['seconds'])}"


def _machine(machine: Mapping[str, str]) -> str:
    return ", ".join(
        {"code_path": f"CPU code path {value}", "cores": f"{value} cores"}.get(name, value)
        for name, value in machine.items()
    )


def _pairs(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _range(numbers: Sequence[int]) -> str:
    ends = list(dict.fromkeys((min(numbers), max(numbers))))
    return " to ".join(f"{number:,}" for number in ends)


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    whole = seeds == list(range(seeds[0], seeds[-1] + 1))
    return f"seeds {seeds[0]} to {seeds[-1]}" if whole else f"{len(seeds)} seeds"


def _values(runs: pd.DataFrame, key: str) -> list[Any]:
    """The distinct values of a column in the order of the runs; with None for missing values if the
    key may be null."""
    if key not in runs:
        return []
    values = (None if pd.isna(value) else value for value in runs[key])
    distinct = list(dict.fromkeys(values))
    return distinct if key == "batch_size" else [value for value in distinct if value is not None]


def _parameters(runs: pd.DataFrame) -> list[tuple[float, float]]:
    columns = ["parameters.complex", "parameters.real"]
    if not set(columns) <= set(runs):
        return []
    counted = runs[columns].dropna().drop_duplicates()
    return [(float(row[0]), float(row[1])) for row in counted.to_numpy()]


def _distinct(items: Iterable[tuple[tuple[str, Any], ...]]) -> list[dict[str, Any]]:
    return [dict(item) for item in dict.fromkeys(items) if item]


def _sweep_file(directory: Path) -> Mapping[str, Any]:
    path = directory / SWEEP_FILE
    return read_record(path) if kind_of(path) is not None else {}


def _text(sweep: Mapping[str, Any], key: str) -> str | None:
    value = sweep.get(key)
    return value if isinstance(value, str) else None


def _command(directory: Path, sweep: Mapping[str, Any]) -> str | None:
    """The command that runs all of it again; None if it was not recorded."""
    typed = sweep.get("command")
    path = directory / ".hydra" / "overrides.yaml"
    if typed is None and kind_of(path) is not None:
        try:
            text = read_regular(path, MOST_BYTES).decode(errors="replace")
            typed = OmegaConf.to_container(OmegaConf.create(text))
        except (OSError, ValueError, OmegaConfBaseException):
            return None
    if not isinstance(typed, list) or not typed:
        return None
    words = list(map(str, typed))
    # Several values need this flag. An experiment sets it already, and then it changes nothing.
    flags = ["-m"] if any(parse_override(word).is_sweep_override() for word in words) else []
    return printed_command("cvtrain", *words, *flags)
