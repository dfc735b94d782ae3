"""Random command lines.

The words are keys of cvtrain, of its groups and of Hydra, options of every command, and values that
a number, a parser, an interpolation, a file system or a terminal may stumble over.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONF = Path(__file__).parents[1] / "conf"
DOWNLOADED = ("mnist_fft", "fashion_fft")
DECISIVE = ("plan",)
"""Keys that would decide here what is trained."""
EXPERIMENTS = (
    "article",
    "conjugation",
    "lms",
    "sweep",
    "swep",
    "../config",
    "[sweep,lms]",
    "search",
)
WRONG_OPTIONS = ("Sgd", "no/such", "../sgd", "sgd.yaml", "''", "null", "[sgd]", "${seed}")
NUMBERS = (
    *("0", "1", "2", "-1", "0.5", "1e-3", "1e999", "-1e999", "-0.0", "1e-400", "nan", "-inf", ".5"),
    *("007", "1_000", "9" * 40, "9" * 5000, "64", "1" + "0" * 12, str(2**63), "0x10", "1+2j"),
    *("complex64", "complex128", "true", "False", "null", "~", "１"),
)
TEXTS = (
    *("", "''", '"', "'", "a b", " ", "ü", "名", "𝒈", "\udcff", "a=b", "a,b", "a,,b", ",", "[1"),
    *("[1,2]", "[]", "{}", "{a:1}", "{a:{b:[1,{c:2}]}}", "{", "]", "}", ")", "[1}", "[[1],[2]]"),
    *("[0.9,0.99]", "[nan,1]", "[" * 300, "[" * 60 + "]" * 60, "a." * 300, "a" * 5000),
    *("${seed}", "${no.such}", "${oc.env:HOME}", "${oc.env:NOSUCH}", "${oc.env:NOSUCH,3}", "${"),
    *("$", "$HOME", "${}", "${seed", "${seed}${seed}", "${${seed}}", "${.lr}", "${..seed}"),
    *("${oc.decode:1}", "${oc.decode:'{'}", "${seed:}", "${nosuch:1}", "${now:%Y}", "${model}"),
    *("${hydra:runtime.cwd}", "${hydra:runtime.cwd}/x", "${hydra.job.num}", "${hydra:nosuch}"),
    *("${oc.create:{a:1}}", "${oc.dict.keys:model}", "${oc.select:x,1}", "${optimizer.lr}"),
    *("${oc.deprecated:seed}", "${python_version:micro}", r"\${seed}", "???", "range(0,3)"),
    *("range(3,0)", "range(1,2,0)", "range(0,nan)", "range(0,1e999)", "choice(1)", "choice()"),
    *("interval(0,1)", "interval()", "glob(*)", "shuffle(1,2)", "sort(2,1)", "tag(a,1)"),
    *("int(1.5)", "int(nan)", "float(x)", "json_str([1)", "str(", "nosuch(1)", "extend_list(1)"),
    *("\\", "\\,", "\t", "\n", "\x1b[31m", "\x07", "-m", "--", "#", "&a [*a]", "..", "../..", "."),
    *("!!python/object/apply:os.system [true]", "os.system", "subprocess.Popen", "posixpath.join"),
    *("torch.nn.Linear", "torch.optim.SGD", "builtins.eval", "cvtrain.cli.train", "__main__.x"),
    *("cvtrain.models.mlp.Mlp", "userlab.Network", "userlab.Broken", "userlab.function", "a..b"),
    *("[userlab]", "userlab", "1.2.3", "/etc/passwd", "/etc/passwd/x", "/dev/null", "/proc/self"),
    *("made_here", "made_here/below", "a/../made_here", "{run}", "{sweep}", "{run}/run.json"),
)
PREFIXES = ("", "", "", "", "", "+", "++", "~", "~+", "-", "@")
FLAGS = (
    *("--help", "-h", "--hydra-help", "--info", "--cfg", "--resolve", "--package", "-sc", "-c"),
    *("--version", "--config-dir", "--config-name", "-cp", "-cd", "-cn", "--run", "--nosuch", "-r"),
    *("all", "job", "hydra", "searchpath", "query=bash", "install=bash", "model", "made_here"),
    *("--experimental-rerun", "-i", "-p", "config", "../config"),
)
SOUND = (
    *("seed=1", "seed=0,1", "optimizer.lr=0.1", "optimizer=adam,sgd", "convention=wirtinger"),
    *("clip=norm", "objective.scale=1,0.5", "lr_octave=range(-3,-1)", "signals.per_parameter=true"),
    *("signals.scalars_every=1", "signals.histograms_every=1", "checkpoint.every_n_steps=1"),
    *("model=mlp", "model=linear", "model.hidden=[4]", "scheduler=cosine", "ema.decay=0.9"),
    *(
        "dtype=complex128",
        "batch_size=null",
        "batch_size=7",
        "pause_at=1",
        "early_stopping.patience=1",
    ),
    *(
        "metrics=[MeanAbsoluteError]",
        "goal.value=0.5",
        "null_arm=true",
        "on_error=stop",
        "variant=ü",
    ),
    *(
        "output=made_here",
        "output='made here (ü)'",
        "output=made_here/名",
        "hydra.run.dir=made_here",
    ),
    *("hydra.sweep.dir='made here'", "hydra.sweep.dir=made_here/${now:%Y}", "hydra.verbose=true"),
    *("hydra.run.dir=${hydra:runtime.cwd}/made_here", "hydra.job.name=ü", "hydra.job.chdir=true"),
    *("hydra.output_subdir=made_here", "hydra.output_subdir=null", "hydra.launcher.workers=2"),
    *("hydra.launcher.max_stack=1", "hydra.sweeper.params.seed='1,2'", "+hydra.job.env_set.X='ü'"),
    *("start_from={run}", "resume={run}", "resume={sweep}", "debug=true", "data.seed=${seed}"),
    *("hydra.job_logging.root.level=DEBUG", "hydra/job_logging=disabled", "hydra/launcher=basic"),
    *("+trainer.max_time=00:00:01:00", "+trainer.profiler=simple", "trainer.deterministic=true"),
    *("trainer.accumulate_grad_batches=2", "data.seed=0,1", "model.initialisation=kaiming"),
)
FOLDERS = ("nosuch", ".", "/etc", "/etc/passwd", "", "${seed}", "ü", "{run}", "{sweep}", "a" * 300)
ODD = ("--help", "-h", "--nosuch", "--", "-", "", "=", "nan", "9" * 5000, "\udcff")
TOOLS: Mapping[str, Sequence[str]] = {
    "convert": (
        *("--from", "--to", "wirtinger", "pytorch", "jax", "adam", "sgd", "muon", "lr=1", "lr=nan"),
        *("eps=1e-8", "clip.norm=1", "clip.eps=0", "betas=[0.9,0.9]", "betas=1", "x=1", "--mixed"),
        *("weight_decay=0.1", "amsgrad=true", "--from-loss-scale", "0.5", "lr=" + "9" * 5000),
        *("lr=1e999", "lr=-1", "lr=[1", "lr=${seed}", "nosuch", "--to-loss-scale", "lr=ü", "lr"),
    ),
    "evaluate": (
        *("{run}", "{run}", "{sweep}", "--split", "test", "train", "--checkpoint", "best", "last"),
        *("average", "--trust", "os", "--predictions", "made_here.npz", "made_here", "/dev/null"),
    ),
    "report": ("{sweep}", "{sweep}", "{run}", "--folder", "made_here", "--tables", "/etc/passwd"),
    "tensorboard": ("--port", "-1", "0", "99999", "x", "--all", "1e3"),
    # Every experiment would be trained.
    "reproduce": ("--folder", "made_here", "--nosuch", "sweep", "--quick", "lms,sweep"),
}
CONVERSION = ("convert", "--from", "wirtinger", "--to", "pytorch", "adam")


@dataclass(frozen=True)
class CommandLine:
    """What somebody may type.

    Attributes:
        words: of it; ``{run}`` and ``{sweep}`` are directories of a run and of a sweep.
        output: "utf-8" or "ascii": the encoding of its output; "unread": its reader has gone;
            "closed": it has none.
        signal_number: of the signal that it gets, or None.
        signal_after: seconds after which it gets it.
    """

    words: tuple[str, ...]
    output: str = "utf-8"
    signal_number: int | None = None
    signal_after: float = 0.0


@cache
def known_keys() -> tuple[tuple[str, str | None], ...]:
    """Every key, groups and inner nodes included, and the choice of a group that it needs."""
    keys: list[tuple[str, str | None]] = []
    own = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))
    del own["defaults"]
    keys += [(key, None) for key in _keys(own) if key not in DECISIVE] * 2
    for path in sorted(CONF.glob("*/*.yaml")):
        group, option = path.parent.name, path.stem
        if group in ("experiment", "hydra") or option in DOWNLOADED:
            continue
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        keys += [(f"{group}.{key}", f"{group}={option}") for key in _keys(content)]
    return tuple(keys)


@cache
def hydra_keys() -> tuple[str, ...]:
    """Every key of Hydra's own node."""
    from hydra.conf import HydraConf
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(OmegaConf.structured(HydraConf))
    assert isinstance(node, dict)
    names = [f"hydra.{key}" for key in _keys(node)]
    added = ("launcher.workers", "launcher.max_stack", "job_logging.version", "callbacks.x")
    return (
        *names,
        *(f"hydra.{name}" for name in (*added, "sweeper.params.seed", "job_logging.root.level")),
        *(
            "hydra/launcher",
            "hydra/sweeper",
            "hydra/job_logging",
            "hydra/callbacks",
            "hydra/output",
        ),
        *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.sweeper.params") * 5,
    )


