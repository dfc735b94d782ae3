"""Whatever is typed ends in a result or in one line on what is wrong, within a minute, and leaves
no file but where it was asked to."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.command_lines import CommandLine, command_line
from tests.played_lines import TRACEBACK, Ended, Playground, faults, shown

LINES = 5000
TINY = ("max_steps=2", "model.hidden=[4]")


@pytest.fixture(scope="module")
def playground(commands, tmp_path_factory) -> Playground:
    made = tmp_path_factory.mktemp("made")
    for words in (("hydra.run.dir=run",), ("seed=0,1", "-m", "hydra.sweep.dir=sweep")):
        done = commands.run(made, *TINY, *words)
        assert done.returncode == 0, done.stderr
    return Playground(tmp_path_factory.mktemp("ground"), made / "run", made / "sweep")


def test_any_command_line_ends_in_a_result_or_in_a_line(commands, playground, share):
    statuses, wrong = Counter[int](), []
    for number in range(share(LINES, 200)):
        line = command_line(number)
        ended = playground.run(commands, line)
        statuses[ended.status] += 1
        if problems := faults(line, ended):
            wrong.append(f"line {number}: {shown(line, ended, problems)}")
    print(dict(statuses))
    assert not wrong, "\n".join(wrong)
    assert {0, 2} <= statuses.keys()


def test_information_goes_nowhere_where_the_output_is_closed(commands, tmp_path):
    done = commands.run(tmp_path, "--info", "defaults", closed=True)
    assert (done.returncode, done.stderr) == (0, "")


REFUSED = Ended(2, "", "cvtrain: seed=x: should be an integer\n")
KEPT = "cvtrain: interrupted; what was trained is kept\n"


@pytest.mark.parametrize(
    ("words", "ended", "found"),
    [
        (("seed=x",), REFUSED, []),
        (("seed=x",), Ended(2, "", f"cvtrain: checking 2 points\n{REFUSED.err}"), []),
        (("seed=x",), Ended(2, "", ""), ["0 messages"]),
        (("seed=x",), Ended(2, "", REFUSED.err * 2), ["2 messages"]),
        (("seed=x",), Ended(2, "", REFUSED.err + "?\n" * 4), ["5 lines"]),
        (("seed=x",), Ended(1, "", f"{TRACEBACK}:\n"), ["a traceback", "0 messages"]),
        (("seed=x", "debug=true"), Ended(1, "", f"{TRACEBACK}:\n"), []),
        (("seed=x",), Ended(130, "", KEPT), ["status 130"]),
        (("seed=x",), Ended(-9, "", ""), ["status -9"]),
        (("seed=x",), Ended(2, "", REFUSED.err, ("work/outputs",)), ["stray 'work/outputs'"]),
        (("seed=1",), Ended(0, "", "", ("work/outputs",)), []),
        (("seed=1",), Ended(0, "", "", ("work/x",)), ["stray 'work/x'"]),
        (("output=x",), Ended(0, "", "", ("work/x_2",)), []),
        (("output=x",), Ended(0, "", "", ("home/x",)), ["stray 'home/x'"]),
    ],
)
def test_what_is_wrong_with_an_end_is_seen(words, ended, found):
    assert faults(CommandLine(words), ended) == found
