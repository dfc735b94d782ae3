"""Directories are checked before files in them are written; names of runs lead nowhere else."""

from __future__ import annotations

import re

import pytest

from cvtrain.process.errors import InputError
from cvtrain.runs.directory_layout import check_layout
from cvtrain.runs.safe_names import is_plain, plain, resolved, shortened
from cvtrain.sweeps.plan import directory_name
from tests.mutations import IN_PLACE

FILES = [
    *("sweep.json", "study.db", "multirun.yaml", ".lock", "0/run.json", "0/metrics.csv"),
    *("0/events.out.tfevents.1", "0/checkpoints/last.ckpt", "report/index.html", "report/a.svg"),
]
FOLDERS = ["0", "report", "aggregate", "0/checkpoints", "0/.hydra"]


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (FILES, ["directory", "pipe", "loop", "device", "gone"]),
        (FOLDERS, ["pipe", "loop", "gone", "device"]),
    ],
    ids=["files", "folders"],
)
def test_what_is_of_another_kind_than_its_name_says_is_refused(tmp_path, names, kinds):
    for name in names:
        for kind in kinds:
            sweep = tmp_path / f"{name.replace('/', '_')}_{kind}"
            path = sweep / name
            path.parent.mkdir(parents=True)
            IN_PLACE[kind](path)
            with pytest.raises(InputError, match="^" + re.escape(str(path))):
                check_layout(sweep)


def test_directories_of_any_other_name_are_fine(tmp_path):
    for name in ("0_path=run.json", "wandb/run", "report", "0/checkpoints", "last.ckpt"):
        (tmp_path / "sweep" / name).mkdir(parents=True)
    (tmp_path / "sweep" / "other.log").touch()
    (tmp_path / "sweep" / "link").symlink_to("other.log")
    check_layout(tmp_path / "sweep")


@pytest.mark.parametrize("target", ["../../outside", "/etc", "../run/../../outside", "../../gone"])
@pytest.mark.parametrize("name", ["metrics.csv", "checkpoints"])
def test_a_link_that_leaves_is_refused(tmp_path, name, target):
    (tmp_path / "outside").mkdir()
    (tmp_path / "sweep" / "run").mkdir(parents=True)
    link = tmp_path / "sweep" / "run" / name
    link.symlink_to(target)
    with pytest.raises(InputError, match=re.escape(f"{link}: is a link out of")):
        check_layout(tmp_path / "sweep")


def test_a_link_that_stays_and_one_that_leads_here_are_not(tmp_path):
    (tmp_path / "scratch" / "run").mkdir(parents=True)
    (tmp_path / "scratch" / "first").symlink_to("run")
    (tmp_path / "sweep").symlink_to("scratch")
    check_layout(tmp_path / "sweep")


def test_a_directory_that_is_a_link_to_itself_has_a_path(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert resolved(tmp_path / "loop") == tmp_path / "loop"


@pytest.mark.parametrize(
    "values",
    [
        "lr_octave=-2,objective_scale=0.5",
        "optimizer.betas=[0.9, 0.99]",
        "data.path=../../a b",
        "x=${oc.env:HOME}",
        "name=ü\n'\"\\",
        "y=" + "9" * 400,
        "",
    ],
)
def test_what_is_swept_makes_a_plain_name(values):
    assert is_plain(directory_name(7, 3, values))


def test_a_plain_name_stays_as_it_is():
    assert plain("lr_octave=-2.5,seed=1e+3") == "lr_octave=-2.5,seed=1e+3"
    assert shortened("a" * 120) == "a" * 120


@pytest.mark.parametrize("name", ["", ".", "..", ".lock", "-x", "a/b", "a\\b", "${a}", "a\n", "ü"])
def test_other_names_are_not(name):
    assert not is_plain(name)