def _keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if key in ("defaults", "hydra"):
            continue
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


@cache
def group_options() -> tuple[tuple[str, str], ...]:
    """Every group of ours with each of its choices."""
    return tuple(
        (path.parent.name, path.stem)
        for path in sorted(CONF.glob("*/*.yaml"))
        if path.parent.name not in ("experiment", "hydra") and path.stem not in DOWNLOADED
    )


def drawn_value(draw: random.Random) -> str:
    """A value, or several with commas between them."""
    values = [draw.choice(draw.choice((NUMBERS, NUMBERS, TEXTS)))]
    while draw.random() < 0.15:
        values.append(draw.choice(draw.choice((NUMBERS, TEXTS))))
    return ",".join(values)


def drawn_overrides(draw: random.Random) -> list[str]:
    """One override, valid or not, and the choice of a group that it may need."""
    if draw.random() < 0.35:
        return [draw.choice(SOUND)]
    kind = draw.random()
    if kind < 0.15:
        group, option = draw.choice(group_options())
        return [f"{group}={draw.choice((option, option, draw.choice(WRONG_OPTIONS)))}"]
    if kind < 0.2:
        return [draw.choice((*TEXTS, *hydra_keys()))]
    if kind < 0.25:
        return [f"{draw.choice(('resume', 'start_from'))}={draw.choice((*FOLDERS, 'latest'))}"]
    if kind < 0.5:
        key, choice = draw.choice(hydra_keys()), None
    else:
        key, choice = draw.choice(known_keys())
    if draw.random() < 0.07:
        position = draw.randrange(len(key))
        key = key[:position] + draw.choice("x._@:=/[ é") + key[position + 1 :]
    override = f"{draw.choice(PREFIXES)}{key}={drawn_value(draw)}"
    return [choice, override] if choice is not None and draw.random() < 0.7 else [override]


