"""scripts/agreement.py: which answers and claims of two suites are the same."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def agreement(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("agreement")


def suite(folder: Path, kinds: dict[str, str], statuses: dict[str, str]) -> Path:
    answers = [{"group": "SGD", "arm": arm, "kind": kind} for arm, kind in kinds.items()]
    report = folder / "sweep" / "report"
    report.mkdir(parents=True)
    (report / "summary.json").write_text(json.dumps({"answers": answers}))
    claims = [
        {"experiment": "sweep", "claim": claim, "status": status}
        for claim, status in statuses.items()
    ]
    (folder / "claims.json").write_text(json.dumps({"claims": claims}))
    return folder


def test_what_differs_is_counted_and_named(agreement, tmp_path, capsys):
    folders = [
        suite(tmp_path / "a", {"½": "relabelling", "w": "absorbed"}, {"It moves.": "holds"}),
        suite(tmp_path / "b", {"½": "relabelling", "w": "inconclusive"}, {"It moves.": "holds"}),
        suite(tmp_path / "c", {"½": "relabelling", "w": "absorbed"}, {}),
    ]
    agreement.main([str(folder) for folder in folders])
    lines = capsys.readouterr().out.splitlines()
    assert "| `sweep` | 1 of 2 | 0 of 1 |" in lines
    assert "| all | 1 of 2 | 0 of 1 |" in lines
    assert "sweep: SGD, w: absorbed | inconclusive | absorbed" in lines
    assert "sweep: It moves.: holds | holds | missing" in lines


def test_a_suite_agrees_with_itself(agreement, tmp_path, capsys):
    folder = str(suite(tmp_path / "a", {"w": "absorbed"}, {"It moves.": "does not hold"}))
    agreement.main([folder, folder])
    assert capsys.readouterr().out.endswith("| all | 1 of 1 | 1 of 1 |\n")


def test_one_folder_or_one_without_claims_is_a_line(agreement, tmp_path):
    for names in ([str(tmp_path)], [str(tmp_path), str(tmp_path)]):
        with pytest.raises(SystemExit, match="should be two folders or more"):
            agreement.main(names)
