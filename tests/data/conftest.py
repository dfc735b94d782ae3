"""A user's package with data in code."""

from __future__ import annotations

import sys

import pytest

from tests.data.their_data import MODULE


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's, outside of the repository."""
    (tmp_path / "theirdata.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield ("data=custom", "trusted_modules=[theirdata]", "model=linear")
    sys.modules.pop("theirdata", None)
