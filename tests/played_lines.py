"""Where random command lines are run, and what is wrong with how one of them ended."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.command_lines import CommandLine
from tests.forked_command import ForkedCommands

PATIENCE = 60.0
"""Seconds in which a line has to end."""
USER_CODE = """
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = nn.Linear(64, 10, dtype=torch.complex64)

    def forward(self, inputs):
        return self.layer(inputs.flatten(1)).abs()


class Broken(Network):
    def forward(self, inputs):
        return self.layer(inputs).abs()


def function(*args, **arguments):
    raise KeyError("nothing here")
"""
MESSAGE = re.compile(r"(?:cvtrain(?: [a-z]+)?|reproduce): ")
PROGRESS = re.compile(
    r"cvtrain: (?:checking \d+|\d+ (?:of \d+ )?runs?|trying|resumes)\b|reproduce: \d+ of "
)
WARNING = re.compile(r"\S+: UserWarning: .* is deprecated|  warnings\.warn\(")
"""Of OmegaConf, where a line uses its resolver ``oc.deprecated``."""
TRACEBACK = "Traceback (most recent call last)"
NAMED_BY_INTERPOLATION = re.compile(r"\+*(?:output|hydra\.(?:run|sweep)\.dir)=.*\$\{")
FINDINGS = ("convert", "inspect")
"""Tools whose output says why their status is 1."""
MOST_LINES = 4
"""Of a message."""


@dataclass(frozen=True)
class Ended:
    """How a command line ended.

    Attributes:
        status: its exit status; negative where a signal killed it.
        new: paths that were not there before, below its folder.
    """

    status: int
    out: str
    err: str
    new: tuple[str, ...] = ()


class Playground:
    """A folder with a working directory, a home and a place for temporary files.

    Args:
        folder: empty; it is emptied again for each line.
        run: directory of a run that has ended, for ``{run}``.
        sweep: that of a sweep.
    """

    def __init__(self, folder: Path, run: Path, sweep: Path) -> None:
        self._folder, self._made = folder, {"{run}": run, "{sweep}": sweep}

    def run(self, commands: ForkedCommands, line: CommandLine) -> Ended:
        """How a command line ends here."""
        shutil.rmtree(self._folder, ignore_errors=True)
        work, home, temporary = (self._folder / name for name in ("work", "home", "temporary"))
        for path in (work, home, temporary):
            path.mkdir(parents=True)
        typed = list(line.words)
        for name, directory in self._made.items():
            if any(name in word for word in typed):
                shutil.copytree(directory, work / name.strip("{}"), symlinks=True)
                typed = [word.replace(name, name.strip("{}")) for word in typed]
        if any("userlab" in word for word in typed):
            (work / "userlab.py").write_text(USER_CODE, encoding="utf-8")
        before = self._listing()
        done = commands.run(
            work,
            *typed,
            environment={"HOME": str(home), "TMPDIR": str(temporary)},
            forks_workers=True,
            patience=PATIENCE,
            encoding="ascii" if line.output == "ascii" else "utf-8",
            closed=line.output == "closed",
            unread="out" if line.output == "unread" else None,
            killed_after=line.signal_after if line.signal_number is not None else None,
            number=line.signal_number or 0,
        )
        return Ended(done.returncode, done.stdout, done.stderr, self._listing(before))

    def _listing(self, before: Sequence[str] = ()) -> tuple[str, ...]:
        paths = [*self._folder.iterdir(), *self._folder.glob("*/*")]
        names = (str(path.relative_to(self._folder)) for path in paths)
        return tuple(sorted(name for name in names if name not in before))


def faults(line: CommandLine, ended: Ended) -> list[str]:
    """What is wrong with how a command line ended; empty where nothing is."""
    return [*_wrong_status(line, ended), *_wrong_words(line, ended), *_stray_paths(line, ended)]


def _wrong_status(line: CommandLine, ended: Ended) -> Iterator[str]:
    allowed = {0, 1, 2}
    if line.signal_number is not None:
        allowed |= {128 + line.signal_number, -line.signal_number}
    if line.output == "unread":
        allowed.add(128 + signal.SIGPIPE)
    if ended.status not in allowed:
        yield f"status {ended.status}"


def _wrong_words(line: CommandLine, ended: Ended) -> Iterator[str]:
    others = (PROGRESS, WARNING)
    lines = [t for t in ended.err.splitlines() if not any(p.match(t) for p in others)]
    debug = any("debug" in word for word in line.words)
    if TRACEBACK in ended.out + ended.err and not debug:
        yield "a traceback"
    if ended.status not in (1, 2) or debug:
        return
    messages = sum(bool(MESSAGE.match(text)) for text in lines)
    if line.words[0] in FINDINGS and ended.status == 1:
        return
    if messages != 1:
        yield f"{messages} messages"
    if ended.status == 2 and len(lines) > MOST_LINES:
        yield f"{len(lines)} lines"


def _stray_paths(line: CommandLine, ended: Ended) -> Iterator[str]:
    for name in ended.new:
        if line.words[0] == "report" and name.startswith("report"):
            continue  # next to `.`, as its page on several directories is
        parent, _, own = name.rpartition("/")
        # A directory that is there already gets a number; one may be named by an interpolation.
        asked = own == "outputs" or any(
            re.sub(r"_\d+$", "", own) in word or NAMED_BY_INTERPOLATION.match(word)
            for word in line.words
        )
        if parent != "work" or not asked or ended.status == 2:
            yield f"stray {name!r}"


def shown(line: CommandLine, ended: Ended, wrong: Sequence[str]) -> str:
    """A line on a fault, and what the command printed."""
    words = subprocess.list2cmdline([word[:200] for word in line.words])
    how = f"output {line.output}, signal {line.signal_number} after {line.signal_after:.2f} s"
    return f"{', '.join(wrong)}: {words!r} ({how}); status {ended.status}\n{ended.err[-3000:]}"
