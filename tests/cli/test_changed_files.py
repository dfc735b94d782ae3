"""Files changed by hand, in any way: every command ends soon, in a result or in a line."""

from __future__ import annotations

import json
import os
import random
import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch

import cvtrain
from cvtrain.cli.evaluate import main as evaluate
from cvtrain.cli.report import main as report
from cvtrain.cli.train import main as train
from cvtrain.data.idx import read_idx
from cvtrain.data.mstar import mstar
from cvtrain.data.s1slc import s1slc
from cvtrain.data.sample import sample
from cvtrain.process.errors import InputError
from tests.data.idx_files import write_digits
from tests.data.published_files import write_mstar, write_s1slc, write_sample
from tests.mutations import IN_PLACE, time_limit, with_another_value, with_other_bytes
from tests.restored_logging import close_logs

pytestmark = pytest.mark.usefixtures("blank_figures")

PARTS, CASES = 5, 400
"""2000 in all; each part has draws of its own."""
SECONDS = 60
SMALL = (
    *("model=mlp", "model.hidden=[2]", "batch_size=8", "signals.validation_every=2"),
    *("signals.scalars_every=1", "max_steps=4"),
)
STRANGE: list[Any] = [
    *(None, True, 0, -1, 3, 1e308, -0.5, 10**29, 2**70, "", "nan", "x", "../..", [], [1], {}),
    *({"a": 1}, [[1], {"a": [2]}], "\x00", "½", "\ud800", "a[/b]", "$\\frac{", "x\ny", "\x1b[2J"),
]
DATA: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "s1slc": (write_s1slc, lambda top: s1slc(path=str(top), dtype=torch.complex64)),
    "mstar": (write_mstar, lambda top: mstar(path=str(top), crop=16, dtype=torch.complex64)),
    "sample": (
        write_sample,
        lambda top: sample(path=str(top), crop=8, complete=False, dtype=torch.complex64),
    ),
}


def read_everything(dataset: Any) -> None:
    for split in (dataset.train, dataset.validation, dataset.test):
        split.take(torch.arange(min(4, len(split))))


def status_of(reads: Callable[[], object]) -> int:
    """The exit status of a function that tells by an error what is wrong."""
    try:
        reads()
    except (ValueError, OSError) as error:
        assert "\n" not in str(error).strip()
        return 2
    return 0


def read_images(folder: Path) -> None:
    for path in folder.iterdir():
        read_idx(path, (None, 28, 28) if "images" in path.name else (None,))


