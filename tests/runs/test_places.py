"""What lies where files are written is looked at before anything is."""

from __future__ import annotations

import re

import pytest

from cvtrain.process.errors import InputError
from cvtrain.runs.links import resolved
from cvtrain.runs.places import check_places
from tests.mutations import IN_PLACE

FILES = [
    *("sweep.json", "study.db", "multirun.yaml", ".lock", "0/run.json", "0/metrics.csv"),
    *("0/events.out.tfevents.1", "0/checkpoints/last.ckpt", "report/index.html", "report/a.svg"),
]
FOLDERS = ["0", "report", "+aggregate", "0/checkpoints", "0/.hydra"]


def placed(root, name, kind):
    path = root / "sweep" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    IN_PLACE[kind](path)
    return path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "device", "gone"])
def test_what_is_no_file_in_the_place_of_one_is_refused(tmp_path, name, kind):
    path = placed(tmp_path, name, kind)
    with pytest.raises(InputError, match="^" + re.escape(str(path))):
        check_places(tmp_path / "sweep")


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("kind", ["pipe", "loop", "gone", "device"])
def test_what_is_no_directory_in_the_place_of_one_is_refused(tmp_path, name, kind):
    path = placed(tmp_path, name, kind)
    with pytest.raises(InputError, match="^" + re.escape(str(path))):
        check_places(tmp_path / "sweep")


def test_directories_of_any_other_name_are_fine(tmp_path):
    for name in ("0_path=run.json", "wandb/run", "report", "0/checkpoints", "last.ckpt"):
        (tmp_path / "sweep" / name).mkdir(parents=True)
    (tmp_path / "sweep" / "other.log").touch()
    (tmp_path / "sweep" / "link").symlink_to("other.log")
    check_places(tmp_path / "sweep")


def test_a_directory_that_is_a_link_to_itself_has_a_path(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert resolved(tmp_path / "loop") == tmp_path / "loop"