def drawn_tool(draw: random.Random) -> list[str]:
    """A command with a parser of its own, and its words."""
    tool = draw.choice(sorted(TOOLS))
    words = draw.choices((*TOOLS[tool], *draw.sample((*ODD, *FOLDERS), 4)), k=draw.randrange(5))
    if tool == "convert" and draw.random() < 0.7:
        return [*CONVERSION, *words]
    if tool == "tensorboard" and draw.random() < 0.9:
        words.insert(0, draw.choice(FOLDERS[:-3]))
    return [tool, *(["nosuch"] if tool == "reproduce" else []), *words]


def drawn_words(draw: random.Random) -> list[str]:
    """The words of a command line that trains at most two steps of a small network."""
    kind = draw.random()
    if kind < 0.15:
        return drawn_tool(draw)
    overrides = [
        word for _ in range(draw.choice((1, 1, 1, 2, 3))) for word in drawn_overrides(draw)
    ]
    if kind < 0.2:
        return ["inspect", *overrides]
    swept = any("," in word for word in overrides)
    many = ["-m"] * (draw.random() < (0.7 if swept else 0.15))
    if kind < 0.28:
        return ["plan=true", *overrides, *draw.choices(FLAGS, k=draw.choice((1, 2))), *many]
    if kind < 0.35:
        prefix = draw.choice(("+", "+", "", "++"))
        return ["plan=true", f"{prefix}experiment={draw.choice(EXPERIMENTS)}", *overrides, *many]
    if kind < 0.65 or any("hydra/launcher" in word or "logger" in word for word in overrides):
        return ["plan=true", *overrides, *many]
    return [*overrides, "max_steps=2", *many]  # the last one counts


def command_line(number: int) -> CommandLine:
    """The command line of a number, always the same."""
    draw = random.Random(number)
    words = drawn_words(draw)
    output = draw.choice(("utf-8",) * 7 + ("ascii", "unread", "closed"))
    if words[0] == "tensorboard":  # it serves until then
        return CommandLine(tuple(words), output, signal.SIGINT, 4.0)
    if draw.random() < 0.03:
        stop = draw.choice((signal.SIGINT, signal.SIGTERM))
        return CommandLine(tuple(words), output, stop, draw.random())
    return CommandLine(tuple(words), output)