COMMANDS: dict[str, Callable[[Path], int]] = {
    "report": lambda folder: report([str(folder / "finished")]),
    "evaluate": lambda folder: evaluate([str(folder / "run")]),
    "start_from": lambda folder: status_of(
        lambda: cvtrain.configure(*SMALL, f"start_from={folder / 'run'}")
    ),
    "resume a run": lambda folder: train([f"resume={folder / 'run'}"]),
    "resume a sweep": lambda folder: train([f"resume={folder / 'left'}"]),
    "latest": lambda folder: train(["resume=latest", f"output={folder}"]),
    "idx": lambda folder: status_of(lambda: read_images(folder / "idx")),
} | {
    name: lambda folder, name=name: status_of(lambda: read_everything(DATA[name][1](folder / name)))
    for name in DATA
}
ROOTS = {
    "report": "finished",
    "resume a sweep": "left",
    "latest": "outputs",
    **dict.fromkeys(("evaluate", "start_from", "resume a run"), "run"),
}
SHARES = {
    "report": 40,
    "evaluate": 12,
    "start_from": 8,
    "resume a run": 10,
    "resume a sweep": 10,
    "latest": 4,
    "idx": 4,
    "s1slc": 4,
    "mstar": 4,
    "sample": 4,
}
RARE = (".yaml", ".log", ".svg", ".png", ".tex", ".html", ".md")


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A sweep that finished, one and a run that were left half-way, and data."""
    folder = tmp_path_factory.mktemp("changed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        axes = [*SMALL, "seed=0,1", "objective.scale=1,0.5", "-m"]
        assert train([*axes, "hydra.sweep.dir=finished"]) == 0
        assert train([*SMALL, "seed=0,1", "-m", "hydra.sweep.dir=left", "pause_at=2"]) == 0
        assert train([*SMALL, "hydra.run.dir=run", "pause_at=2"]) == 0
        shutil.copytree("left", "outputs/outputs/x/left")
        shutil.copytree("finished", "outputs/outputs/x/finished")
    (folder / "idx").mkdir()
    write_digits(folder / "idx", train=60)
    for name, (write, _) in DATA.items():
        write(folder / name)
    return folder


def changed(root: Path, draw: random.Random) -> str:
    """Change one file or folder below `root`; says which and how."""
    paths = sorted(root.rglob("*"))
    usual = [path for path in paths if path.suffix not in RARE]
    path = draw.choice(usual if draw.random() < 0.9 else paths)
    way = draw.choice(["value", "value", "bytes", "bytes", *IN_PLACE])
    if way == "value" and path.suffix == ".json":
        content = with_another_value(json.loads(path.read_bytes()), draw, STRANGE)
        path.write_text(json.dumps(content), encoding="utf-8")
    elif way in IN_PLACE:
        IN_PLACE[way](path)
    elif path.is_file() and path.stat().st_size:
        way = "bytes"
        path.write_bytes(with_other_bytes(path.read_bytes(), draw))
    else:
        way = draw.choice(list(IN_PLACE))
        IN_PLACE[way](path)
    return f"{path.relative_to(root)}: {way}"


def entries(folder: Path) -> list[str]:
    """Everything there, as names: nothing is opened."""
    return sorted(
        f"{parent}/{name}" for parent, *names in os.walk(folder) for name in (*names[0], *names[1])
    )


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, PARTS))]
)
def test_any_file_changed_in_any_way_ends_a_command_in_a_result_or_a_line(
    origin, tmp_path, monkeypatch, capsys, share, part
):
    draw = random.Random(part)
    ended: Counter[tuple[str, int]] = Counter()
    wrong: list[str] = []
    monkeypatch.chdir(tmp_path)
    for case in range(share(CASES)):
        (name,) = draw.choices(list(SHARES), list(SHARES.values()))
        root = ROOTS.get(name, name)
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(origin / root, folder / root)
        case_name = f"{part}.{case}, {name}, {changed(folder / root, draw)}"
        before, began = entries(folder), monotonic()
        capsys.readouterr()
        close_logs()
        try:
            with time_limit(SECONDS):
                status = COMMANDS[name](folder if name != "latest" else folder / "outputs/outputs")
        except Exception:
            wrong.append(f"{case_name}: {traceback.format_exc()}")
            continue
        except SystemExit as error:
            wrong.append(f"{case_name}: exit {error.code}")
            continue
        err = capsys.readouterr().err
        ended[name, status] += 1
        if "Traceback" in err or status not in (0, 1, 2):
            wrong.append(f"{case_name}: status {status}: {err}")
        if status == 2 and entries(folder) != before:
            made = sorted(set(entries(folder)) ^ set(before))
            wrong.append(f"{case_name}: refused, but made or lost {made[:5]}")
        if [path.name for path in tmp_path.iterdir()] != ["copy"] or len(
            list(folder.iterdir())
        ) > 1:
            wrong.append(f"{case_name}: a stray file or directory")
        if monotonic() - began > SECONDS:
            wrong.append(f"{case_name}: slow")
    with capsys.disabled():
        print(f"\n{share(CASES)} changed files: {len(wrong)} wrong; status of each command:")
        for (name, status), count in sorted(ended.items()):
            print(f"  {name}: {status} × {count}")
    assert not wrong, "\n".join(wrong)
    assert {status for _, status in ended} >= {0, 2}


def test_a_checkpoint_of_a_device_or_a_pipe_is_refused_at_once(origin, tmp_path):
    for kind in ("device", "pipe"):
        path = tmp_path / kind
        IN_PLACE[kind](path)
        with time_limit(SECONDS), pytest.raises(InputError, match="should be a file"):
            cvtrain.configure(*SMALL, f"start_from={path}")
