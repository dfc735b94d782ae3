"""Links out of a directory are refused before anything is written."""

from __future__ import annotations

import re

import pytest

from cvtrain.process.errors import InputError
from cvtrain.runs.links import refuse_links_that_leave


@pytest.mark.parametrize("target", ["../../outside", "/etc", "../run/../../outside", "../../gone"])
@pytest.mark.parametrize("name", ["metrics.csv", "checkpoints"])
def test_a_link_that_leaves_is_refused(tmp_path, name, target):
    (tmp_path / "outside").mkdir()
    (tmp_path / "sweep" / "run").mkdir(parents=True)
    link = tmp_path / "sweep" / "run" / name
    link.symlink_to(target)
    with pytest.raises(InputError, match=re.escape(f"{link}: is a link out of")):
        refuse_links_that_leave(tmp_path / "sweep")


def test_a_link_that_stays_and_one_that_leads_here_are_not(tmp_path):
    (tmp_path / "scratch" / "run").mkdir(parents=True)
    (tmp_path / "scratch" / "first").symlink_to("run")
    (tmp_path / "sweep").symlink_to("scratch")
    refuse_links_that_leave(tmp_path / "sweep")
