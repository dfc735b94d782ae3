"""Run files that nobody's cvtrain wrote: told in a line, and never followed or executed."""

from __future__ import annotations

import json
import random

import pytest

from cvtrain.analysis.load import load
from cvtrain.experiments.publish import report_on
from cvtrain.process.errors import InputError
from tests.analysis.synthetic import HALVED, describe_sweep, write_run
from tests.mutations import with_another_value, with_other_bytes

pytestmark = pytest.mark.usefixtures("blank_figures")

STRANGE = [
    *(
        None,
        True,
        0,
        -1,
        3,
        1e308,
        -0.5,
        2**70,
        "",
        "nan",
        "x",
        "../..",
        [],
        [1],
        [[1], {"a": [2]}],
        {},
        {"a": 1},
    ),
    *("__import__('os').system('false')", "<script>alert(1)</script>", "$(false)", "\x00", "½"),
]
MUTATIONS = 500


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")
    final = {
        "val/loss": 0.5,
        "test/loss": 0.5,
        "test/accuracy": 0.9,
        "convergence/initial/loss": 2.0,
        "convergence/steps_to_target": 10.0,
    }
    rows = [(0, {"train/loss": 2.0, "val/loss": 2.0}), (20, {"train/loss": 0.5, "val/loss": 0.5})]
    for number, changed in enumerate(({}, HALVED)):
        write_run(root / str(number), "finished", final, rows, **changed)
    describe_sweep(root, "0", "1")
    return root


@pytest.mark.parametrize("name", ["0/run.json", "sweep.json"])
def test_a_file_with_any_value_changed_is_reported_or_refused_in_a_line(sweep, name, share):
    path = sweep / name
    whole = path.read_bytes()
    draw = random.Random(name)
    refused = 0
    try:
        for _ in range(share(MUTATIONS)):
            path.write_text(
                json.dumps(with_another_value(json.loads(whole), draw, STRANGE)), encoding="utf-8"
            )
            try:
                report_on(load(sweep))
            except InputError as error:
                refused += 1
                assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
    assert 0 < refused < share(MUTATIONS)


@pytest.mark.parametrize("name", ["0/run.json", "sweep.json", "0/metrics.csv"])
def test_a_file_with_any_byte_changed_is_reported_or_refused_in_a_line(sweep, name, share):
    path = sweep / name
    whole = path.read_bytes()
    draw = random.Random(name)
    try:
        for _ in range(share(MUTATIONS)):
            path.write_bytes(with_other_bytes(whole, draw))
            try:
                report_on(load(sweep))
            except InputError as error:
                assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)
