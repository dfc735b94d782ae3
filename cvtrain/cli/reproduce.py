"""`cvtrain reproduce`: run every experiment of the ablation suite, with one report on all."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from time import monotonic

from cvtrain.cli.parser import CommandParser
from cvtrain.experiments.registry import Experiment, suite
from cvtrain.process.errors import InputError, RunFailed
from cvtrain.process.exit_status import FAILED, run_command
from cvtrain.process.signals import interruption

TITLE = "What the factor 2 in w.grad changes: every experiment"
NAME = "cvtrain reproduce"
DESCRIPTION = """\
Run every experiment of the suite and build one report on all of them. A table lists the claims
of each and whether they hold, also in claims.md and claims.json. Completed experiments are not
trained again. Experiments on measured data are left out where their files are missing, large ones
from the quick form."""
REPRODUCED = 0
STOPPED = (130, 141, 143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments that `arguments` name (None: the process's own).

    Returns:
        the exit status: 0, 1 (an experiment failed, or its claim does not hold), 2 (bad input),
            130, 143 or 141 (stopped by a signal, or since nobody reads the output; the same command
            continues).
    """
    return run_command(NAME, lambda: run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run experiments, as `main` does, but raise errors instead of printing them."""
    experiments = suite()
    parser = CommandParser("reproduce", DESCRIPTION)
    parser.add_argument("--quick", action="store_true", help="few seeds and steps: minutes")
    parser.add_argument(
        "--folder", type=Path, help="where to (else outputs/reproduce, or outputs/reproduce_quick)"
    )
    parser.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help=f"only these, of {', '.join(experiments)}",
    )
    options = parser.parse_args(arguments)
    root = options.folder or Path("outputs") / ("reproduce_quick" if options.quick else "reproduce")
    return reproduce(root, chosen(experiments, options.experiments, options.quick), options.quick)


def chosen(
    experiments: Mapping[str, Experiment], wanted: Collection[str], quick: bool
) -> list[str]:
    """The names of the experiments to run, in the order of the suite.

    Args:
        experiments: the suite.
        wanted: names of the experiments to run; empty: all that can be. One line says which cannot.
        quick: whether to run their quick forms.

    Raises:
        InputError: a wanted experiment is not in the suite, has no quick form, or lacks a file.
    """
    obstacles = {name: _obstacle(one, quick) for name, one in experiments.items()}
    for name in wanted:
        if name not in experiments:
            raise InputError(
                f"{name}: should be an experiment of the suite: {', '.join(experiments)}"
            )
        if obstacles[name]:
            raise InputError(f"{name}: {obstacles[name]}")
    for name, obstacle in obstacles.items():
        if obstacle and not wanted:
            print(f"reproduce: {name} is left out: {obstacle}", file=sys.stderr)
    return [name for name in experiments if name in wanted or not (wanted or obstacles[name])]


def _obstacle(one: Experiment, quick: bool) -> str:
    from cvtrain.data.idx import find_idx

    missing = [file for file in one.files if find_idx(Path(file).parent, Path(file).name) is None]
    if missing:
        return f"{missing[0]} is missing; docs/tasks.md says where to get it"
    return "it has no quick form" if quick and one.quick is None else ""


def reproduce(root: Path, names: Sequence[str], quick: bool) -> int:
    """Run the experiments that are not complete yet in `root`, then report on all of `names` in
    `root`/report.

    Returns:
        the exit status, as for `main`.
    """
    from cvtrain.experiments.judged_claims import JudgedClaims
    from cvtrain.experiments.publish import publish_together

    quick_forms = {name: one.quick or () for name, one in suite().items() if quick}
    commands = {name: [f"+experiment={name}", *quick_forms.get(name, ())] for name in names}
    broken = []
    for position, name in enumerate(names, start=1):
        interruption.check()
        progress = f"reproduce: {position} of {len(names)}: {name}"
        if complete(root, name, commands[name]) is not None:
            print(f"{progress}: complete already", file=sys.stderr)
            continue
        print(progress, file=sys.stderr)
        began = monotonic()
        status = _train(root, name, commands[name])
        if status in STOPPED:
            print("reproduce: stopped; the same command continues from here", file=sys.stderr)
            return status
        print(f"{progress}: {monotonic() - began:.0f} s", file=sys.stderr)
        if status != REPRODUCED:
            broken.append(name)
    complete_ones = {name: complete(root, name, command) for name, command in commands.items()}
    done = [directory for directory in complete_ones.values() if directory is not None]
    missing = [name for name, directory in complete_ones.items() if directory is None]
    places = {name: directory.name for name, directory in complete_ones.items() if directory}
    claims = JudgedClaims(names, places, quick)
    failure = None
    try:
        if done:
            publish_together(done, root / "report", TITLE, compare=False, first=claims.section)
    except (InputError, RunFailed) as error:
        failure = error
    claims.publish(root)
    if failure is not None:
        print(f"reproduce: {failure}", file=sys.stderr)
        return FAILED
    if missing or broken:
        failed = ", ".join(dict.fromkeys((*missing, *broken)))
        print(f"reproduce: not as claimed, or failed: {failed}", file=sys.stderr)
        return FAILED
    return REPRODUCED


def complete(root: Path, name: str, command: Sequence[str]) -> Path | None:
    """The directory in which every run of an experiment has ended, or None.

    Args:
        root: folder of the suite.
        name: name of the experiment.
        command: command that made it, with the present state of the program.
    """
    from cvtrain.analysis.load import load
    from cvtrain.process.regular_file import is_file
    from cvtrain.runs.journal import ENDED

    directory = attempt(root, name, command)
    if directory is None or not is_file(directory / "report" / "summary.json"):
        return None
    try:
        return directory if set(load(directory).runs["status"]) <= set(ENDED) else None
    except InputError:
        return None


def attempt(root: Path, name: str, command: Sequence[str]) -> Path | None:
    """The newest directory of an experiment, complete or not, that this command made with the
    present state of the program; None if there is none."""
    from cvtrain.runs.journal import SWEEP_FILE
    from cvtrain.runs.run_json import read_record
    from cvtrain.runs.versions import source_commit

    numbered = {}
    for directory in root.glob(f"{name}*"):
        match = re.fullmatch(rf"{re.escape(name)}(?:_(\d+))?", directory.name)
        if match:
            numbered[int(match[1] or 1)] = directory
    for number in sorted(numbered, reverse=True):
        try:
            content = read_record(numbered[number] / SWEEP_FILE)
        except InputError:
            continue
        # A sweep records Hydra's own settings before the others.
        same = sorted(content.get("command") or ()) == sorted(command)
        if same and content.get("commit") == source_commit():
            return numbered[number]
    return None


def _train(root: Path, name: str, command: Sequence[str]) -> int:
    from cvtrain.cli.train import main as train
    from cvtrain.config.overrides import as_override

    earlier = attempt(root, name, command)
    if earlier is not None:
        overrides = [as_override("resume", str(earlier.resolve()))]
    else:
        overrides = [*command, as_override("hydra.sweep.dir", str((root / name).resolve()))]
    # The report has the results; only the progress is printed here.
    with redirect_stdout(StringIO()):
        try:
            return train(overrides)
        except Exception:  # the other experiments do not depend on it
            traceback.print_exc()
            return FAILED
