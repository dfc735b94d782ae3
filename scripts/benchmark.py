"""The cost of a step of one run, in cvtrain and in programs that do the same without it.

python scripts/benchmark.py [--sizes 1,16,64,256,1024] [--rounds 5] [--peers] [--sweep]
                            [--growth 500,2000,…] [--output FOLDER] [override …]

    plain        a loop in plain PyTorch
    lightning    a LightningModule on a DataLoader, without any logging
    logging      the same with 14 norms of gradients logged at every step, into TensorBoard
    single       cvtrain's single engine, with the signals of the configuration
    stack        cvtrain's stack engine, likewise; one line per size
    stack, bare  the same, measuring nothing but the first and last weights
    compiled     the same with compile=true
    jax          JAX's jit(scan(vmap)), measuring nothing (with --peers; the extra `peers`)
    products     the batched complex matrix products of a step by themselves
    peak         their flops at the rate of one large real product on this machine

Each is timed for a short and a long run; the cost of a step is their difference, which does not
contain the one-time cost of a run. The rounds go through all of them in turn, so that a busy
machine slows all alike; ratios are medians over the rounds. --sweep also times the whole command:
the default sweep as stacks, with its parts, singly by Hydra's own launcher, and in a plain loop
over the same runs. --growth times sweeps of these numbers of small runs, and measures the command's
memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from benchmark_peers import jax_stack, lightning, plain
from benchmark_products import Limit
from benchmark_sweep import growth, time_sweep
from matplotlib.figure import Figure

import cvtrain
from cvtrain.config.point import Point
from cvtrain.config.schema import Config
from cvtrain.training.job import Job
from cvtrain.training.train import train as train_job

NETWORK = ("model=mlp", "model.activation=modReLU", "signals.histograms_every=0")
SILENT = ("signals.scalars_every=1000000", "signals.validation_every=1000000")


@dataclass(frozen=True)
class Way:
    """One way to train K runs for a number of steps."""

    name: str
    size: int
    train: Callable[[list[Config]], None]
    overrides: tuple[str, ...] = ()

    def cost(self, common: tuple[str, ...]) -> float:
        """Milliseconds per run and step, from a short and a long training."""
        # The difference holds whole periods of the default signals, 50 steps.
        short, long = (10, 210) if self.size <= 256 else (10, 60)
        spent = []
        for steps in (short, long):
            configs = members(self.size, steps, (*common, *self.overrides))
            began = perf_counter()
            self.train(configs)
            spent.append(perf_counter() - began)
        return 1e3 * (spent[1] - spent[0]) / (long - short) / self.size


def members(size: int, steps: int, overrides: tuple[str, ...]) -> list[Config]:
    """Runs that differ in seed and learning rate."""
    config = cvtrain.configure(f"max_steps={steps}", *NETWORK, *overrides)
    return [
        config.model_copy(
            update={
                "seed": number % 5,
                "optimizer": config.optimizer.model_copy(
                    update={"lr": config.optimizer.lr * 2.0 ** -(number % 7)}
                ),
            }
        )
        for number in range(size)
    ]


def engine(name: str) -> Callable[[list[Config]], None]:
    """A function that trains with an engine of cvtrain, into a temporary directory."""

    def train(configs: list[Config]) -> None:
        with tempfile.TemporaryDirectory() as root:
            points = tuple(Point(k, config, (), f"run{k}") for k, config in enumerate(configs))
            train_job(Job(points, Path(root), "stack" if name == "stack" else "single"))

    return train


def ways(sizes: list[int], peers: bool) -> list[Way | Limit]:
    """Everything that is measured, the reference first."""
    measured: list[Way | Limit] = [
        Way("plain", 1, lambda configs: plain(configs[0])),
        Way("lightning", 1, lambda configs: lightning(configs[0], logging=False)),
        Way("logging", 1, lambda configs: lightning(configs[0], logging=True)),
        Way("single", 1, engine("single")),
    ]
    for size in sizes:
        measured.append(Way("stack", size, engine("stack")))
        if size >= 64:
            measured.append(Way("stack, bare", size, engine("stack"), SILENT))
            compiled = (*SILENT, "compile=true")
            measured.append(Way("compiled", size, engine("stack"), compiled))
            if peers:
                measured.append(Way("jax", size, jax_stack))
            measured += [Limit("products", size), Limit("peak", size)]
    return measured


def measure(
    chosen: list[Way | Limit], rounds: int, common: tuple[str, ...]
) -> list[dict[str, object]]:
    """Rows of the table: milliseconds per run and step, and the ratio plain / this."""
    costs: dict[Way | Limit, list[float]] = {way: [] for way in chosen}
    for way in chosen:
        # One-time work per process: imports, and compilation for every number of steps.
        if way.name == "jax":
            way.cost(common)
        else:
            way.train(members(way.size, 2, (*common, *way.overrides)))
    for _ in range(rounds):
        for way in chosen:
            costs[way].append(way.cost(common))
    reference = costs[chosen[0]]
    return [
        {
            "way": way.name,
            "runs": way.size,
            "ms": median(times),
            "spread": [min(times), max(times)],
            "faster": median(r / c for r, c in zip(reference, times, strict=True)),
        }
        for way, times in costs.items()
    ]


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Draw the cost over the size of the stack."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for name in dict.fromkeys(str(row["way"]) for row in rows):
        points = [(row["runs"], row["ms"]) for row in rows if row["way"] == name]
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xlabel("runs trained at once")
    axes.set_ylabel("ms per run and step")
    axes.legend()
    figure.savefig(path)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    parser.add_argument("--sizes", default="1,16,64,256,1024")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--growth", default="")
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")

    chosen = ways([int(size) for size in options.sizes.split(",")], options.peers)
    rows = measure(chosen, options.rounds, tuple(options.overrides))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} rounds")
    print(f"{'':12s} {'runs':>5s} {'ms per run and step':>20s}  {'times as fast as plain':>22s}")
    for row in rows:
        print(f"{row['way']:12s} {row['runs']:5d} {row['ms']:20.3f}  {row['faster']:22.1f}")
    seconds = {}
    if options.sweep:
        seconds = time_sweep()
        for name, spent in seconds.items():
            part = name.startswith(" ")
            print(f"{name}: {spent:.1f} s" if part else f"default sweep, {name}: {spent:.0f} s")
    for row in growth([int(count) for count in options.growth.split(",") if count]):
        per_run = 1e3 * row["seconds"] / row["points"]
        print(
            f"{row['points']:.0f} small runs: {row['seconds']:.1f} s, {per_run:.1f} ms each,"
            f" {row['megabytes']:.0f} MB"
        )
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        content = {"torch": torch.__version__, "steps": rows, "seconds": seconds}
        (options.output / "benchmark.json").write_text(json.dumps(content, indent=1) + "\n")
        draw(rows, options.output / "benchmark.png")


if __name__ == "__main__":
    main()
